"""The calls of Google's JSON API that gcsfs makes, answered from memory: objects are read, listed and made."""

import http.server
import itertools
import json
import re
import threading
import urllib.parse
from typing import Any

_OBJECTS = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)(?:/o(?:/(?P<key>.+))?)?")
_TIME = "2026-01-01T00:00:00Z"


class GcsServer(http.server.ThreadingHTTPServer):
    """Buckets that are there, by name; each has (content, generation) by key."""

    daemon_threads = True

    def __init__(self, *buckets: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.buckets: dict[str, dict[str, tuple[bytes, int]]] = {name: {} for name in buckets}
        self.begun: dict[str, tuple[str, str, bytes]] = {}
        self.numbers = itertools.count(1)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: GcsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        bucket, key, query, media = self._asked()
        if bucket not in self.server.buckets:
            return self._answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        objects = self.server.buckets[bucket]
        if key is not None:
            if key not in objects:
                return self._answer(404, {"error": {"code": 404, "message": f"No such object: {bucket}/{key}"}})
            return self._answer(200, objects[key][0] if media else self._described(bucket, key))
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
        if number := query.get("upload_id"):
            return self._go_on(number, body)
        if query.get("uploadType") == "resumable":
            number = str(next(self.server.numbers))
            self.server.begun[number] = bucket, json.loads(body)["name"], b""
            return self._answer(200, {}, Location=f"{self.server.url}/resume?upload_id={number}")
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
        _, fields, rest = body.split(b"--" + boundary, maxsplit=2)
        content = rest.partition(b"\n\n")[2].removesuffix(b"\n--" + boundary + b"--")
        return self._make(bucket, json.loads(fields.partition(b"\n\n")[2])["name"], content)

    def _go_on(self, number: str, body: bytes) -> None:
        bucket, name, before = self.server.begun[number]
        content = before + body
        if len(content) == int(self.headers["Content-Range"].rpartition("/")[2]):
            return self._make(bucket, name, content)
        self.server.begun[number] = bucket, name, content
        return self._answer(308, {}, Range=f"bytes=0-{len(content) - 1}")

    def _make(self, bucket: str, name: str, content: bytes) -> None:
        self.server.buckets[bucket][name] = content, next(self.server.numbers)
        self._answer(200, self._described(bucket, name))

    def _described(self, bucket: str, key: str) -> dict[str, Any]:
        content, generation = self.server.buckets[bucket][key]
        told = {"kind": "storage#object", "bucket": bucket, "name": key, "size": str(len(content))}
        return told | {"generation": str(generation), "updated": _TIME, "timeCreated": _TIME}

    def _asked(self) -> tuple[str, str | None, dict[str, str], bool]:
        path, _, query = self.path.partition("?")
        found = dict(urllib.parse.parse_qsl(query))
        match = _OBJECTS.search(path)
        if match is None:
            return "", None, found, False
        key = None if match["key"] is None else urllib.parse.unquote(match["key"])
        return match["bucket"], key, found, path.startswith("/download") or found.get("alt") == "media"

    def _answer(self, code: int, body: dict[str, Any] | bytes, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
