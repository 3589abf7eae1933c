"""A source as a Python file, for libraries that read from file objects."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from vz_beam.errors import InputError
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.url_secrets import shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class SourceFile(io.RawIOBase):
    """A read-only, seekable binary file over ``source``. It does not close the source.

    ``readinto`` past the end fills what is left with zeros, as HDF5's own driver does: h5py does not look at how much
    was read, and would go on with what was in memory before.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._read: Callable[[int, int], bytes] = source.read
        self._size = source.size()
        self._position = 0
        self.name = shown(source.url)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position, bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves to ``offset`` bytes from the start, the position or the end; gives the new position."""
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset += self._size
        elif whence != os.SEEK_SET:
            raise InputError(f"whence={whence} is none of 0, 1 and 2")
        if offset < 0:
            raise InputError(f"{self.name}: position {offset} lies before the start of the file")
        self._position = offset
        return offset

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills ``buffer`` from the position; gives the number of bytes that the file had."""
        view = buffer if isinstance(buffer, memoryview) and buffer.format == "B" else memoryview(buffer).cast("B")
        start = self._position
        wanted = len(view)
        stop = min(start + wanted, self._size)
        if stop <= start:
            view[:] = bytes(wanted)
            return 0
        count = stop - start
        view[:count] = self._read(start, stop)
        if count < wanted:
            view[count:] = bytes(wanted - count)
        self._position = stop
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes from the position, all that are left where it is negative."""
        start = self._position
        stop = self._size if size is None or size < 0 else min(start + size, self._size)
        if stop <= start:
            return b""
        self._position = stop
        return self._read(start, stop)

    def readall(self) -> bytes:
        """All bytes from the position on."""
        return self.read(-1)
