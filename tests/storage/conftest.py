"""A server of http on the loopback device, and one file behind every kind of source."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.fsspec_source import FsspecSource
from vz_beam.storage.request_log import RequestLog

DATA = bytes(range(256)) * 40
"""The content behind every source: 10,240 bytes, no two neighbours alike."""


@dataclass
class Served:
    """What the server has and how it behaves: paths and queries as they come over the wire."""

    root: str
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    refused_methods: set[str] = field(default_factory=set)
    ranges: bool = True
    body: bytes = b""
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    root: str
    served: Served

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        served, wanted = self.served, self.headers.get("Range")
        served.seen.append((self.command, self.path, wanted))
        status = served.statuses.get(self.path, 200 if self.path in served.files else 404)
        if self.command in served.refused_methods:
            status = 403
        content = served.files.get(self.path, b"") if status == 200 else served.body
        headers = {"ETag": '"v1"', "Last-Modified": "Mon, 02 Jan 2023 00:00:00 GMT"}
        size = len(content)
        if status == 200 and wanted and served.ranges:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
            assert match is not None
            start, stop = int(match[1]), min(int(match[2]) + 1, size)
            if start >= size:
                status, content = 416, b""
                headers["Content-Range"] = f"bytes */{size}"
            else:
                status, content = 206, content[start:stop]
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)


@pytest.fixture(scope="session")
def handler() -> Iterator[type[_Handler]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    _Handler.root = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield _Handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def served(handler: type[_Handler]) -> Served:
    """What the server has from now on: nothing."""
    handler.served = Served(handler.root)
    return handler.served


def _local(tmp_path: Path, served: Served) -> ByteSource:
    (tmp_path / "a.bin").write_bytes(DATA)
    return open_source(tmp_path / "a.bin")


def _memory(tmp_path: Path, served: Served) -> ByteSource:
    name = f"sources-{uuid.uuid4().hex}"
    open_sink(f"memory://{name}").write("a.bin", DATA)
    return open_source(f"memory://{name}/a.bin")


def _http(tmp_path: Path, served: Served) -> ByteSource:
    served.files["/d/a.bin"] = DATA
    return open_source(f"{served.root}/d/a.bin")


def _http_with_query(tmp_path: Path, served: Served) -> ByteSource:
    served.files["/get?file=a%20b.bin"] = DATA
    return open_source(f"{served.root}/get?file=a b.bin")


def _s3(tmp_path: Path, served: Served) -> ByteSource:
    served.files["/bucket/d/a.bin"] = DATA
    return open_source("s3://bucket/d/a.bin", {"endpoint": served.root, "skip_signature": True})


def _fsspec_memory(tmp_path: Path, served: Served) -> ByteSource:
    name = f"/sources-{uuid.uuid4().hex}/a.bin"
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file(name, DATA)
    return FsspecSource(filesystem, name, f"memory:/{name}")


def _fsspec_chain(tmp_path: Path, served: Served) -> ByteSource:
    (tmp_path / "a.bin").write_bytes(DATA)
    return open_source(f"simplecache::file://{tmp_path}/a.bin", {"simplecache": {"cache_storage": str(tmp_path / "c")}})


def _fsspec_http(tmp_path: Path, served: Served) -> ByteSource:
    served.files["/d/a.bin"] = DATA
    return FsspecSource.open(f"{served.root}/d/a.bin")


KINDS: dict[str, Callable[[Path, Served], ByteSource]] = {
    "local": _local,
    "memory": _memory,
    "http": _http,
    "http with a query": _http_with_query,
    "s3": _s3,
    "fsspec memory": _fsspec_memory,
    "fsspec chain": _fsspec_chain,
    "fsspec http": _fsspec_http,
}
WRAPPERS: dict[str, Callable[[ByteSource], ByteSource]] = {
    "bare": lambda source: source,
    "cached": lambda source: BlockCache(source, block_bytes=256, max_blocks=8),
    "logged": RequestLog,
    "logged cache": lambda source: RequestLog(BlockCache(source, block_bytes=100, max_blocks=3)),
}


@pytest.fixture(params=KINDS)
def bare_source(request: pytest.FixtureRequest, tmp_path: Path, served: Served) -> Iterator[ByteSource]:
    source = KINDS[request.param](tmp_path, served)
    yield source
    source.close()


@pytest.fixture(params=WRAPPERS)
def source(request: pytest.FixtureRequest, bare_source: ByteSource) -> ByteSource:
    return WRAPPERS[request.param](bare_source)
