"""The values of virtual arrays, read from their chunks and decoded, without a Zarr store in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.errors import FormatError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING
from vz_beam.storage.byte_source import ByteSource

OpenLocation = Callable[[str], ByteSource]
"""Gives the byte source of a URL. Sources stay open, and are not closed here."""
_TOGETHER_BYTES = 64 * 1024 * 1024
"""Encoded chunks that are fetched in one call: those of all coordinates of a file, and not those of a large archive."""


def read_values(arrays: Mapping[str, ManifestArray], open_location: OpenLocation) -> dict[str, NDArray[Any]]:
    """The values of each array, array.dtype[array.shape]; missing chunks read as the fill value, 0 where there is none.

    The chunks of all arrays are fetched together, as many as are small enough.
    """
    values: dict[str, NDArray[Any]] = {}
    for batch in _batches(arrays):
        chunks = _chunks(batch, open_location)
        for name, array in batch.items():
            values[name] = _assembled(name, array, chunks.pop(name))
    return values


def _batches(arrays: Mapping[str, ManifestArray]) -> Iterator[dict[str, ManifestArray]]:
    batch: dict[str, ManifestArray] = {}
    nbytes = 0
    for name, array in arrays.items():
        more = int(array.manifest.lengths.sum())
        if batch and nbytes + more > _TOGETHER_BYTES:
            yield batch
            batch, nbytes = {}, 0
        batch[name] = array
        nbytes += more
    if batch:
        yield batch


def _chunks(arrays: Mapping[str, ManifestArray], open_location: OpenLocation) -> dict[str, dict[int, bytes]]:
    """The encoded chunks of each array by their number, in one call for each file that they lie in."""
    chunks = {name: dict(array.manifest.inlined) for name, array in arrays.items()}
    places: dict[str, list[tuple[str, int]]] = {}
    ranges: dict[str, list[tuple[int, int]]] = {}
    for name, array in arrays.items():
        manifest = array.manifest
        ids, offsets, lengths = (
            column.ravel() for column in (manifest.location_ids, manifest.offsets, manifest.lengths)
        )
        for location, url in enumerate(manifest.locations):
            rows = np.flatnonzero(ids == location).tolist()
            starts, nbytes = offsets[rows].tolist(), lengths[rows].tolist()
            places.setdefault(url, []).extend((name, row) for row in rows)
            ranges.setdefault(url, []).extend((start, start + n) for start, n in zip(starts, nbytes, strict=True))
    for url, wanted in ranges.items():
        fetched = open_location(url).read_many(wanted) if wanted else []
        for (name, row), data in zip(places[url], fetched, strict=True):
            chunks[name][row] = data
    return chunks


def _assembled(name: str, array: ManifestArray, chunks: Mapping[int, bytes]) -> NDArray[Any]:
    metadata, manifest = array.metadata, array.manifest
    fill = metadata.fill_value
    if metadata.dtype.kind == "T":
        values: NDArray[Any] = np.full(metadata.shape, fill or "", dtype=object)
    else:
        values = np.full(metadata.shape, np.zeros((), metadata.dtype) if fill is None else fill, dtype=metadata.dtype)
    if len(chunks) == 1 and values.shape == metadata.chunk_shape and MISSING not in manifest.location_ids:
        return _decoded(name, array, 0, chunks[0], metadata.chunk_shape)
    grid = metadata.chunk_grid
    places = itertools.product(*map(range, manifest.grid_shape))
    for number, place in enumerate(places):
        if number in chunks:
            where = grid.region(place)
            chunk = _decoded(name, array, number, chunks[number], grid.chunk_shape_at(place))
            values[where] = chunk[tuple(slice(0, s.stop - s.start) for s in where)]
    return values


def _decoded(name: str, array: ManifestArray, number: int, data: bytes, chunk_shape: tuple[int, ...]) -> NDArray[Any]:
    metadata = array.metadata
    try:
        return decode_chunk(metadata.with_shape(chunk_shape, chunk_shape) if metadata.uneven_chunks else metadata, data)
    except VzBeamError:
        raise
    except Exception as error:  # codecs have errors of their own, zlib.error for one
        location = int(array.manifest.location_ids.flat[number])
        offset = int(array.manifest.offsets.flat[number])
        where = f"{array.manifest.locations[location]} at byte {offset:,}" if location >= 0 else "inlined"
        raise FormatError(
            f"chunk {number} of {name!r} ({where}, {len(data):,} bytes) cannot be decoded as its metadata says: "
            f"{type(error).__name__}: {str(error)[:200]}. Way out: leave the variable out (drop_variables=[{name!r}])"
        ) from error
