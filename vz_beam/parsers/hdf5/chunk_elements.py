"""Elements of arrays and B-trees that stand for chunks, since HDF5 1.10: their form, their blocks, their columns.

Source: HDF5 file format specification 4.0, sections III.G and III.H, "Fixed Array Index", "Extensible Array Index".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.parsers.hdf5.index_reading import CHECKSUM_NBYTES, UNDEFINED, ChunkIndex
from vz_beam.parsers.hdf5.stored_chunks import Batches, ChunkCollector, StoredChunks

BLOCK_HEAD_NBYTES = 14
"""What each block of an array begins with: signature, version, client, and the address of the array's head."""


def element_form(element_nbytes: int, filtered: bool, rank: int = 0) -> np.dtype[Any] | None:
    """One chunk in an index of HDF5 1.10 or later; ``None`` where no such element has ``element_nbytes`` bytes.

    The size of a filtered chunk takes what the rest leaves. ``rank`` is the number of places behind it, 0 in arrays.
    """
    places = [("place", "<u8", (rank,))] if rank else []
    rest = element_nbytes - 8 - 8 * rank
    if not filtered:
        return np.dtype([("address", "<u8"), *places]) if rest == 0 else None
    if not 1 <= rest - 4 <= 8:
        return None
    return np.dtype([("address", "<u8"), ("length", "u1", (rest - 4,)), ("mask", "<u4"), *places])


@dataclass(frozen=True, slots=True)
class ElementBlock:
    """A block of ``count`` elements behind a head of ``head_nbytes``.

    Head and elements have one checksum, or where there are more than ``page_length`` elements, the head and each page
    of so many have their own.
    """

    address: int
    head_nbytes: int
    form: np.dtype[Any]
    count: int
    page_length: int

    @property
    def pages(self) -> int:
        """Number of pages; 0 where it has none."""
        return pages_of(self.count, self.page_length)

    @property
    def range(self) -> tuple[int, int]:
        """Where it is, addresses."""
        nbytes = self.head_nbytes + self.count * self.form.itemsize + CHECKSUM_NBYTES * (1 + self.pages)
        return self.address, self.address + nbytes

    def elements(self, index: ChunkIndex, data: bytes, used: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Its elements in runs, each with the number of its first, chunks that are not stored included.

        Args:
            index: what it is a part of.
            data: all of the block.
            used: bool[pages], the pages ever written.
        """
        if not self.pages:
            yield 0, self._checked(index, 0, data, self.head_nbytes)
            return
        start = self.head_nbytes + CHECKSUM_NBYTES
        index.check_sum(self.address, data[:start])
        page_nbytes = self.page_length * self.form.itemsize + CHECKSUM_NBYTES
        for page in np.flatnonzero(used).tolist():
            at = start + page * page_nbytes
            yield page * self.page_length, self._checked(index, at, data[at : at + page_nbytes], 0)

    def _checked(self, index: ChunkIndex, at: int, data: bytes, start: int) -> NDArray[Any]:
        index.check_sum(self.address + at, data)
        return np.frombuffer(data[start:-CHECKSUM_NBYTES], self.form)


class ElementCollector:
    """Gathers the chunks that the elements of an array stand for.

    Args:
        index: the array.
        places: grid positions int64[n, rank] of the elements of numbers int64[n].
    """

    def __init__(self, index: ChunkIndex, places: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> None:
        self._chunks = ChunkCollector(index.grid)
        self._batches = Batches(lambda numbers, rows: self._chunks.add(places(numbers), *columns_of(index, rows)))

    def add(self, first: int, elements: NDArray[Any]) -> None:
        """Take ``elements`` ``element_form[n]``, numbered from ``first`` on; those that are not stored are left out."""
        stored = np.flatnonzero(elements["address"] != UNDEFINED)
        if len(stored):
            self._batches.add(stored + first, elements[stored])

    def chunks(self) -> StoredChunks:
        """All chunks."""
        self._batches.end()
        return self._chunks.chunks()


def pages_of(count: int, page_length: int) -> int:
    """Number of pages of a block of ``count`` elements; 0 where it is not paged.

    >>> pages_of(1024, 1024), pages_of(1025, 1024)
    (0, 2)
    """
    return -(-count // page_length) if count > page_length else 0


def columns_of(
    index: ChunkIndex, elements: NDArray[Any]
) -> tuple[NDArray[np.uint64], NDArray[np.unsignedinteger[Any]], NDArray[np.uint32]]:
    """Addresses, lengths and masks of ``elements`` ``element_form[n]``."""
    assert elements.dtype.names is not None
    addresses = elements["address"]
    if "length" not in elements.dtype.names:
        lengths = np.broadcast_to(np.uint64(index.chunk_nbytes), addresses.shape)
        return addresses, lengths, np.broadcast_to(np.uint32(0), addresses.shape)
    digits = elements["length"]
    padded = np.zeros((len(elements), 8), np.uint8)
    padded[:, : digits.shape[1]] = digits
    return addresses, padded.view("<u8")[:, 0], elements["mask"]


def places_of(numbers: NDArray[np.int64], grid_shape: Sequence[int]) -> NDArray[np.int64]:
    """Grid positions int64[n, rank] of C-order chunk numbers; the first length does not matter.

    >>> places_of(np.array([7]), (0, 3)).tolist()
    [[2, 1]]
    """
    places = np.empty((len(numbers), len(grid_shape)), np.int64)
    for axis in range(len(grid_shape) - 1, 0, -1):
        numbers, places[:, axis] = np.divmod(numbers, grid_shape[axis])
    if grid_shape:
        places[:, 0] = numbers
    return places
