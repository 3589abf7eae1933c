"""FlatBuffers read in columns: a field of a million tables is one array of numpy.

Source: https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
"""Byte positions in the buffer, one a table; 0 where a table does not have the field."""


class FlatBuffer:
    """The bytes of one buffer. What points outside is an ``IndexError``.

    Args:
        data: of one buffer, from its root offset on.
    """

    def __init__(self, data: bytes) -> None:
        self._bytes = np.frombuffer(data, np.uint8)
        self.root = self.numbers(np.zeros(1, np.int64), "<u4").astype(np.int64)

    def numbers(self, positions: Positions, dtype: str) -> NDArray[Any]:
        """The number at each position, wherever it is aligned; what position 0 has is 0, but for the root's."""
        kind = np.dtype(dtype)
        found = self._bytes[positions[:, None] + np.arange(kind.itemsize)].view(kind)[:, 0]
        return found if len(positions) < 2 else np.where(positions > 0, found, 0).astype(kind)

    def fields(self, tables: Positions, number: int) -> Positions:
        """Where each table has its field ``number``; 0 where it has none."""
        vtables = tables - self.numbers(tables, "<i4")
        place = 4 + 2 * number
        has_it = self.numbers(vtables, "<u2") > place
        # Every vtable has two numbers of its own, so that there is something to read at its start.
        offsets = self.numbers(np.where(has_it, vtables + place, vtables), "<u2").astype(np.int64)
        return np.where(has_it & (offsets > 0), tables + offsets, 0)

    def field_numbers(self, tables: Positions, number: int, dtype: str) -> NDArray[Any]:
        """The value of a field that is a number; 0 where a table has none."""
        places = self.fields(tables, number)
        return np.where(places > 0, self.numbers(places, dtype), 0).astype(dtype)

    def targets(self, places: Positions) -> Positions:
        """What the offsets at some places point at; 0 at place 0."""
        return np.where(places > 0, places + self.numbers(places, "<u4"), 0)

    def vector(self, table: Positions, number: int) -> tuple[int, int]:
        """Where the elements of a vector of one table start, and how many it has; ``(0, 0)`` where it has none."""
        start = self.targets(self.fields(table, number))
        if not start[0]:
            return 0, 0
        return int(start[0]) + 4, int(self.numbers(start, "<u4")[0])

    def tables(self, table: Positions, number: int) -> Positions:
        """Where the tables of a vector of tables are."""
        start, count = self.vector(table, number)
        self.check(start, 4 * count)
        return self.targets(start + 4 * np.arange(count, dtype=np.int64))

    def lengths(self, targets: Positions) -> NDArray[np.int64]:
        """The number of elements of the vector or text at each place; 0 at place 0."""
        return np.where(targets > 0, self.numbers(targets, "<u4"), 0).astype(np.int64)

    def data(self, start: int, nbytes: int) -> bytes:
        """Some bytes."""
        self.check(start, nbytes)
        return self._bytes[start : start + nbytes].tobytes()

    def rows(self, starts: Positions, nbytes: int) -> NDArray[np.uint8]:
        """The same number of bytes from each start, uint8[starts, nbytes]."""
        found: NDArray[np.uint8] = self._bytes[starts[:, None] + np.arange(nbytes)]
        return found

    def joined(self, starts: Positions, lengths: NDArray[np.int64]) -> bytes:
        """Bytes from each start, one behind the other."""
        if not len(starts):
            return b""
        if int((starts + lengths).max()) > len(self._bytes):
            raise IndexError("a text ends behind the end of the buffer")
        shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return self._bytes[shifts + np.arange(len(shifts))].tobytes()

    def text(self, table: Positions, number: int) -> str:
        """A text of one table; empty where it has none."""
        start, count = self.vector(table, number)
        return self.data(start, count).decode()

    def check(self, start: int, nbytes: int) -> None:
        """Raises IndexError where some bytes are not in the buffer."""
        if start + nbytes > len(self._bytes):
            raise IndexError(f"{nbytes} bytes from {start} on end behind the buffer's {len(self._bytes)}")
