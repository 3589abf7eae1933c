"""A source that passes every request on to another one, and looks at what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.identity import Identity
from vz_beam.storage.open_handle import OpenHandle


class PassingSource(OpenHandle):
    """Everything is that of ``source``; subclasses say in :meth:`notice` what they do about requests.

    ``local_path`` is ``None``, so that no reader can go around it.
    """

    __slots__ = ("_source",)

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.url = source.url

    def notice(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Called before these ranges, half-open bytes, are asked for together."""
        raise NotImplementedError

    def beside(self, source: ByteSource) -> Self:
        """What passes the requests on to a file that was opened beside this one."""
        raise NotImplementedError

    @property
    def local_path(self) -> None:
        """None: every read is to be seen."""
        return None

    def size(self) -> int:
        """Size of the file, bytes."""
        return self._source.size()

    def read_head(self, nbytes: int) -> bytes:
        """The first bytes."""
        data = self._source.read_head(nbytes)
        self.notice([(0, len(data))])
        return data

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``."""
        self.notice([(int(start), int(stop))])
        return self._source.read(start, stop)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range."""
        self.notice([(int(start), int(stop)) for start, stop in ranges])
        return self._source.read_many(ranges)

    def identity(self) -> Identity:
        """What the file is now."""
        return self._source.identity()

    def first_identity(self) -> Identity:
        """What the file was when it was first asked for anything."""
        return self._source.first_identity()

    def sibling(self, name: str) -> Self:
        """That of the source, looked at as well."""
        return self.beside(self._source.sibling(name))

    def other(self, url: str) -> ByteSource:
        """That of the source."""
        return self._source.other(url)

    def close(self) -> None:
        """Closes the source."""
        self._source.close()
