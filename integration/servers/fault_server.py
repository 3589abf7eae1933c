"""Files over http by a server that fails often: late, refusing, cut off, wrong and changing answers.

Faults follow from the number of a request and a seed, so that two runs see as many of them.
"""

from __future__ import annotations

import itertools
import random
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration.servers.range_server import MODIFIED, Handler, RangeServer

KINDS = ("late", "429", "503", "reset", "truncated", "wrong range", "other version")


@dataclass(slots=True)
class FaultServer(RangeServer):
    """A range server of which a share of the answers is not what it should be.

    Args:
        share: of requests, from 0 to 1.
        late_seconds: what a late answer waits.
        seed: of what comes when.
        older: other contents of some files, of the same size, which a request may get: as if it came to a server that
            has not heard of the last change.
    """

    share: float = 0.2
    late_seconds: float = 0.1
    seed: int = 0
    older: dict[str, Path] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    numbers: Any = field(default_factory=itertools.count)
    handler: type[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.handler = _FaultHandler


class _FaultHandler(Handler):
    served: FaultServer

    def answer(self, with_body: bool, path: Path | None = None, etag: str = "", modified: str = MODIFIED) -> None:
        """As a server that works, or not."""
        served = self.served
        chance = random.Random(f"{served.seed} {next(served.numbers)}")
        if chance.random() >= served.share:
            super().answer(with_body)
            return
        kind = chance.choice(KINDS)
        name = self.path.lstrip("/")
        if kind == "other version" and name not in served.older:
            kind = "late"
        served.faults[kind] += 1
        if kind == "late":
            served.ending.wait(served.late_seconds)
            super().answer(with_body)
        elif kind in ("429", "503"):
            self.head(int(kind), 0, {"Retry-After": "1"})
        elif kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif kind == "other version":
            super().answer(with_body, served.older[name], '"older"', "Sun, 01 Jan 2023 00:00:00 GMT")
        else:
            self._broken(kind, name, with_body)

    def _broken(self, kind: str, name: str, with_body: bool) -> None:
        """A body that ends too soon, or that of other bytes than those asked for."""
        path = self.served.files[name]
        start, stop = self.asked(path.stat().st_size)
        shift = 1 if kind == "wrong range" and stop < path.stat().st_size else 0
        size = path.stat().st_size
        headers = {"Content-Range": f"bytes {start + shift}-{stop + shift - 1}/{size}", "ETag": f'"{size}"'}
        headers["Last-Modified"] = MODIFIED
        self.head(206, stop - start, headers)
        if with_body:
            body = path.read_bytes()[start + shift : stop + shift]
            self.wfile.write(body if shift else body[: len(body) // 2])
        self.wfile.flush()
        self.close_connection = True
