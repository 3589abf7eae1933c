"""The references of one input, placed at absolute chunk numbers of the combined dataset."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from vz_beam.combine.fragment import Fragment, ShardKey, fragment_of, split_by_shard
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.schema import join_path, nodes_of, source_of, virtual_array
from vz_beam.errors import CombineError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.patterns.index import Index


def place(layout: Layout, index: Index, dataset: xr.Dataset | xr.DataTree) -> Iterator[tuple[str, Fragment]]:
    """(path, references) for each virtual array that the input at ``index`` has a part in.

    Raises:
        CombineError: an array that the layout does not know, or that does not fit its place; file and array named.
    """
    numbers = {position.dimension: position.number for position in index.positions}
    for group, node in nodes_of(dataset):
        for name, variable in node.variables.items():
            path = join_path(group, str(name))
            array = layout.arrays.get(path)
            data = virtual_array(variable)
            if array is None or array.is_loaded != (data is None):
                raise CombineError(
                    f"{source_of(dataset, index)}: variable {path!r} is not {'virtual' if array else 'in the layout'}: "
                    "the layout was made from other inputs"
                )
            if data is None or any(numbers[dim] != number for dim, number in array.placed_by.items()):
                continue
            start = _start(layout, array, group, numbers, tuple(map(str, variable.dims)), data, path)
            if start is None:
                continue
            manifest = data.manifest
            grid_shape = array.metadata.chunk_grid.grid_shape
            gained = len(grid_shape) - manifest.ndim_chunk_grid
            if gained:
                manifest = _with_leading_axes(manifest, gained)
            yield path, fragment_of(manifest, grid_shape, start)


def place_in_shards(
    layout: Layout, index: Index, dataset: xr.Dataset | xr.DataTree
) -> Iterator[tuple[ShardKey, Fragment]]:
    """As :func:`place`, cut where shards begin."""
    for path, fragment in place(layout, index, dataset):
        yield from split_by_shard(path, fragment, layout.chunks_per_shard)


def _start(
    layout: Layout,
    array: ArrayLayout,
    group: str,
    numbers: dict[str, int],
    dims: tuple[str, ...],
    data: ManifestArray,
    path: str,
) -> tuple[int, ...] | None:
    """The grid position of the input's first chunk; ``None`` where it has no chunks."""
    names = array.metadata.dimension_names or ()
    gained = names[: len(names) - len(dims)]
    chunk_shape = array.metadata.chunk_shape
    if names[len(gained) :] != dims or chunk_shape[len(gained) :] != data.metadata.chunk_shape:
        raise CombineError(
            f"{path!r} has dimensions {dims} in chunks of {data.metadata.chunk_shape}, and the layout has {names} in "
            f"chunks of {chunk_shape}: the layout was made from other inputs"
        )
    if 0 in data.shape:
        return None
    start = []
    for dim, chunk, length, has in zip(
        names, chunk_shape, array.metadata.shape, (1,) * len(gained) + data.shape, strict=True
    ):
        starts = layout.starts.get(join_path(group, dim), layout.starts.get(dim) if dim in gained else None)
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


def _with_leading_axes(manifest: ChunkManifest, count: int) -> ChunkManifest:
    shape = (1,) * count + manifest.grid_shape
    return ChunkManifest.from_columns(
        manifest.locations,
        manifest.location_ids.reshape(shape),
        manifest.offsets.reshape(shape),
        manifest.lengths.reshape(shape),
        manifest.inlined,
    )
