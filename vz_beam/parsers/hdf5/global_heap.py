"""The global heap, where values of variable length lie, a collection read and taken apart once.

Source: HDF5 file format specification 3.0, section III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Callable

_USUAL_BYTES = 4096
"""The size of a collection, unless one of its objects is larger."""
_LARGEST_BYTES = 2**26
"""A collection above 64 MiB is damage, or of values that no attribute should have: not read here."""
_COLLECTION = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
_FREE_SPACE = 0


class HeapDamage(ValueError):
    """Something that the heap has to hold is not there."""


class GlobalHeap:
    """The objects of a file's global heap. ``read(start, stop)`` gives bytes at addresses of the format."""

    __slots__ = ("_collections", "_read")

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._collections: dict[int, dict[int, bytes]] = {}

    def object(self, address: int, number: int) -> bytes:
        """The object ``number`` of the collection at ``address``.

        Raises:
            LookupError: there is no such object, or no collection.
        """
        if address not in self._collections:
            self._collections[address] = self._objects(address)
        return self._collections[address][number]

    def _objects(self, address: int) -> dict[int, bytes]:
        data = self._read(address, address + _USUAL_BYTES)
        if len(data) < _COLLECTION.size:
            raise LookupError(address)
        signature, version, nbytes = _COLLECTION.unpack_from(data)
        if signature != b"GCOL" or version != 1 or nbytes > _LARGEST_BYTES:
            raise LookupError(address)
        if nbytes > len(data):
            data += self._read(address + len(data), address + nbytes)
        objects: dict[int, bytes] = {}
        place = _COLLECTION.size
        while place + _OBJECT.size <= min(nbytes, len(data)):
            number, _, size = _OBJECT.unpack_from(data, place)
            if number == _FREE_SPACE:
                break
            place += _OBJECT.size
            objects[number] = data[place : place + size]
            place += (size + 7) // 8 * 8
        return objects
