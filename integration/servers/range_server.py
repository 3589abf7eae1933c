"""Files over http with byte ranges and a settable latency; it counts what is asked of it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

MODIFIED = "Mon, 02 Jan 2023 00:00:00 GMT"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_LIFETIME_SECONDS = 600
"""It stops by itself, whatever became of the test that started it."""


@dataclass(slots=True)
class Request:
    """One request: its method, path and range, as half-open bytes, and when it began and ended, seconds."""

    method: str
    path: str
    start: int
    stop: int
    began: float
    ended: float


@dataclass(slots=True)
class RangeServer:
    """Serves ``files`` by name while in the ``with`` block.

    Args:
        files: paths by the names under which they are served.
        latency_seconds: how long each answer waits; requests at the same time wait side by side.
        stalled: names whose bodies stop after their first half and never go on.
    """

    files: Mapping[str, Path]
    latency_seconds: float = 0.0
    stalled: frozenset[str] = frozenset()
    requests: list[Request] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    handler: type[Any] = field(init=False)
    _server: ThreadingHTTPServer | None = None
    _timer: threading.Timer | None = None

    def __post_init__(self) -> None:
        self.handler = Handler

    def __enter__(self) -> Self:
        handler = type("Served", (self.handler,), {"served": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self._timer = threading.Timer(_LIFETIME_SECONDS, self._server.shutdown)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "it was started"
        assert self._timer is not None, "it was started"
        self._timer.cancel()
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the files are: ``http://127.0.0.1:port``."""
        assert self._server is not None, "it was started"
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def nbytes(self) -> int:
        """Bytes of all answers' bodies."""
        return sum(request.stop - request.start for request in self.requests if request.method == "GET")

    @property
    def rounds(self) -> int:
        """Requests that had to wait for others: the longest chain of which each began after the one before ended."""
        count, ended = 0, float("-inf")
        for request in sorted(self.requests, key=lambda request: request.ended):
            if request.began >= ended:
                count, ended = count + 1, request.ended
        return count

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool, path: Path | None = None, etag: str = "", modified: str = MODIFIED) -> None:
        """What was asked for, of the file at ``path`` where it is given."""
        served, began = self.served, time.monotonic()
        name = unquote(self.path.lstrip("/"))
        served.ending.wait(served.latency_seconds)
        path = path or served.files.get(name)
        if path is None:
            self.head(404, 0, {})
            return
        size = path.stat().st_size
        headers = {"Accept-Ranges": "bytes", "Last-Modified": modified, "ETag": etag or f'"{size}"'}
        start, stop = self.asked(size)
        status = 200
        if self.headers.get("Range"):
            if start >= size:
                self.head(416, 0, {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        request = Request(self.command, name, start, stop, began, time.monotonic())
        if name not in served.stalled:  # noted before the answer, behind which a test may look at once
            served.requests.append(request)
        self.head(status, stop - start, headers)
        if with_body:
            with path.open("rb") as file:
                file.seek(start)
                body = file.read(stop - start)
            if name in served.stalled:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                served.ending.wait()
                return
            self.wfile.write(body)
        request.ended = time.monotonic()

    def asked(self, size: int) -> tuple[int, int]:
        """The bytes, half open, that the request wants of a file of ``size`` bytes."""
        if found := _RANGE.match(self.headers.get("Range", "")):
            return int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        return 0, size

    def head(self, status: int, nbytes: int, headers: Mapping[str, str]) -> None:
        """Sends what comes before a body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(nbytes))
        self.end_headers()
