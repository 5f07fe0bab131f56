"""A hub of models on loopback, with the troubles that real ones have."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ModelHub:
    """Serves files below ``/REPO/resolve/REVISION/``; use as a context manager.

    Attributes:
        files: Content by name.
        cuts: After so many bytes each next download ends half-way, one entry a download.
        statuses: Instead of an answer, one entry a request.
        takes_ranges: It can go on half-way.
        etag: What it says the checksum is; None says the truth, empty nothing.
        asked: Method, path and range of each request.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.takes_ranges = True
        self.etag: str | None = None
        self.size: str | None = None
        self.range_shift = 0
        self.asked: list[tuple[str, str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                hub.answer(self)

            def do_GET(self) -> None:
                hub.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ModelHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        wanted = handler.headers.get("Range", "")
        self.asked.append((handler.command, handler.path, wanted))
        content = self.files.get(handler.path.rpartition("/")[2])
        if self.statuses:
            self._head(handler, self.statuses.pop(0), {"Content-Length": "0"})
            return
        if content is None:
            self._head(handler, 404, {"Content-Length": "0"})
            return
        if handler.command == "HEAD":
            self._tell(handler, content)
            return
        begin = int(wanted.removeprefix("bytes=").partition("-")[0] or 0) if wanted else 0
        begin = begin if self.takes_ranges else 0
        body = content[begin:]
        headers = {"Content-Length": str(len(body))}
        if begin:
            first = begin + self.range_shift
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._head(handler, 206 if begin else 200, headers)
        cut = self.cuts.pop(0) if self.cuts else len(body)
        handler.wfile.write(body[:cut])

    def _tell(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        true_etag = hashlib.sha256(content).hexdigest()
        headers = {
            "Location": "http://127.0.0.1:9/cdn",
            "Content-Length": "0",
            "X-Linked-Size": self.size or str(len(content)),
        }
        etag = true_etag if self.etag is None else self.etag
        if etag:
            headers["X-Linked-Etag"] = f'"{etag}"'
        self._head(handler, 302, headers)

    @staticmethod
    def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
