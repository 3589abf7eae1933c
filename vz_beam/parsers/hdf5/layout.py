"""Where the chunks of a dataset lie, as libhdf5 tells it.

Source: HDF5 file format specification 3.0, section IV.A.2.i, "The Data Layout Message".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from h5py import h5d, h5s
from numpy.typing import NDArray

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.parsers.hdf5.stored_chunks import ChunkCollector, GridPlaces, StoredChunks

_LARGEST_GRID = 2**28
"""Chunks of one grid. Its columns take 16 bytes a chunk, 4 GiB here; such a grid is a mistake or damage."""
_FREE_GRID = 2**24
"""Chunks that a grid may have without one of them being stored: their columns take 256 MiB."""
_HAS_CHUNK_ITER = hasattr(h5d.DatasetID, "chunk_iter")  # h5py 3.8 on HDF5 1.10.10, 1.12.3 or later


def contiguous_chunk(did: h5d.DatasetID) -> StoredChunks | None:
    """The one chunk of a contiguous dataset; ``None`` where nothing was ever written."""
    offset = did.get_offset()
    if offset is None:
        return None
    lengths = np.array([did.get_storage_size()], np.uint64)
    return StoredChunks(np.zeros(1, np.int64), np.array([offset], np.uint64), lengths, np.zeros(1, np.uint32))


def stored_chunks(did: h5d.DatasetID, grid: ChunkGrid) -> StoredChunks:
    """The stored chunks of a chunked dataset as libhdf5 tells them; those outside the grid are ignored."""
    rows: list[Any] = []
    if _HAS_CHUNK_ITER:
        did.chunk_iter(rows.append)
    else:
        rows = [did.get_chunk_info(number) for number in range(did.get_num_chunks())]
    if not rows:
        return StoredChunks.none()
    starts, masks, offsets, lengths = zip(*rows, strict=True)
    places = np.array(starts, dtype=np.int64) // np.array(grid.chunk_shape[: did.rank], dtype=np.int64)
    places = _true_places(did, places, grid)
    # an array datatype adds axes of one chunk to the grid
    collector = ChunkCollector(GridPlaces(grid.grid_shape[: did.rank], grid.shape[: did.rank]))
    collector.add(places, np.array(offsets, np.uint64), np.array(lengths, np.uint64), np.array(masks, np.uint32))
    return collector.chunks()


def check_grid_size(grid: ChunkGrid) -> None:
    """Raise UnsupportedError where there are more chunks than a manifest can hold."""
    if grid.size > _LARGEST_GRID:
        raise UnsupportedError(f"its shape {grid.shape} in chunks of {grid.chunk_shape} makes {grid.size} chunks")


def check_columns(grid: ChunkGrid, file_nbytes: int) -> None:
    """Raise UnsupportedError where a manifest of so many chunks is out of all proportion to the file."""
    if grid.size > max(_FREE_GRID, file_nbytes):
        raise UnsupportedError(
            f"its shape {grid.shape} in chunks of {grid.chunk_shape} makes {grid.size} chunks, and the file has "
            f"{file_nbytes} bytes: all but a few are missing, or the file is damaged"
        )


def _true_places(did: h5d.DatasetID, places: NDArray[np.int64], grid: ChunkGrid) -> NDArray[np.int64]:
    """``places`` int64[n, rank], grid positions, put right where libhdf5 tells them wrongly.

    The extensible array, which indexes chunks where one dimension is unlimited, numbers them as if that dimension
    came first. H5Dchunk_iter forgets to undo this (measured with HDF5 2.0.0): it counts the numbers along the
    dimensions as they are, so that all chunks seem to lie at 0 before the unlimited one.
    """
    if places.shape[1] < 2 or places[:, 0].any():
        return places
    limits = did.get_space().get_simple_extent_dims(True)
    unlimited = [axis for axis, limit in enumerate(limits) if limit == h5s.UNLIMITED]
    if len(unlimited) != 1 or unlimited[0] == 0 or places[:, : unlimited[0]].any():
        return places
    axis = unlimited[0]
    most = [-(-limit // chunk) for limit, chunk in zip(limits, grid.chunk_shape, strict=False)]
    behind, others = most[axis + 1 :], most[:axis] + most[axis + 1 :]
    weights = [math.prod(behind[place:]) for place in range(len(behind) + 1)]
    numbers = places[:, axis:] @ np.array(weights, dtype=np.int64)
    corrected = np.empty_like(places)
    corrected[:, axis], rest = np.divmod(numbers, math.prod(others))
    for place, count in reversed(list(enumerate(others))):
        rest, corrected[:, place if place < axis else place + 1] = np.divmod(rest, count)
    told = set(map(tuple, places.tolist()))
    for row in corrected.tolist():
        if tuple(row) not in told:
            # Only one of the two readings has a chunk here, and reading it is the one way to ask.
            return corrected if _is_stored(did, row, grid) else places
    return places


def _is_stored(did: h5d.DatasetID, place: list[int], grid: ChunkGrid) -> bool:
    try:
        did.read_direct_chunk(tuple(i * chunk for i, chunk in zip(place, grid.chunk_shape, strict=False)))
    except RuntimeError as error:
        if "not allocated" in str(error):
            return False
        raise
    return True
