"""What all sources share beside being handles: they open the files that lie beside their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vz_beam.errors import InputError
from vz_beam.storage.open_handle import OpenHandle
from vz_beam.storage.url_secrets import shown

if TYPE_CHECKING:
    from vz_beam.storage.byte_source import ByteSource


class SourceHandle(OpenHandle):
    """An open source. ``open_beside`` opens a file by its name as this one's folder sees it, ``open_url`` any other."""

    __slots__ = ("open_beside", "open_url")

    open_beside: Callable[[str], ByteSource] | None
    open_url: Callable[[str], ByteSource] | None

    def size(self) -> int:
        """Size of the file, bytes."""
        raise NotImplementedError

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``."""
        raise NotImplementedError

    def read_head(self, nbytes: int) -> bytes:
        """The first ``nbytes`` bytes, or all where there are fewer."""
        return self.read(0, min(nbytes, self.size()))

    def sibling(self, name: str) -> ByteSource:
        """The source of the file ``name``, relative to the folder of this one; see ``ByteSource``."""
        if self.open_beside is None:
            raise InputError(f"{shown(self.url)} was not opened by open_source, which knows how to open others")
        return self.open_beside(name)

    def other(self, url: str) -> ByteSource:
        """The source of another URL, opened as this one was; see ``ByteSource``."""
        if self.open_url is None:
            raise InputError(f"{shown(self.url)} was not opened by open_source, which knows how to open others")
        return self.open_url(url)
