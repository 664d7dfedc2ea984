"""As much of the Hugging Face hub as huggingface_hub asks for when it reads and writes models, in memory."""

import base64
import dataclasses
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TOKEN = "hf_of_the_test"
OWNER = "tester"


@dataclasses.dataclass
class Repository:
    """A model.

    Attributes:
        commits: its files by commit, the last one that of main.
        branches: the commits of other revisions.
        gated, private: who may see it: who has accepted its licence, and who has the token.
    """

    commits: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    branches: dict[str, str] = dataclasses.field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds a commit of these files to main."""
        digest = hashlib.sha1(str(len(self.commits)).encode())
        for name, data in sorted(files.items()):
            digest.update(name.encode() + data)
        self.commits[digest.hexdigest()] = files
        return digest.hexdigest()

    def resolve(self, revision: str) -> str | None:
        """Returns a revision's commit."""
        if revision == "main":
            return list(self.commits)[-1] if self.commits else None
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None


class Hub:
    """The server.

    Attributes:
        repositories: by ORG/NAME.
        fetched: ORG/NAME/FILE of each file that was downloaded.
        asked: each request, as METHOD PATH.
        broken: part of the path of requests that fail from now on.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.fetched: list[str] = []
        self.asked: list[str] = []
        self.broken: str | None = None
        self._uploaded: dict[str, bytes] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Hub"]:
        """Serves in a thread."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with self._server:
                yield self
                self._server.shutdown()
        finally:
            thread.join()

    def _handler(hub) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805, `self` is the handler's
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b"".join(self.chunks())
                hub.asked.append(f"{self.command} {self.path}")
                has_token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                status, headers, data = hub.answer(self.command, self.path, body, has_token)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def chunks(self) -> Iterator[bytes]:
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, method: str, address: str, body: bytes, has_token: bool) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and data of the answer to a request."""
        path = urllib.parse.urlsplit(address).path
        if self.broken and self.broken in path:
            return _failed(400, "", "the server says no")  # huggingface_hub waits and repeats after a 500
        if path == "/api/whoami-v2":
            return _json({"name": OWNER, "type": "user"}) if has_token else _failed(401, "", "Invalid credentials")
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body), has_token)
        if path.startswith("/upload/"):
            self._uploaded[path.removeprefix("/upload/")] = body
            return 200, {}, b""
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._lfs_batch(json.loads(body))
        parts = path.strip("/").removeprefix("api/models/").split("/", 2)
        repository = self.repositories.get("/".join(parts[:2]))
        if repository is None or (repository.private and not has_token):
            return _failed(401, "RepoNotFound", "Repository not found")
        what, _, rest = parts[2].partition("/") if len(parts) > 2 else ("revision", "", "main")
        if what in ("preupload", "commit"):
            return self._write(what, "/".join(parts[:2]), repository, body, has_token)
        # The slash of a branch such as feature/x is quoted.
        revision, _, file = map(urllib.parse.unquote, rest.partition("/"))
        commit = repository.resolve(revision)
        if commit is None and not (what == "revision" and revision == "main"):
            return _failed(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repository.commits.get(commit or "", {})
        if what == "revision":
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            return _json(
                {"id": "/".join(parts[:2]), "sha": commit, "siblings": siblings, "private": repository.private}
            )
        if what == "tree":
            listed = ((name, len(data), hashlib.sha1(data).hexdigest()) for name, data in files.items())
            return _json([{"type": "file", "path": name, "size": size, "oid": oid} for name, size, oid in listed])
        if repository.gated and not has_token:
            return _failed(401, "GatedRepo", "Access to this model is restricted")
        if file not in files:
            return _failed(404, "EntryNotFound", "Entry not found")
        if method == "GET":
            self.fetched.append(f"{'/'.join(parts[:2])}/{file}")
        etag = f'"{hashlib.sha1(files[file]).hexdigest()}"'
        return 200, {"ETag": etag, "X-Repo-Commit": str(commit)}, files[file]

    def _create(self, asked: dict[str, Any], has_token: bool) -> tuple[int, dict[str, str], bytes]:
        name = f"{asked.get('organization') or OWNER}/{asked['name']}"
        if not has_token or not name.startswith(f"{OWNER}/"):
            return _failed(403, "", f"You don't have the rights to create a model under the namespace {name}")
        status = 409 if name in self.repositories else 200
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        if name not in self.repositories:
            self.repositories[name] = Repository(private=private)
            self.repositories[name].commit({".gitattributes": b""})
        return _json({"url": f"{self.address}/{name}", "name": name}, status)

    def _lfs_batch(self, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.address}/upload/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        return _json({"transfer": "basic", "objects": objects})

    def _write(
        self, what: str, name: str, repository: Repository, body: bytes, has_token: bool
    ) -> tuple[int, dict[str, str], bytes]:
        if not has_token:
            return _failed(403, "", "Forbidden")
        if what == "preupload":
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return _json({"files": files})
        head = repository.resolve("main")
        files_now = dict(repository.commits[head]) if head else {}
        for line in body.splitlines():
            key, value = (entry := json.loads(line))["key"], entry["value"]
            if key == "file":
                files_now[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files_now[value["path"]] = self._uploaded[value["oid"]]
            elif key == "deletedFile":
                del files_now[value["path"]]
        commit = repository.commit(files_now)
        address = f"{self.address}/{name}/commit/{commit}"
        return _json({"success": True, "commitOid": commit, "commitUrl": address, "hookOutput": ""})


def _json(value: object, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _failed(status: int, code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"X-Error-Code": code, "X-Error-Message": message}, json.dumps({"error": message}).encode()
