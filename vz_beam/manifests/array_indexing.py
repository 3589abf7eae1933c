"""Indexing of virtual arrays at chunk borders; what would cut a chunk is refused."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vz_beam.errors import ManifestError
from vz_beam.manifests.chunk_manifest import INLINED, ChunkManifest

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray


class SubChunkIndexingError(ManifestError):
    """An indexer that would cut a chunk."""


def index_array(array: ManifestArray, indexer: Any) -> ManifestArray:
    """The part of ``array`` that ``indexer`` selects.

    Slices start on a chunk border and stop on one or at the end; integers select where chunks are 1 long and drop
    the axis; ``...`` and ``None`` are as in numpy.

    Raises:
        SubChunkIndexingError: an indexer that would cut a chunk.
    """
    entries = _complete(indexer, array.ndim)
    grid_index: list[Any] = []
    shape: list[int] = []
    chunk_shape: list[int] = []
    axis = 0
    for entry in entries:
        if entry is None:
            grid_index.append(None)
            shape.append(1)
            chunk_shape.append(1)
            continue
        length, chunk = array.shape[axis], array.metadata.chunk_shape[axis]
        if isinstance(entry, slice):
            start, stop = _bounds(entry, length, chunk, axis)
            grid_index.append(slice(start // chunk, -(-stop // chunk)))
            shape.append(stop - start)
            chunk_shape.append(chunk)
        else:
            grid_index.append(_position(entry, length, chunk, axis))
        axis += 1
    where = tuple(grid_index)
    manifest = array.manifest
    inlined: dict[int, bytes] = {}
    if manifest.inlined:
        numbers = np.arange(manifest.location_ids.size).reshape(manifest.grid_shape)[where]
        chosen = np.asarray(numbers).ravel()
        kept = np.flatnonzero(manifest.location_ids.ravel()[chosen] == INLINED)
        inlined = {int(new): manifest.inlined[int(chosen[new])] for new in kept}
    ids, offsets, lengths = (np.asarray(c[where]) for c in (manifest.location_ids, manifest.offsets, manifest.lengths))
    names = array.metadata.dimension_names if len(shape) == array.ndim and None not in entries else None
    metadata = replace(array.metadata, shape=tuple(shape), chunk_shape=tuple(chunk_shape), dimension_names=names)
    return type(array)(metadata, ChunkManifest.from_columns(manifest.locations, ids, offsets, lengths, inlined))


def _complete(indexer: Any, ndim: int) -> list[Any]:
    """One entry for each axis, plus those for new axes; ``...`` and trailing axes become full slices."""
    entries = list(indexer) if isinstance(indexer, tuple) else [indexer]
    entries = [e.item() if isinstance(e, np.ndarray) and e.ndim == 0 else e for e in entries]
    dots = [place for place, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    given = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if given > ndim:
        raise IndexError(f"too many indices: the array has {ndim} dimensions, {given} were indexed")
    full = [slice(None)] * (ndim - given)
    place = dots[0] if dots else len(entries)
    return entries[:place] + full + entries[place + 1 :]


def _bounds(entry: slice, length: int, chunk: int, axis: int) -> tuple[int, int]:
    start, stop, step = entry.indices(length)
    stop = max(start, stop)
    if step != 1:
        raise SubChunkIndexingError(f"a step of {step} along axis {axis} cannot be taken from whole chunks")
    if start == stop:
        return 0, 0
    if start % chunk or (stop % chunk and stop != length):
        raise SubChunkIndexingError(
            f"elements {start} to {stop} along axis {axis} do not begin and end on a border of chunks of {chunk}: "
            "widen the selection to chunk borders, load the variable, or select after opening the written store"
        )
    return start, stop


def _position(entry: Any, length: int, chunk: int, axis: int) -> int:
    try:
        position = operator.index(entry)
    except TypeError:
        raise ManifestError(
            f"virtual arrays are indexed by integers, slices, '...' and None, not by {type(entry).__name__} "
            f"(axis {axis})"
        ) from None
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of bounds for axis {axis} of length {length}")
    if chunk != 1:
        raise SubChunkIndexingError(
            f"one element along axis {axis} cannot be taken out of chunks of {chunk}: load the variable, or select "
            "after opening the written store"
        )
    return position % length
