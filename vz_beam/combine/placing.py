"""The references of one input, placed at absolute chunk numbers of the combined dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vz_beam.codecs.full_chunk import full_chunk
from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.combine.fragment import Fragment, ShardKey, fragment_of, merge_fragments, split_by_shard
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.schema import join_path, nodes_of, source_of, virtual_array
from vz_beam.errors import CombineError, ManifestError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_grid import ChunkGrid, UnevenChunks
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.chunk_selection import sub_manifest
from vz_beam.manifests.rechunking import rechunked
from vz_beam.patterns.index import Index


class ArrayReferences(NamedTuple):
    """One variable of one input: lengths in elements; no manifest where its values are loaded.

    ``uneven`` has the axes along which chunks are not all of one length.
    """

    group: str
    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    manifest: ChunkManifest | None
    uneven: Mapping[int, UnevenChunks] = {}

    def chunk_lengths(self, axis: int) -> NDArray[np.int64]:
        """int64[chunks]: elements of each chunk along an axis."""
        if axis in self.uneven:
            return self.uneven[axis].lengths
        return np.full(-(-self.shape[axis] // self.chunk_shape[axis]), self.chunk_shape[axis], np.int64)


@dataclass(frozen=True, slots=True)
class InputReferences:
    """What placing needs of one input: a dataset without values, attributes and codecs, which travels lightly.

    Args:
        numbers: of the input, by dimension, in the pattern's order.
        label: a name for the input in messages.
        arrays: all variables.
    """

    numbers: Mapping[str, int]
    label: str
    arrays: tuple[ArrayReferences, ...]


def references_of(index: Index, dataset: xr.Dataset | xr.DataTree) -> InputReferences:
    """The references of the input at ``index``."""
    arrays = []
    for group, node in nodes_of(dataset):
        for name, variable in node.variables.items():
            array = virtual_array(variable)
            path, dims = join_path(group, str(name)), tuple(map(str, variable.dims))
            if array is None:
                arrays.append(ArrayReferences(group, path, dims, variable.shape, (), None))
            else:
                grid = array.metadata.chunk_grid
                about = (group, path, dims, variable.shape, grid.chunk_shape, array.manifest, grid.uneven)
                arrays.append(ArrayReferences(*about))
    numbers = {position.dimension: position.number for position in index.positions}
    return InputReferences(numbers, source_of(dataset, index), tuple(arrays))


class PlacedPart(NamedTuple):
    """One virtual variable of an input in its place: ``starts`` are elements along all axes of the combined array."""

    array: ArrayLayout
    part: ArrayReferences
    starts: tuple[int, ...]
    numbers: tuple[int, ...]


def placed_parts(layout: Layout, references: InputReferences) -> Iterator[PlacedPart]:
    """Each virtual variable of an input that has elements in the combined dataset.

    Raises:
        CombineError: an array that the layout does not know, or that does not fit its place; file and array named.
    """
    numbers = references.numbers
    place = tuple(numbers.values())
    if place in layout.excluded:
        return
    era = layout.eras.get(place, "")
    if layout.eras and not era:
        raise CombineError(f"{references.label}: the layout has no era for this input: it was made from other inputs")
    for part in references.arrays:
        if era:
            part = part._replace(group=join_path(era, part.group).rstrip("/"), path=join_path(era, part.path))
        if part.path in layout.left_out:
            continue
        array = layout.arrays.get(part.path)
        if array is None or array.is_loaded != (part.manifest is None):
            raise CombineError(
                f"{references.label}: variable {part.path!r} is not {'virtual' if array else 'in the layout'}: "
                "the layout was made from other inputs"
            )
        if part.manifest is None or not array.is_placed_by(numbers):
            continue
        if 0 in part.shape:
            continue
        if array.is_cut:
            part = _cut(array, part, references.label)
        yield PlacedPart(array, part, _starts(layout, era, array, part, numbers), place)


def place(layout: Layout, references: InputReferences) -> Iterator[tuple[str, Fragment]]:
    """(path, references) for each virtual array that the input has a part in.

    Of arrays that are rewritten, only the chunks that fit as they are; see :mod:`vz_beam.combine.rewriting`.

    Raises:
        CombineError: as of :func:`placed_parts`.
    """
    for array, part, starts, numbers in placed_parts(layout, references):
        manifest = part.manifest
        assert manifest is not None
        if array.rewriting is not None:
            fitting = fitting_chunks(array, part, starts, numbers)
            if 0 in fitting or (not fitting and numbers in array.rewriting.of_input):
                continue
            manifest = sub_manifest(manifest, tuple(map(slice, fitting)))
        grid = array.metadata.chunk_grid
        grid_shape = grid.grid_shape
        gained = len(grid_shape) - manifest.ndim_chunk_grid
        if gained:
            manifest = _with_leading_axes(manifest, gained)
        if array.unwritten is not None:
            manifest = with_unwritten(manifest, _unwritten(array, part))
        first = tuple(grid.place(axis, start) for axis, start in enumerate(starts))
        yield part.path, fragment_of(manifest, grid_shape, first)


def place_in_shards(layout: Layout, references: InputReferences) -> Iterator[tuple[ShardKey, Fragment]]:
    """As :func:`place`, cut where shards begin."""
    for path, fragment in place(layout, references):
        yield from split_by_shard(path, fragment, layout.chunks_per_shard)


def place_all(layout: Layout, inputs: Iterable[tuple[Index, xr.Dataset | xr.DataTree]]) -> dict[ShardKey, Fragment]:
    """The references of every shard that has any, of inputs that are all here."""
    parts: dict[ShardKey, list[Fragment]] = {}
    for index, dataset in inputs:
        for key, fragment in place_in_shards(layout, references_of(index, dataset)):
            parts.setdefault(key, []).append(fragment)
    return {key: merge_fragments(found, key.path) for key, found in sorted(parts.items())}


def fitting_chunks(
    array: ArrayLayout, part: ArrayReferences, starts: tuple[int, ...], numbers: tuple[int, ...]
) -> tuple[int, ...]:
    """How many of the part's chunks along each of its axes, from the first on, fit the combined array as they are.

    Args:
        array: the combined array, of which chunks are rewritten.
        part: of one input.
        starts: elements, where the part begins in the combined array.
        numbers: of the input.
    """
    none = (0,) * len(part.shape)
    if array.rewriting is None or numbers in array.rewriting.of_input:
        return none
    gained = array.metadata.ndim - len(part.shape)
    found = []
    for length, chunk, start, total in zip(
        part.shape, part.chunk_shape, starts[gained:], array.metadata.shape[gained:], strict=True
    ):
        if start % chunk:
            return none
        found.append(-(-length // chunk) if start + length == total else length // chunk)
    return tuple(found)


def _starts(
    layout: Layout, era: str, array: ArrayLayout, part: ArrayReferences, numbers: Mapping[str, int]
) -> tuple[int, ...]:
    """Where the part begins in the combined array, elements."""
    group, path, dims = part.group, part.path, part.dims
    names = array.metadata.dimension_names or ()
    gained = names[: len(names) - len(dims)]
    grid, chunk_shape = array.metadata.chunk_grid, array.metadata.chunk_shape
    is_free = array.rewriting is not None
    fits = all(
        axis in grid.uneven or chunk == chunk_shape[axis] for axis, chunk in enumerate(part.chunk_shape, len(gained))
    )
    if names[len(gained) :] != dims or not (is_free or fits):
        raise CombineError(
            f"{path!r} has dimensions {dims} in chunks of {part.chunk_shape}, and the layout has {names} in "
            f"chunks of {chunk_shape}: the layout was made from other inputs"
        )
    found = []
    sizes = zip(array.metadata.shape, (1,) * len(gained) + part.shape, strict=True)
    for axis, (dim, (length, has)) in enumerate(zip(names, sizes, strict=True)):
        starts = layout.starts.get(
            join_path(group, dim), layout.starts.get(join_path(era, dim)) if dim in gained else None
        )
        first = 0
        if starts is not None and dim in numbers:
            first = int(starts[numbers[dim]]) if numbers[dim] < len(starts) else -1
        own = np.ones(1, np.int64) if axis < len(gained) else part.chunk_lengths(axis - len(gained))
        if first < 0 or first + has > length or not (is_free or _are_chunks_of(grid, axis, first, own)):
            raise CombineError(
                f"{path!r}: {has} elements do not fit at {first} of {dim!r}, which has {length} in chunks of "
                f"{chunk_shape[axis]}: the layout was made from other inputs"
            )
        found.append(first)
    return tuple(found)


def _are_chunks_of(grid: ChunkGrid, axis: int, first: int, own: NDArray[np.int64]) -> bool:
    """Whether chunks of the lengths ``own`` from the element ``first`` on are those of the grid."""
    if axis not in grid.uneven:
        return first % grid.chunk_shape[axis] == 0 and bool((own == grid.chunk_shape[axis]).all())
    chunks, place = grid.uneven[axis], grid.place(axis, first)
    return int(chunks.starts[place]) == first and np.array_equal(chunks.lengths[place : place + len(own)], own)


def _cut(array: ArrayLayout, part: ArrayReferences, label: str) -> ArrayReferences:
    """The part with its chunks cut into those of the array."""
    chunk_shape = array.metadata.chunk_shape[array.metadata.ndim - len(part.shape) :]
    if part.chunk_shape == chunk_shape or 0 in part.shape or part.manifest is None:
        return part._replace(chunk_shape=chunk_shape)
    metadata = replace(array.metadata, shape=part.shape, chunk_shape=part.chunk_shape, dimension_names=part.dims)
    try:
        cut = rechunked(ManifestArray(metadata, part.manifest), chunk_shape)
    except ManifestError as error:
        raise CombineError(
            f"{label}: the chunks of {part.path!r} cannot be cut into {chunk_shape} elements, as the other inputs need "
            f"it: {error}. Way out: leave the file out, or load the variable (loadable_variables=[{part.path!r}])"
        ) from error
    return part._replace(chunk_shape=chunk_shape, manifest=cut.manifest)


def _unwritten(array: ArrayLayout, part: ArrayReferences) -> bytes:
    """``array.unwritten`` as a chunk of the part's, which may be another one than the longest."""
    assert array.unwritten is not None
    whole, own = array.metadata, (1,) * (array.metadata.ndim - len(part.shape)) + part.chunk_shape
    if own == whole.chunk_shape:
        return array.unwritten
    longest = whole.with_shape(whole.chunk_shape, whole.chunk_shape)
    value = decode_chunk(longest, array.unwritten).flat[0]
    return full_chunk(replace(longest, shape=own, chunk_shape=own, fill_value=value))


def with_unwritten(manifest: ChunkManifest, chunk: bytes) -> ChunkManifest:
    """The manifest with ``chunk`` inlined where it has none."""
    missing = manifest.location_ids == MISSING
    if not missing.any():
        return manifest
    ids = np.where(missing, np.int32(INLINED), manifest.location_ids)
    inlined = {**manifest.inlined, **dict.fromkeys(np.flatnonzero(missing).tolist(), chunk)}
    return ChunkManifest.from_columns(manifest.locations, ids, manifest.offsets, manifest.lengths, inlined)


def _with_leading_axes(manifest: ChunkManifest, count: int) -> ChunkManifest:
    shape = (1,) * count + manifest.grid_shape
    return ChunkManifest.from_columns(
        manifest.locations,
        manifest.location_ids.reshape(shape),
        manifest.offsets.reshape(shape),
        manifest.lengths.reshape(shape),
        manifest.inlined,
    )
