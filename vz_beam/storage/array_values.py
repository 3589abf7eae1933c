"""The values of a virtual array, read from its chunks and decoded, without a Zarr store in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING
from vz_beam.storage.byte_source import ByteSource


def read_values(array: ManifestArray, open_location: Callable[[str], ByteSource]) -> NDArray[Any]:
    """The array's values, array.dtype[array.shape]; missing chunks read as the fill value, 0 where there is none.

    Args:
        array: the virtual array.
        open_location: gives the byte source of a URL; sources stay open and are not closed here.
    """
    metadata, manifest = array.metadata, array.manifest
    fill = metadata.fill_value
    if metadata.dtype.kind == "T":
        values: NDArray[Any] = np.full(metadata.shape, fill or "", dtype=object)
    else:
        values = np.full(metadata.shape, np.zeros((), metadata.dtype) if fill is None else fill, dtype=metadata.dtype)
    ids = manifest.location_ids.ravel()
    chunks: dict[int, bytes] = dict(manifest.inlined)
    for location, url in enumerate(manifest.locations):
        rows = np.flatnonzero(ids == location)
        if not len(rows):
            continue
        starts = manifest.offsets.ravel()[rows].tolist()
        lengths = manifest.lengths.ravel()[rows].tolist()
        ranges = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        chunks.update(zip(rows.tolist(), open_location(url).read_many(ranges), strict=True))
    if MISSING not in ids and values.shape == metadata.chunk_shape and len(chunks) == 1:
        return decode_chunk(metadata, chunks[0])
    places = itertools.product(*map(range, manifest.grid_shape))
    for number, place in enumerate(places):
        if number in chunks:
            where = tuple(
                slice(i * c, min((i + 1) * c, n))
                for i, c, n in zip(place, metadata.chunk_shape, metadata.shape, strict=True)
            )
            chunk = decode_chunk(metadata, chunks[number])
            values[where] = chunk[tuple(slice(0, s.stop - s.start) for s in where)]
    return values
