"""Where the chunks of a dataset lie.

Source: HDF5 file format specification 3.0, section IV.A.2.i, "The Data Layout Message".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from vz_beam.errors import TruncatedFileError, UnsupportedError
from vz_beam.manifests.chunk_grid import ChunkGrid

_LARGEST_GRID = 2**28
"""Chunks of one grid. Its columns take 16 bytes a chunk, 4 GiB here; such a grid is a mistake or damage."""
_HAS_CHUNK_ITER = hasattr(h5d.DatasetID, "chunk_iter")  # h5py 3.8 on HDF5 1.10.10, 1.12.3 or later


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """The chunks that are stored, one row each.

    ``numbers`` int64[n], C-order chunk numbers in the grid; ``offsets`` and ``lengths`` uint64[n], bytes;
    ``masks`` int64[n], bit ``i`` set where filter ``i`` was skipped.
    """

    numbers: NDArray[np.int64]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    masks: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)


def contiguous_chunk(did: h5d.DatasetID) -> StoredChunks | None:
    """The one chunk of a contiguous dataset; ``None`` where nothing was ever written."""
    offset = did.get_offset()
    if offset is None:
        return None
    return _columns([0], [offset], [did.get_storage_size()], [0])


def stored_chunks(did: h5d.DatasetID, grid: ChunkGrid) -> StoredChunks:
    """The stored chunks of a chunked dataset; those outside the grid, left by shrinking, are ignored.

    Raises:
        UnsupportedError: more chunks than a manifest can hold.
    """
    if grid.size > _LARGEST_GRID:
        raise UnsupportedError(f"its shape {grid.shape} in chunks of {grid.chunk_shape} makes {grid.size} chunks")
    rows: list[Any] = []
    if _HAS_CHUNK_ITER:
        did.chunk_iter(rows.append)
    else:
        rows = [did.get_chunk_info(number) for number in range(did.get_num_chunks())]
    if not rows:
        return _columns([], [], [], [])
    starts, masks, offsets, lengths = zip(*rows, strict=True)
    places = np.array(starts, dtype=np.int64) // np.array(grid.chunk_shape, dtype=np.int64)
    inside = (places < np.array(grid.grid_shape)).all(axis=1)
    strides = [math.prod(grid.grid_shape[axis + 1 :]) for axis in range(len(grid.shape))]
    chunks = _columns(places @ np.array(strides, dtype=np.int64), offsets, lengths, masks)
    return chunks if inside.all() else _rows(chunks, inside)


def without(chunks: StoredChunks, rows: NDArray[np.bool_]) -> StoredChunks:
    """The chunks that ``rows`` bool[n] does not mark."""
    return _rows(chunks, ~rows)


def check_inside_file(chunks: StoredChunks, file_nbytes: int, url: str, path: str) -> None:
    """Raise where a chunk reaches over the end of the file."""
    if not len(chunks):
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


def high_level(did: h5d.DatasetID) -> h5py.Dataset:
    """The dataset with h5py's selections and conversions."""
    return h5py.Dataset(did)


def _columns(numbers: Any, offsets: Any, lengths: Any, masks: Any) -> StoredChunks:
    return StoredChunks(
        np.array(numbers, dtype=np.int64),
        np.array(offsets, dtype=np.uint64),
        np.array(lengths, dtype=np.uint64),
        np.array(masks, dtype=np.int64),
    )


def _rows(chunks: StoredChunks, rows: NDArray[np.bool_]) -> StoredChunks:
    return StoredChunks(chunks.numbers[rows], chunks.offsets[rows], chunks.lengths[rows], chunks.masks[rows])
