"""Which chunks of an array are taken along each axis, and which part of their bytes: all selecting ends here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import NeedsValuesError
from vz_beam.manifests.axis_order import stored_order, without_transpose
from vz_beam.manifests.chunk_grid import UnevenChunks
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray

HOLE = -1
"""In place of a chunk's number: there is none."""


class SubChunkIndexingError(NeedsValuesError):
    """An indexer that would cut a chunk."""


@dataclass(frozen=True, slots=True)
class AxisPart:
    """What is taken along one axis.

    Args:
        length: elements of the result.
        chunk: elements of the result's chunks, at most those of the array's.
        parents: int64[chunks of the result], numbers of the array's chunks, or ``HOLE``.
        starts: int64[chunks of the result], elements of the parent before the part that is taken.
    """

    length: int
    chunk: int
    parents: NDArray[np.int64]
    starts: NDArray[np.int64]


def whole_chunks(length: int, chunk: int, parents: Any) -> AxisPart:
    """The part of an axis that is made of the whole chunks ``parents``."""
    numbers = np.asarray(parents, np.int64)
    return AxisPart(length, chunk, numbers, np.zeros(len(numbers), np.int64))


def sub_manifest(manifest: ChunkManifest, chunks: tuple[slice, ...]) -> ChunkManifest:
    """The chunks in a box of the grid, with the locations that they use."""
    ids, offsets, lengths = (
        np.asarray(column[chunks]) for column in (manifest.location_ids, manifest.offsets, manifest.lengths)
    )
    used = np.unique(ids[ids >= 0])
    table = np.arange(len(manifest.locations) + 2, dtype=np.int32)
    table[used] = np.arange(len(used), dtype=np.int32)
    table[INLINED], table[MISSING] = INLINED, MISSING
    inlined: dict[int, bytes] = {}
    if manifest.inlined:
        numbers = np.arange(math.prod(manifest.grid_shape)).reshape(manifest.grid_shape)[chunks].ravel().tolist()
        inlined = {row: manifest.inlined[number] for row, number in enumerate(numbers) if number in manifest.inlined}
    return ChunkManifest.from_columns(
        tuple(manifest.locations[i] for i in used),
        np.asarray(table[ids]),
        offsets,
        lengths,
        inlined,
    )


def whole_chunks_between(array: ManifestArray, ranges: Sequence[range]) -> ManifestArray:
    """The part of an array in the elements ``ranges``, one range for each axis, of whatever lengths its chunks are.

    Raises:
        SubChunkIndexingError: ranges that begin or end inside a chunk, or leave elements out.
    """
    metadata, grid = array.metadata, array.metadata.chunk_grid
    chunk_shape, boxes = list(grid.chunk_shape), []
    uneven: dict[int, UnevenChunks] = {}
    for axis, wanted in enumerate(ranges):
        places = grid.places(axis, wanted.start, wanted.stop)
        if places and not (
            wanted.step == 1
            and wanted.start == grid.start(axis, places[0])
            and wanted.stop in (grid.stop(axis, places[-1]), grid.shape[axis])
        ):
            raise SubChunkIndexingError(
                f"elements {wanted.start} to {wanted.stop} along axis {axis} are not the whole chunks that an array of "
                f"chunks of {grid.shown} elements, a rectilinear grid, can be cut into: its chunks there begin at "
                f"{grid.start(axis, places[0])} and end at {grid.stop(axis, places[-1])}"
            )
        boxes.append(slice(places.start, places.stop))
        if axis in grid.uneven and places:
            lengths = grid.uneven[axis].lengths[boxes[-1]]
            chunk_shape[axis] = int(lengths.max())
            if (lengths != lengths[0]).any():
                uneven[axis] = UnevenChunks(lengths)
    shape = tuple(map(len, ranges))
    new = replace(metadata, shape=shape, chunk_shape=tuple(chunk_shape), uneven_chunks=uneven)
    return type(array)(new, sub_manifest(array.manifest, tuple(boxes)))


def take(array: ManifestArray, parts: Sequence[AxisPart], metadata: ArrayMetadata | None = None) -> ManifestArray:
    """The chunks that ``parts`` name, one part for each axis; ``metadata`` is that of the array unless given.

    Raises:
        SubChunkIndexingError: a part of a chunk whose bytes do not lie together.
    """
    old, manifest = array.metadata, array.manifest
    chunk_shape = tuple(part.chunk for part in parts)
    new = replace(metadata or old, shape=tuple(part.length for part in parts), chunk_shape=chunk_shape)
    grid_shape = new.chunk_grid.grid_shape
    if not parts:
        return type(array)(new, manifest)
    if not manifest.nrefs:
        return type(array)(new, ChunkManifest.empty(grid_shape))
    parents = np.ix_(*(part.parents for part in parts))
    columns: list[NDArray[Any]] = [manifest.location_ids, manifest.offsets, manifest.lengths]
    ids, offsets, lengths = (column[parents] for column in columns)
    holes = np.zeros((1,) * len(parts), np.bool_)
    for numbers in parents:
        holes = holes | (numbers == HOLE)
    if holes.any():
        ids, offsets, lengths = _emptied(holes, ids, offsets, lengths)
    cut = chunk_shape != old.chunk_shape or any(part.starts.any() for part in parts)
    if cut:
        offsets, lengths = _cut(old, new, parts, ids, offsets, lengths)
    inlined = _inlined(array, new, parts, ids, cut) if manifest.inlined else {}
    return type(array)(new, ChunkManifest.from_columns(manifest.locations, ids, offsets, lengths, inlined))


