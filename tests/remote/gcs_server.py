"""The calls of Google's JSON API that gcsfs, google-cloud-storage and tensorstore make, answered from memory.

Objects are read, listed, made and removed, all at once or on the condition that they are of a certain generation:
https://cloud.google.com/storage/docs/json_api/v1, https://cloud.google.com/storage/docs/request-preconditions.
"""

import base64
import hashlib
import http.server
import itertools
import json
import re
import threading
import urllib.parse
from typing import Any

_OBJECTS = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)(?:/o(?:/(?P<key>.+))?)?")
_PART = re.compile(rb"DELETE (\S+) HTTP/1.1")
_TIME = "2026-01-01T00:00:00Z"


class GcsServer(http.server.ThreadingHTTPServer):
    """Buckets that are there, by name; each has (content, generation) by key."""

    daemon_threads = True

    def __init__(self, *buckets: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.buckets: dict[str, dict[str, tuple[bytes, int]]] = {name: {} for name in buckets}
        self.begun: dict[str, tuple[str, str, bytes]] = {}
        self.numbers = itertools.count(1)
        self.refused = False  # as if the credentials had expired
        self.changing = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """Says nothing of clients that were killed."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Makes an object, or its next generation."""
        self.buckets[bucket][key] = content, next(self.numbers)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: GcsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        bucket, key, query, media = self._asked()
        if self._is_refused() or self._is_nowhere(bucket):
            return
        objects = self.server.buckets[bucket]
        if key is not None:
            if key not in objects:
                return self._answer(404, {"error": {"code": 404, "message": f"No such object: {bucket}/{key}"}})
            if not media:
                return self._answer(200, self._described(bucket, key))
            return self._content(*objects[key], query)
        if not self.path.partition("?")[0].endswith("/o"):
            return self._answer(200, {"kind": "storage#bucket", "name": bucket})
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes = [], set()
        for each in sorted(objects):
            if each.startswith(prefix):
                inner, cut, _ = each[len(prefix) :].partition(delimiter) if delimiter else (each, "", "")
                if cut:
                    prefixes.add(f"{prefix}{inner}{delimiter}")
                else:
                    items.append(self._described(bucket, each))
        return self._answer(200, {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)})

    def do_POST(self) -> None:
        bucket, _, query, _ = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_refused():
            return None
        if self.path.startswith("/batch"):
            return self._batch(body)
        if number := query.get("upload_id"):
            return self._go_on(number, body)
        if self._is_nowhere(bucket):
            return None
        if query.get("uploadType") == "resumable":
            number = str(next(self.server.numbers))
            self.server.begun[number] = bucket, json.loads(body)["name"], b""
            return self._answer(200, {}, Location=f"{self.server.url}/resume?upload_id={number}")
        if query.get("uploadType") == "media":
            return self._make(bucket, query["name"], body, query.get("ifGenerationMatch"))
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
        _, fields, rest = body.split(b"--" + boundary, maxsplit=2)
        content = rest.partition(b"\n\n")[2].removesuffix(b"\n--" + boundary + b"--")
        return self._make(bucket, json.loads(fields.partition(b"\n\n")[2])["name"], content)

    def do_DELETE(self) -> None:
        bucket, key, query, _ = self._asked()
        if self._is_refused() or self._is_nowhere(bucket):
            return
        code = self._remove(bucket, key or "", query.get("ifGenerationMatch"))
        self._answer(code, b"" if code == 204 else {"error": {"code": code, "message": "not removed"}})

    def _content(self, content: bytes, generation: int, query: dict[str, str]) -> None:
        if query.get("ifGenerationNotMatch") == str(generation):
            return self._answer(304, b"")
        if query.get("ifGenerationMatch", str(generation)) != str(generation):
            return self._answer(412, b"")
        told = {"x-goog-generation": str(generation)}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            told["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return self._answer(206, content[first : last + 1], **told)
        return self._answer(200, content, **told)

    def _batch(self, body: bytes) -> None:
        codes = []
        for found in _PART.finditer(body):
            match = _OBJECTS.search(found[1].decode())
            assert match is not None
            codes.append(self._remove(match["bucket"], urllib.parse.unquote(match["key"]), None))
        parts = (f"--x\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {code} .\r\n\r\n\r\n" for code in codes)
        return self._answer(200, "".join([*parts, "--x--"]).encode(), **{"Content-Type": "multipart/mixed; boundary=x"})

    def _remove(self, bucket: str, key: str, generation: str | None) -> int:
        with self.server.changing:
            there = self.server.buckets[bucket].get(key)
            if there is None:
                return 404
            if generation not in (None, str(there[1])):
                return 412
            del self.server.buckets[bucket][key]
        return 204

    def _go_on(self, number: str, body: bytes) -> None:
        bucket, name, before = self.server.begun[number]
        content = before + body
        if len(content) == int(self.headers["Content-Range"].rpartition("/")[2]):
            return self._make(bucket, name, content)
        self.server.begun[number] = bucket, name, content
        return self._answer(308, {}, Range=f"bytes=0-{len(content) - 1}")

    def _make(self, bucket: str, name: str, content: bytes, generation: str | None = None) -> None:
        with self.server.changing:
            there = self.server.buckets[bucket].get(name, (b"", 0))[1]
            if generation not in (None, str(there)):
                return self._answer(412, {"error": {"code": 412, "message": "Precondition Failed"}})
            self.server.put(bucket, name, content)
            described = self._described(bucket, name)
        return self._answer(200, described)

    def _described(self, bucket: str, key: str) -> dict[str, Any]:
        content, generation = self.server.buckets[bucket][key]
        told = {"kind": "storage#object", "bucket": bucket, "name": key, "size": str(len(content))}
        told["md5Hash"] = base64.b64encode(hashlib.md5(content).digest()).decode()
        return told | {"generation": str(generation), "updated": _TIME, "timeCreated": _TIME}

    def _asked(self) -> tuple[str, str | None, dict[str, str], bool]:
        path, _, query = self.path.partition("?")
        found = dict(urllib.parse.parse_qsl(query))
        match = _OBJECTS.search(path)
        if match is None:
            return "", None, found, False
        key = None if match["key"] is None else urllib.parse.unquote(match["key"])
        return match["bucket"], key, found, path.startswith("/download") or found.get("alt") == "media"

    def _is_refused(self) -> bool:
        if self.server.refused:
            self._answer(403, {"error": {"code": 403, "message": "the caller does not have access"}})
        return self.server.refused

    def _is_nowhere(self, bucket: str) -> bool:
        if bucket in self.server.buckets:
            return False
        self._answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        return True

    def _answer(self, code: int, body: dict[str, Any] | bytes, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if code not in (204, 304):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
