"""A source that writes down what is asked of it: tests use it to prove that chunk data is never read."""

from __future__ import annotations

from collections.abc import Sequence

from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.identity import Identity
from vz_beam.storage.open_handle import OpenHandle


class RequestLog(OpenHandle):
    """Passes every request on to ``source`` and keeps its range in ``requests``, in order.

    ``rounds`` counts the calls: ranges that are asked for together are one round.

    ``siblings`` are the logs of the files that were opened beside this one.

    ``local_path`` is ``None``, so that no reader can go around it.
    """

    __slots__ = ("_source", "requests", "rounds", "siblings")

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.url = source.url
        self.requests: list[tuple[int, int]] = []
        self.rounds = 0
        self.siblings: list[RequestLog] = []

    @property
    def local_path(self) -> None:
        """None: every read is to be seen."""
        return None

    @property
    def nbytes(self) -> int:
        """Sum of the lengths of all requests, bytes."""
        return sum(stop - start for start, stop in self.requests)

    def size(self) -> int:
        """Size of the file, bytes."""
        return self._source.size()

    def read_head(self, nbytes: int) -> bytes:
        """The first bytes."""
        data = self._source.read_head(nbytes)
        self.rounds += 1
        self.requests.append((0, len(data)))
        return data

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``."""
        self.rounds += 1
        self.requests.append((int(start), int(stop)))
        return self._source.read(start, stop)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range; each is a request of its own here."""
        self.rounds += 1
        self.requests.extend((int(start), int(stop)) for start, stop in ranges)
        return self._source.read_many(ranges)

    def identity(self) -> Identity:
        """What the file is now."""
        return self._source.identity()

    def first_identity(self) -> Identity:
        """What the file was when it was first asked for anything."""
        return self._source.first_identity()

    def sibling(self, name: str) -> RequestLog:
        """That of the source, its requests written down as well, in ``siblings``."""
        log = RequestLog(self._source.sibling(name))
        self.siblings.append(log)
        return log

    def other(self, url: str) -> ByteSource:
        """That of the source; its requests are not written down."""
        return self._source.other(url)

    def close(self) -> None:
        """Closes the source; the log stays."""
        self._source.close()
