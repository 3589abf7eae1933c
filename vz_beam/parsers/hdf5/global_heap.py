"""The global heap, where values of variable length lie, a collection read and taken apart once.

Source: HDF5 file format specification 4.0, section III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_BYTES = 4096
"""The size of a collection, unless one of its objects is larger; libhdf5 takes a smaller one for damage."""
_LARGEST_BYTES = 2**26
"""A collection above 64 MiB is damage, or of values that no attribute should have: not read here."""
_COLLECTION = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
_FREE_SPACE = 0
HEAP_ID = np.dtype([("nbytes", "<u4"), ("address", "<u8"), ("number", "<u4")])
"""What stands in the place of a value of variable length; ``nbytes`` counts elements, which are bytes of text."""
NOT_STORED = 0
"""The address of a string that was never written."""

ReadMany = Callable[[Sequence[tuple[int, int]]], list[bytes]]
"""Gives the bytes of ranges of addresses of the format, fewer where the file ends."""


class HeapDamage(ValueError):
    """Something that a heap has to hold is not there, or the heap is none that libhdf5 comes to the end of."""


class GlobalHeap:
    """The objects of a file's global heap.

    Args:
        read_many: of the file.
        file_nbytes: collections do not overlap, so they are no larger than the file together.
    """

    __slots__ = ("_collections", "_endless", "_left", "_read_many")

    def __init__(self, read_many: ReadMany, file_nbytes: int) -> None:
        self._read_many = read_many
        self._left = file_nbytes
        self._collections: dict[int, dict[int, bytes]] = {}
        self._endless: set[int] = set()

    def object(self, address: int, number: int) -> bytes:
        """The object ``number`` of the collection at ``address``.

        Raises:
            HeapDamage: there is no such object, or no collection.
        """
        self.load((address,))
        try:
            return self._collections[address][number]
        except KeyError:
            raise HeapDamage(f"there is no object {number} of the global heap at address {address}") from None

    def check(self, addresses: Iterable[int]) -> None:
        """Raise where libhdf5 would not come to the end of one of the collections.

        Raises:
            HeapDamage: says which.
        """
        addresses = list(addresses)
        self.load(addresses)
        for address in addresses:
            if address in self._endless or not self._collections[address]:
                raise HeapDamage(f"there is no whole collection of the global heap at address {address}")

    def load(self, addresses: Iterable[int]) -> None:
        """Read the collections at ``addresses`` together; those that are none have no objects."""
        fresh = [address for address in dict.fromkeys(addresses) if address not in self._collections]
        if not fresh:
            return
        heads = self._read_many([(address, address + _LEAST_BYTES) for address in fresh])
        rests: list[tuple[int, int]] = []
        whole: dict[int, bytes] = {}
        for address, data in zip(fresh, heads, strict=True):
            nbytes = _collection_nbytes(data)
            self._left -= max(nbytes, 0)
            if self._left < 0:
                raise HeapDamage(f"collections of the global heap overlap at address {address}")
            whole[address] = data[: max(nbytes, 0)]
            if nbytes > len(data):
                rests.append((address + len(data), address + nbytes))
        for (start, _), data in zip(rests, self._read_many(rests) if rests else [], strict=True):
            address = next(address for address in fresh if address + len(whole[address]) == start)
            whole[address] += data
        for address, data in whole.items():
            self._collections[address], is_whole = _objects(data)
            if not is_whole:
                self._endless.add(address)


def heap_strings(heap: GlobalHeap, references: NDArray[Any]) -> NDArray[np.object_]:
    """The strings that ``references`` ``HEAP_ID[shape]`` stand for, object[shape] of bytes.

    Raises:
        HeapDamage: a string that is not where it should be.
    """
    rows = references.reshape(-1)
    used = (rows["nbytes"] > 0) & (rows["address"] != NOT_STORED)
    heap.load(rows["address"][used].tolist())
    texts: NDArray[np.object_] = np.empty(len(rows), object)
    texts[:] = b""
    for row, (nbytes, address, number) in zip(np.flatnonzero(used).tolist(), rows[used].tolist(), strict=True):
        data = heap.object(address, number)
        if len(data) < nbytes:
            raise HeapDamage(
                f"a string of {nbytes} bytes is to be object {number} of the global heap at address {address}, which "
                f"has {len(data)} bytes"
            )
        texts[row] = data[:nbytes].partition(b"\0")[0]
    return texts.reshape(references.shape)


def _collection_nbytes(data: bytes) -> int:
    """Size of the collection that ``data`` begins with; 0 where that is none."""
    if len(data) < _COLLECTION.size:
        return 0
    signature, version, nbytes = _COLLECTION.unpack_from(data)
    return int(nbytes) if signature == b"GCOL" and version == 1 and _LEAST_BYTES <= nbytes <= _LARGEST_BYTES else 0


def _objects(data: bytes) -> tuple[dict[int, bytes], bool]:
    """The objects of a collection, and whether they and the free space behind them end where it ends."""
    objects: dict[int, bytes] = {}
    place = _COLLECTION.size
    while place + _OBJECT.size <= len(data):
        number, _, size = _OBJECT.unpack_from(data, place)
        if number == _FREE_SPACE:
            if size < _OBJECT.size:  # this size counts the head as well
                return objects, False
            place += size  # to the end in all files that are well: libhdf5 looks for objects behind it nevertheless
            continue
        place += _OBJECT.size
        objects[number] = data[place : place + size]
        place += (size + 7) // 8 * 8
    return objects, place <= len(data)
