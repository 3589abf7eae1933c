"""Uncompressed chunks cut into smaller ones: each a part of the bytes of the one that it was."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import INLINED, ChunkManifest


def with_chunks(array: ManifestArray, chunk_shape: tuple[int, ...]) -> ManifestArray:
    """An uncompressed array in chunks of ``chunk_shape``, which divides its own and is cut along C order."""
    own = array.metadata.chunk_shape
    if chunk_shape == own:
        return array
    assert not array.metadata.codecs
    assert array.metadata.serializer is None
    metadata = replace(array.metadata, chunk_shape=chunk_shape)
    manifest, grid_shape = array.manifest, metadata.chunk_grid.grid_shape
    if not manifest.nrefs:
        return ManifestArray(metadata, ChunkManifest.empty(grid_shape))
    numbers = [np.arange(count) * part for count, part in zip(grid_shape, chunk_shape, strict=True)]
    parents = np.ix_(*(starts // length for starts, length in zip(numbers, own, strict=True)))
    strides = [math.prod(own[axis + 1 :]) * metadata.dtype.itemsize for axis in range(len(own))]
    inside = np.zeros((1,) * len(own), np.uint64)
    for axis, (starts, length) in enumerate(zip(numbers, own, strict=True)):
        along = (starts % length * strides[axis]).astype(np.uint64)
        inside = inside + along.reshape((-1,) + (1,) * (len(own) - 1 - axis))
    ids = manifest.location_ids[parents]
    inlined: dict[int, bytes] = {}
    for number in np.flatnonzero(ids == INLINED).tolist():
        place = np.unravel_index(number, grid_shape)
        parent = tuple(int(i) * part // length for i, part, length in zip(place, chunk_shape, own, strict=True))
        data = manifest.inlined[int(np.ravel_multi_index(parent, manifest.grid_shape))]
        start = int(inside[place])
        inlined[number] = data[start : start + metadata.chunk_nbytes]
    here = ids >= 0
    offsets = np.where(here, manifest.offsets[parents] + inside, np.uint64(0))
    lengths = np.where(here, np.uint64(metadata.chunk_nbytes), np.uint64(0))
    return ManifestArray(metadata, ChunkManifest.from_columns(manifest.locations, ids, offsets, lengths, inlined))
