"""Parts of a file that are fetched together, and cut or read only when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload


class Pieces(Sequence[bytes]):
    """The bytes of ``ranges``, each from ``read`` whenever it is asked for: who takes them in turn holds one."""

    __slots__ = ("_ranges", "_read")

    def __init__(self, read: Callable[[int, int], bytes], ranges: Sequence[tuple[int, int]]) -> None:
        self._read = read
        self._ranges = ranges

    def __len__(self) -> int:
        return len(self._ranges)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> Pieces: ...

    def __getitem__(self, place: int | slice) -> bytes | Pieces:
        if isinstance(place, slice):
            return Pieces(self._read, self._ranges[place])
        return self._read(*self._ranges[place])
