"""Chunk indexes of datasets of limited size: fixed arrays, and chunks that simply follow each other.

Source: HDF5 file format specification 4.0, sections III.G, "Disk Format: Level 1G - Fixed Array Index", and VIII.B,
"Implicit Index".
"""

from __future__ import annotations

import math
import struct

import numpy as np

from vz_beam.parsers.hdf5.chunk_elements import (
    BLOCK_HEAD_NBYTES,
    ElementBlock,
    ElementCollector,
    element_form,
    pages_of,
    places_of,
)
from vz_beam.parsers.hdf5.index_reading import UNDEFINED, ChunkIndex, Reading
from vz_beam.parsers.hdf5.stored_chunks import BATCH_ROWS, StoredChunks

_HEAD = struct.Struct("<4sBBBBQQI")


def fixed_array_chunks(index: ChunkIndex, file_nbytes: int) -> Reading[StoredChunks]:
    """The chunks that a fixed array lists."""
    (data,) = yield [(index.address, index.address + _HEAD.size)]
    index.check_block(index.address, data, b"FAHD")
    _, _, client, element_nbytes, page_bits, count, address, _ = _HEAD.unpack(data)
    form = element_form(element_nbytes, filtered=client == 1)
    grid_shape = _limited(index)
    if form is None or client > 1 or grid_shape is None or count != math.prod(grid_shape):
        raise index.damage(
            index.address, f"a fixed array of {count} elements of {element_nbytes} bytes for the grid {grid_shape}"
        )
    collector = ElementCollector(index, lambda numbers: places_of(numbers, grid_shape))
    if address == UNDEFINED:
        return collector.chunks()
    if count * element_nbytes > file_nbytes:
        raise index.damage(index.address, f"a fixed array of {count} elements, more than the file has room for")
    pages = pages_of(count, 1 << page_bits)
    block = ElementBlock(address, BLOCK_HEAD_NBYTES + (pages + 7) // 8, form, count, 1 << page_bits)
    (data,) = yield [block.range]
    index.check_signature(address, data, b"FADB")
    used = np.unpackbits(np.frombuffer(data, np.uint8, (pages + 7) // 8, BLOCK_HEAD_NBYTES))[:pages]
    for first, elements in block.elements(index, data, used.astype(bool)):
        collector.add(first, elements)
    return collector.chunks()


def implicit_chunks(index: ChunkIndex, file_nbytes: int) -> StoredChunks:
    """Chunks without filters that follow each other, all of them stored."""
    grid_shape = _limited(index)
    if grid_shape is None or math.prod(grid_shape) * index.chunk_nbytes > file_nbytes:
        raise index.damage(index.address, f"an implicit index of the grid {grid_shape}, too large for the file")
    collector = ElementCollector(index, lambda numbers: places_of(numbers, grid_shape))
    count = math.prod(grid_shape)
    for first in range(0, count, BATCH_ROWS):
        numbers = np.arange(first, min(first + BATCH_ROWS, count), dtype=np.uint64)
        addresses = np.uint64(index.address) + numbers * np.uint64(index.chunk_nbytes)
        collector.add(first, addresses.view([("address", "<u8")]))
    return collector.chunks()


def _limited(index: ChunkIndex) -> tuple[int, ...] | None:
    """The largest grid; ``None`` where it has no end."""
    limits = tuple(limit for limit in index.grid_limits if limit is not None)
    return limits if len(limits) == index.rank else None
