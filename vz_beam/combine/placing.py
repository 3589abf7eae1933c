"""The references of one input, placed at absolute chunk numbers of the combined dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from vz_beam.combine.fragment import Fragment, ShardKey, fragment_of, split_by_shard
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.schema import join_path, nodes_of, source_of, virtual_array
from vz_beam.errors import CombineError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.patterns.index import Index


class ArrayReferences(NamedTuple):
    """One variable of one input: ``shape`` in elements; no manifest where its values are loaded."""

    group: str
    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    manifest: ChunkManifest | None


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
            chunk_shape, manifest = ((), None) if array is None else (array.metadata.chunk_shape, array.manifest)
            path, dims = join_path(group, str(name)), tuple(map(str, variable.dims))
            arrays.append(ArrayReferences(group, path, dims, variable.shape, chunk_shape, manifest))
    numbers = {position.dimension: position.number for position in index.positions}
    return InputReferences(numbers, source_of(dataset, index), tuple(arrays))


def place(layout: Layout, references: InputReferences) -> Iterator[tuple[str, Fragment]]:
    """(path, references) for each virtual array that the input has a part in.

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
        manifest = part.manifest
        if array is None or array.is_loaded != (manifest is None):
            raise CombineError(
                f"{references.label}: variable {part.path!r} is not {'virtual' if array else 'in the layout'}: "
                "the layout was made from other inputs"
            )
        if manifest is None or any(numbers[dim] != number for dim, number in array.placed_by.items()):
            continue
        start = _start(layout, era, array, part, numbers)
        if start is None:
            continue
        grid_shape = array.metadata.chunk_grid.grid_shape
        gained = len(grid_shape) - manifest.ndim_chunk_grid
        if gained:
            manifest = _with_leading_axes(manifest, gained)
        if array.unwritten is not None:
            manifest = _with_unwritten(manifest, array.unwritten)
        yield part.path, fragment_of(manifest, grid_shape, start)


def place_in_shards(layout: Layout, references: InputReferences) -> Iterator[tuple[ShardKey, Fragment]]:
    """As :func:`place`, cut where shards begin."""
    for path, fragment in place(layout, references):
        yield from split_by_shard(path, fragment, layout.chunks_per_shard)


def _start(
    layout: Layout, era: str, array: ArrayLayout, part: ArrayReferences, numbers: Mapping[str, int]
) -> tuple[int, ...] | None:
    """The grid position of the input's first chunk; ``None`` where it has no chunks."""
    group, path, dims = part.group, part.path, part.dims
    names = array.metadata.dimension_names or ()
    gained = names[: len(names) - len(dims)]
    chunk_shape = array.metadata.chunk_shape
    if names[len(gained) :] != dims or chunk_shape[len(gained) :] != part.chunk_shape:
        raise CombineError(
            f"{path!r} has dimensions {dims} in chunks of {part.chunk_shape}, and the layout has {names} in "
            f"chunks of {chunk_shape}: the layout was made from other inputs"
        )
    if 0 in part.shape:
        return None
    start = []
    for dim, chunk, length, has in zip(
        names, chunk_shape, array.metadata.shape, (1,) * len(gained) + part.shape, strict=True
    ):
        starts = layout.starts.get(
            join_path(group, dim), layout.starts.get(join_path(era, dim)) if dim in gained else None
        )
        first = 0
        if starts is not None and dim in numbers:
            first = int(starts[numbers[dim]]) if numbers[dim] < len(starts) else -1
        if first < 0 or first % chunk or first + has > length:
            raise CombineError(
                f"{path!r}: {has} elements do not fit at {first} of {dim!r}, which has {length} in chunks of {chunk}: "
                "the layout was made from other inputs"
            )
        start.append(first // chunk)
    return tuple(start)


def _with_unwritten(manifest: ChunkManifest, chunk: bytes) -> ChunkManifest:
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
