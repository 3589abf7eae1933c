"""Datasets of strings of variable length, read without libhdf5, which may never return from damage (measured, 2.0.0).

Source: HDF5 file format specification 4.0, sections IV.A.2.d, "The Datatype Message", class 9, and III.E, "Disk Format:
Level 1E - Global Heap".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.filters import FilterPipeline
from vz_beam.parsers.hdf5.global_heap import HEAP_ID, HeapDamage, heap_strings
from vz_beam.parsers.hdf5.object_header import Message
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks

_LAYOUT, _COMPACT, _FIRST_COMPACT = 0x08, 0, 3
"""The layout message, its class of values in the header, and the version from which size and values follow that."""


def stored_strings(
    file: OpenFile, grid: ChunkGrid, pipeline: FilterPipeline, stored: StoredChunks
) -> NDArray[np.object_] | None:
    """The strings of a dataset as bytes, object[grid.shape]; ``None`` where not all of them are stored, or decodable.

    Raises:
        HeapDamage: a string that is not where it should be.
    """
    if len(stored) < grid.size or pipeline.undecodable:
        return None
    stand_in = ArrayMetadata(grid.shape, np.dtype(f"V{HEAP_ID.itemsize}"), grid.chunk_shape, codecs=pipeline.codecs)
    ranges = zip(stored.offsets.tolist(), stored.lengths.tolist(), strict=True)
    pieces = file.bytes.read_many([(offset, offset + length) for offset, length in ranges])
    references: NDArray[Any] = np.empty(grid.shape, HEAP_ID)
    for number, mask, data in zip(stored.numbers.tolist(), stored.masks.tolist(), pieces, strict=True):
        place = np.unravel_index(number, grid.grid_shape) if grid.grid_shape else ()
        start = tuple(int(i) * c for i, c in zip(place, grid.chunk_shape, strict=True))
        where = tuple(slice(s, min(s + c, n)) for s, c, n in zip(start, grid.chunk_shape, grid.shape, strict=True))
        try:
            chunk = decode_chunk(replace(stand_in, codecs=pipeline.applied(mask)), data)
        except Exception as error:  # codecs raise whatever they like
            raise HeapDamage(f"chunk {number} cannot be decoded: {error}") from error
        references[where] = chunk.view(HEAP_ID)[tuple(slice(0, part.stop - part.start) for part in where)]
    return heap_strings(file.heap, references)


def compact_strings(file: OpenFile, shape: tuple[int, ...], messages: Sequence[Message]) -> NDArray[np.object_] | None:
    """The strings of a dataset whose values stand in its header, as bytes, object[shape]; ``None`` in old headers.

    Raises:
        HeapDamage: a string that is not where it should be.
    """
    body = next((message.body for message in messages if message.kind == _LAYOUT), b"")
    nbytes = math.prod(shape) * HEAP_ID.itemsize
    if len(body) < 4 + nbytes or body[0] < _FIRST_COMPACT or body[1] != _COMPACT:
        return None
    return heap_strings(file.heap, np.frombuffer(body, HEAP_ID, math.prod(shape), 4).reshape(shape))