def with_holes(array: ManifestArray, holes: NDArray[np.bool_], metadata: ArrayMetadata) -> ManifestArray:
    """The array without the chunks at ``holes``, bool[grid_shape]; ``metadata`` says what they read as."""
    manifest = array.manifest
    ids, offsets, lengths = _emptied(holes, manifest.location_ids, manifest.offsets, manifest.lengths)
    inlined = {number: data for number, data in manifest.inlined.items() if not holes.flat[number]}
    return type(array)(metadata, ChunkManifest.from_columns(manifest.locations, ids, offsets, lengths, inlined))


def check_bytes_are_elements(metadata: ArrayMetadata) -> None:
    """Refuses arrays whose chunks are not simply their elements, one after the other.

    Raises:
        SubChunkIndexingError: compressed or otherwise encoded chunks, and elements of varying length.
    """
    codecs = [codec.name for codec in without_transpose(metadata)]
    if metadata.serializer is not None:
        codecs.insert(0, metadata.serializer.name)
    if codecs or metadata.dtype.kind in "OT":
        why = f"are encoded by {', '.join(codecs)}" if codecs else f"hold {metadata.dtype} of varying length"
        raise SubChunkIndexingError(
            f"chunks of {metadata.chunk_shape} elements {why} and cannot be cut: widen the selection to chunk borders, "
            "load the variable, or select after opening the written store"
        )


def are_bytes_elements(metadata: ArrayMetadata) -> bool:
    """Whether chunks are simply their elements, one after the other, so that references to parts give elements."""
    try:
        check_bytes_are_elements(metadata)
    except SubChunkIndexingError:
        return False
    return True


def check_bytes_are_together(metadata: ArrayMetadata, chunk_shape: tuple[int, ...]) -> None:
    """Refuses parts of ``chunk_shape`` elements that are more than one run of bytes of the array's chunks.

    Raises:
        SubChunkIndexingError: names the axis.
    """
    order = stored_order(metadata)
    cut = [axis for axis in order if chunk_shape[axis] != metadata.chunk_shape[axis]]
    if not cut:
        return
    slower = order[: order.index(cut[-1])]
    if wide := [axis for axis in slower if chunk_shape[axis] != 1]:
        raise SubChunkIndexingError(
            f"{chunk_shape} elements of chunks of {metadata.chunk_shape} are no single run of bytes: along axis "
            f"{cut[-1]} chunks can be cut only where they are 1 long along axis {wide[-1]}"
        )


def _emptied(holes: NDArray[np.bool_], ids: NDArray[Any], *places: NDArray[Any]) -> list[NDArray[Any]]:
    """The columns without the chunks at ``holes``."""
    return [np.where(holes, ids.dtype.type(MISSING), ids), *(np.where(holes, p.dtype.type(0), p) for p in places)]


def _cut(
    old: ArrayMetadata,
    new: ArrayMetadata,
    parts: Sequence[AxisPart],
    ids: NDArray[np.int32],
    offsets: NDArray[np.uint64],
    lengths: NDArray[Any],
) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """Offsets and lengths of parts of chunks."""
    if (ids == MISSING).all():
        return offsets, lengths
    check_bytes_are_elements(old)
    here = ids >= 0
    if not here.any():
        return offsets, lengths
    check_bytes_are_together(old, new.chunk_shape)
    if (other := lengths[here & (lengths != old.chunk_nbytes)]).size:
        raise SubChunkIndexingError(
            f"a chunk has {other[0]} bytes, and {old.chunk_shape} elements of {old.dtype} have {old.chunk_nbytes}: "
            "it cannot be cut"
        )
    inside = np.zeros((1,) * len(parts), np.uint64)
    for axis, part in enumerate(parts):
        along = (part.starts * _stride(old, axis)).astype(np.uint64)
        inside = inside + along.reshape((-1,) + (1,) * (len(parts) - 1 - axis))
    return (
        np.where(here, offsets + inside, np.uint64(0)),
        np.where(here, np.uint64(new.chunk_nbytes), np.uint64(0)),
    )


def _stride(metadata: ArrayMetadata, axis: int) -> int:
    """Bytes between neighbours along an axis in an unencoded chunk."""
    order = stored_order(metadata)
    faster = order[order.index(axis) + 1 :]
    return math.prod(metadata.chunk_shape[other] for other in faster) * metadata.dtype.itemsize


def _inlined(
    array: ManifestArray, new: ArrayMetadata, parts: Sequence[AxisPart], ids: NDArray[np.int32], cut: bool
) -> dict[int, bytes]:
    """The inlined chunks of the result by number, cut where it cuts; such bytes need not lie together."""
    old, manifest = array.metadata, array.manifest
    numbers = np.flatnonzero(ids == INLINED)
    places = np.unravel_index(numbers, ids.shape)
    parents = np.ravel_multi_index(
        tuple(part.parents[place] for part, place in zip(parts, places, strict=True)), manifest.grid_shape
    )
    if not cut:
        return {n: manifest.inlined[p] for n, p in zip(numbers.tolist(), parents.tolist(), strict=True)}
    order = stored_order(old)
    starts = [parts[axis].starts[places[axis]] for axis in order]
    stored_shape = tuple(old.chunk_shape[axis] for axis in order)
    inlined = {}
    for row, (number, parent) in enumerate(zip(numbers.tolist(), parents.tolist(), strict=True)):
        data = manifest.inlined[parent]
        if len(data) != old.chunk_nbytes:
            raise SubChunkIndexingError(
                f"an inlined chunk has {len(data)} bytes, not {old.chunk_nbytes}: it is not cut"
            )
        elements = np.frombuffer(data, np.dtype(f"V{old.dtype.itemsize}")).reshape(stored_shape)
        where = tuple(
            slice(int(begin[row]), int(begin[row]) + new.chunk_shape[axis])
            for axis, begin in zip(order, starts, strict=True)
        )
        inlined[number] = elements[where].tobytes()
    return inlined
