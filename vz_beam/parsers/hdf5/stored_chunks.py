"""The chunks of one dataset that are stored, as columns, and how they are gathered from its chunk index."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import TruncatedFileError

BATCH_ROWS = 2**13
"""Rows that are turned into columns at once: few enough that what is made meanwhile is small beside the columns."""
_ALL_FILTERS = np.uint32(2**32 - 1)
"""The mask of a chunk that went through no filter."""
_NO_MASK = np.uint32(0)


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """The chunks that are stored, one row each.

    ``numbers`` int64[n], C-order chunk numbers in the grid; ``offsets`` uint64[n] and ``lengths`` uint32[n] or
    uint64[n], bytes; ``masks`` uint32[n], bit ``i`` set where filter ``i`` was skipped.
    """

    numbers: NDArray[np.int64]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.unsignedinteger[Any]]
    masks: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def none(cls) -> StoredChunks:
        """No chunk."""
        return cls(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint32))

    def without(self, rows: NDArray[np.bool_]) -> StoredChunks:
        """The chunks that ``rows`` bool[n] does not mark."""
        return self.rows(~rows)

    def rows(self, rows: NDArray[np.bool_]) -> StoredChunks:
        """The chunks that ``rows`` bool[n] marks."""
        return StoredChunks(self.numbers[rows], self.offsets[rows], self.lengths[rows], self.masks[rows])


@dataclass(frozen=True, slots=True)
class GridPlaces:
    """What the addresses and places that an index of a file tells mean in the grid of its dataset.

    ``grid_shape`` is the number of chunks along each dimension of the dataset now, and ``shape`` its elements;
    ``base`` is what is added to addresses, bytes. ``unfiltered_edges`` of chunks of that shape skip all filters, and no
    mask tells; ``None`` where edges are like all chunks.
    """

    grid_shape: tuple[int, ...]
    shape: tuple[int, ...]
    base: int = 0
    unfiltered_edges: tuple[int, ...] | None = None


class ChunkCollector:
    """Gathers the chunks that an index lists, 24 bytes each, and ignores those outside the grid, left by shrinking."""

    def __init__(self, grid: GridPlaces) -> None:
        lengths = grid.grid_shape
        strides = [math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))]
        self._grid = grid
        self._limits = np.array(lengths, np.int64)
        self._strides = np.array(strides, np.int64)
        self._parts: list[StoredChunks] = []

    def add(
        self,
        places: NDArray[np.int64],
        addresses: NDArray[np.uint64],
        lengths: NDArray[np.unsignedinteger[Any]],
        masks: NDArray[np.uint32],
    ) -> None:
        """Take the chunks at ``places`` int64[n, rank], chunks; the others are ``[n]``, bytes and masks."""
        if not len(places):
            return
        grid = self._grid
        if grid.unfiltered_edges is not None:
            ends = (places + 1) * np.array(grid.unfiltered_edges, np.int64)
            masks = np.where(np.any(ends > np.array(grid.shape, np.int64), axis=1), _ALL_FILTERS, masks)
        offsets = np.array(addresses, np.uint64)
        if grid.base:
            # a sum that runs over 64 bits is the smaller one: the address itself, which lies behind every file's end
            np.maximum(offsets, offsets + np.uint64(grid.base), out=offsets)
        small = lengths.dtype.itemsize <= 4 or int(lengths.max()) < 2**32
        part = StoredChunks(
            places @ self._strides,
            offsets,
            np.array(lengths, np.uint32 if small else np.uint64),
            np.array(masks, np.uint32) if masks.any() else np.broadcast_to(_NO_MASK, masks.shape),
        )
        inside = np.all((places >= 0) & (places < self._limits), axis=1)
        self._parts.append(part if inside.all() else part.rows(inside))

    def chunks(self) -> StoredChunks:
        """All chunks; the collector is empty behind it."""
        parts, self._parts = self._parts, []
        if not parts:
            return StoredChunks.none()
        numbers, offsets = [part.numbers for part in parts], [part.offsets for part in parts]
        lengths, masks = [part.lengths for part in parts], [part.masks for part in parts]
        parts.clear()
        return StoredChunks(_joined(numbers), _joined(offsets), _joined(lengths), _joined_masks(masks))


class Batches:
    """Joins small arrays, and passes them on some thousands of rows at a time.

    Args:
        take: called with as many arrays as each ``add``.
    """

    def __init__(self, take: Callable[..., None]) -> None:
        self._take = take
        self._waiting: list[tuple[NDArray[Any], ...]] = []
        self._rows = 0

    def add(self, *columns: NDArray[Any]) -> None:
        """Columns of equal length."""
        self._waiting.append(columns)
        self._rows += len(columns[0])
        if self._rows >= BATCH_ROWS:
            self.end()

    def end(self) -> None:
        """Pass on what waits."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting:
            self._take(*(_joined(list(column)) for column in zip(*waiting, strict=True)))


def check_inside_file(chunks: StoredChunks, file_nbytes: int, url: str, path: str) -> None:
    """Raise where a chunk reaches over the end of the file."""
    if not len(chunks):
        return
    if int(chunks.offsets.max()) + int(chunks.lengths.max()) <= file_nbytes:
        return
    size = np.uint64(file_nbytes)
    # Written so that no sum can run over 64 bits.
    outside = (chunks.offsets > size) | (chunks.lengths > size - np.minimum(chunks.offsets, size))
    if outside.any():
        row = int(np.argmax(outside))
        raise TruncatedFileError(
            f"{url}: chunk {int(chunks.numbers[row])} of {path!r} lies at bytes {int(chunks.offsets[row])} to "
            f"{int(chunks.offsets[row]) + int(chunks.lengths[row])}, and the file has {file_nbytes}. "
            "Way out: fetch the file again, or leave it out"
        )


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """One array of ``parts``, which is emptied: a column is not held twice."""
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    parts.clear()
    return joined


def _joined_masks(parts: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    if all(part.strides == (0,) for part in parts):
        return np.broadcast_to(_NO_MASK, (sum(map(len, parts)),))
    return np.concatenate(parts)
