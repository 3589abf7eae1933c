"""Datasets of strings of variable length, read without libhdf5, which may never return from damage (measured, 2.0.0).

Source: HDF5 file format specification 4.0, sections IV.A.2.d, "The Datatype Message", class 9, IV.A.2.f, "The Fill
Value Message", and III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.filters import FilterPipeline
from vz_beam.parsers.hdf5.global_heap import HEAP_ID, HeapDamage, heap_strings
from vz_beam.parsers.hdf5.object_header import Message
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks

_LAYOUT, _COMPACT, _FIRST_COMPACT = 0x08, 0, 3
"""The layout message, its class of values in the header, and the version from which size and values follow that."""

_FILL, _SHARED = 0x05, 0x02
"""The fill value message, and the flag of one that stands elsewhere."""
_FIRST_WITH_FLAGS, _DEFINED = 3, 0x20
"""The version of the fill value message from which it has flags, and the flag of one that has a value."""


def stored_strings(
    file: OpenFile, grid: ChunkGrid, pipeline: FilterPipeline, stored: StoredChunks, fill: str
) -> NDArray[np.object_] | None:
    """The strings of a dataset as bytes, object[grid.shape], ``fill`` in chunks that are not stored.

    libhdf5 cannot read those of a file that is open for reading only: it writes each fill to the heap first, where a
    part of the chunks is stored (measured, 2.0.0). ``None`` where a chunk is not decodable.

    Raises:
        HeapDamage: a string that is not where it should be.
    """
    if pipeline.undecodable and len(stored):
        return None
    stand_in = ArrayMetadata(grid.shape, np.dtype(f"V{HEAP_ID.itemsize}"), grid.chunk_shape, codecs=pipeline.codecs)
    ranges = zip(stored.offsets.tolist(), stored.lengths.tolist(), strict=True)
    pieces = file.bytes.read_many([(offset, offset + length) for offset, length in ranges])
    references: NDArray[Any] = np.zeros(grid.shape, HEAP_ID)
    is_stored: NDArray[np.bool_] = np.zeros(grid.shape, bool)
    for number, mask, data in zip(stored.numbers.tolist(), stored.masks.tolist(), pieces, strict=True):
        place = np.unravel_index(number, grid.grid_shape) if grid.grid_shape else ()
        start = tuple(int(i) * c for i, c in zip(place, grid.chunk_shape, strict=True))
        where = tuple(slice(s, min(s + c, n)) for s, c, n in zip(start, grid.chunk_shape, grid.shape, strict=True))
        try:
            chunk = decode_chunk(replace(stand_in, codecs=pipeline.applied(mask)), data)
        except Exception as error:  # codecs raise whatever they like
            raise HeapDamage(f"chunk {number} cannot be decoded: {error}") from error
        references[where] = chunk.view(HEAP_ID)[tuple(slice(0, part.stop - part.start) for part in where)]
        is_stored[where] = True
    texts = heap_strings(file.heap, references)
    texts[~is_stored] = fill.encode()
    return texts


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


def string_fill(file: OpenFile, messages: Sequence[Message]) -> str | None:
    """What strings that were never written read as; ``None`` where only libhdf5 knows.

    Raises:
        HeapDamage: it is not where it should be.
    """
    message = next((message for message in messages if message.kind == _FILL), None)
    if message is None or message.flags & _SHARED:
        return None
    try:
        value = _fill_bytes(message.body)
    except (struct.error, IndexError):
        return None
    if len(value) != HEAP_ID.itemsize:
        return "" if not value else None
    return text_of(heap_strings(file.heap, np.frombuffer(value, HEAP_ID))[0])


def _fill_bytes(body: bytes) -> bytes:
    """The value of a fill value message, empty where it has none."""
    version, flags = body[0], body[1]
    if version >= _FIRST_WITH_FLAGS:
        start, is_defined = 2, bool(flags & _DEFINED)
    else:
        start, is_defined = 4, version == 1 or bool(body[3])
    if not is_defined:
        return b""
    (nbytes,) = struct.unpack_from("<i", body, start)
    return body[start + 4 : start + 4 + nbytes] if nbytes > 0 else b""
