"""Values of a few elements of virtual arrays, for what has to be inlined: read from no more chunks than they lie in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.parsers.hdf5.block_runs import dividing_chunk
from vz_beam.parsers.hdf5.divided_chunks import with_chunks

MOST_BYTES = 2**26
"""Decoded chunks that may be read for one variable. What is inlined is at most a few MiB, and lies in some chunks."""

_MOST_ROWS = 2**20
"""Rows that a large uncompressed chunk is cut into, 16 bytes of memory each."""


class SourceValues:
    """Reads values of arrays, and keeps the chunks that it decoded.

    Args:
        read: the bytes of a URL from one place to another.
    """

    def __init__(self, read: Callable[[str, int, int], bytes]) -> None:
        self._read = read
        self._chunks: dict[tuple[int, int], NDArray[Any]] = {}
        self._arrays: dict[tuple[int, tuple[int, ...]], tuple[ManifestArray, ManifestArray]] = {}
        self._nbytes = 0

    def box(self, array: ManifestArray, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """The values from ``start`` to ``stop``, half open; missing chunks are the array's fill value.

        Raises:
            UnsupportedError: in chunks of more than ``MOST_BYTES`` together.
        """
        array = self._in_small_chunks(array, tuple(b - a for a, b in zip(start, stop, strict=True)))
        metadata = array.metadata
        values = filled(array, tuple(b - a for a, b in zip(start, stop, strict=True)))
        ranges = [range(a // c, -(-b // c)) for a, b, c in zip(start, stop, metadata.chunk_shape, strict=True)]
        for place in itertools.product(*ranges):
            chunk = self._chunk(array, place)
            if chunk is None:
                continue
            corner = [i * c for i, c in zip(place, metadata.chunk_shape, strict=True)]
            lows = [max(a, o) for a, o in zip(start, corner, strict=True)]
            highs = [min(b, o + c) for b, o, c in zip(stop, corner, metadata.chunk_shape, strict=True)]
            inside = tuple(slice(a - o, b - o) for a, b, o in zip(lows, highs, corner, strict=True))
            where = tuple(slice(a - o, b - o) for a, b, o in zip(lows, highs, start, strict=True))
            values[where] = chunk[inside]
        return values

    def _in_small_chunks(self, array: ManifestArray, shape: tuple[int, ...]) -> ManifestArray:
        """Uncompressed chunks in rows as long as what is asked for, so that not all of a large one is read."""
        metadata = array.metadata
        if metadata.codecs or metadata.serializer is not None or metadata.chunk_nbytes <= MOST_BYTES // 64:
            return array
        rows = dividing_chunk(metadata.chunk_shape, (1,) * (len(shape) - 1) + metadata.chunk_shape[-1:])
        if array.size // math.prod(rows) > _MOST_ROWS:
            return array
        key = (id(array), rows)
        if key not in self._arrays:
            self._arrays[key] = (array, with_chunks(array, rows))  # the array too: its id must stay its own
        return self._arrays[key][1]

    def _chunk(self, array: ManifestArray, place: tuple[int, ...]) -> NDArray[Any] | None:
        manifest = array.manifest
        number = int(np.ravel_multi_index(place, manifest.grid_shape)) if place else 0
        key = (id(array), number)
        if key in self._chunks:
            return self._chunks[key]
        entry = manifest.get_entry(place)
        if entry is None:
            return None
        self._nbytes += array.metadata.chunk_nbytes
        if self._nbytes > MOST_BYTES:
            raise UnsupportedError(f"more than {MOST_BYTES} bytes of its sources would have to be read for that")
        data = entry.data
        if data is None:
            data = self._read(entry.path, entry.offset, entry.offset + entry.length)
        self._arrays.setdefault((id(array), ()), (array, array))
        self._chunks[key] = decode_chunk(array.metadata, data)
        return self._chunks[key]


def filled(array: ManifestArray, shape: tuple[int, ...]) -> NDArray[Any]:
    """``shape`` elements of the array's fill value, 0 where it has none."""
    metadata = array.metadata
    if metadata.dtype.kind == "T":
        return np.full(shape, metadata.fill_value or "", dtype=object)
    fill = np.zeros((), metadata.dtype) if metadata.fill_value is None else metadata.fill_value
    return np.full(shape, fill, dtype=metadata.dtype)
