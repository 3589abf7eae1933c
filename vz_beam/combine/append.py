"""A stored dataset that grows: the layout of what it becomes, and where its references and new ones stand in it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.attributes import MEANING
from vz_beam.combine.fragment import Fragment, ShardKey, split_by_shard
from vz_beam.combine.layout import ArrayLayout, Growth, Layout
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import InputSchema, nodes_of, schema_of, source_of
from vz_beam.errors import InputError, MismatchError, StoreMismatchError, UnsupportedError
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.manifests.metadata import ArrayMetadata, Attributes
from vz_beam.patterns.index import Index, Position

_ANEW = "Way out: build the store anew of all files (mode='overwrite')"


def append_dimension(layout: Layout, name: str | None) -> str:
    """The dimension along which inputs are put to the end of a store: ``name``, or the one that joins them.

    Raises:
        InputError: several that could be meant, or none.
    """
    if name is not None:
        return name
    dims = sorted({path.rpartition("/")[2] for path in layout.starts})
    if len(dims) != 1:
        among = f"it may be one of {dims}" if dims else "nothing says so, since one input was given without a place"
        raise InputError(f"along which dimension is the store to grow? {among}. Way out: append_dim=...")
    return dims[0]


def appended_layout(
    stored: xr.Dataset | xr.DataTree,
    added: xr.Dataset | xr.DataTree,
    layout: Layout,
    append_dim: str,
    chunks_per_shard: int,
    *,
    keeps_shards: bool,
) -> Layout:
    """The layout of a store that ``added`` is put to the end of.

    Both sides are combined as two inputs are, so that what may not be joined is refused in the same words.

    Args:
        stored: what the store holds, as its metadata says it; the variables that are loaded in ``added`` are so here.
        added: the same of what is added, which ``layout`` says more about.
        layout: of what is added.
        append_dim: the dimension.
        chunks_per_shard: of the store.
        keeps_shards: whether shards of the store can stay as they are.

    Raises:
        InputError: the store does not have the dimension, or there are eras.
        StoreMismatchError: all that the two disagree in.
        UnsupportedError: chunks of either side would have to be cut.
    """
    if layout.eras:
        raise InputError("inputs of several eras cannot be appended: mismatch='split' is for whole stores")
    sizes = {str(dim) for _, node in nodes_of(stored) for dim in node.dims}
    if append_dim not in sizes:
        raise InputError(
            f"{source_of(stored, Index(()))} has no dimension {append_dim!r} to append along; its dimensions are "
            f"{sorted(sizes)}. Way out: name one of them (append_dim=...), or build the store anew (mode='overwrite')"
        )
    first, second = (
        schema_of(Index((Position(append_dim, "concat", number, 2),)), dataset)
        for number, dataset in enumerate((stored, added))
    )
    before = _virtual_metadata(stored)
    sides = SchemaAccumulator().add(first).add(without_new_attributes(second, first))
    choices = replace(
        layout.choices,
        chunks_per_shard=chunks_per_shard,
        order_by="index",
        variables="raise",
        mismatch="raise",
        holes="raise",
    )
    if any(metadata.uneven_chunks for metadata in before.values()):
        choices = replace(choices, chunk_grid="rectilinear")
    try:
        joined = plan_layout(sides, choices)
    except StoreMismatchError:
        raise
    except MismatchError as error:
        raise StoreMismatchError(error.disagreements) from error
    arrays = {}
    for path, array in joined.arrays.items():
        if path in before:
            array = _grown(path, array, before[path], layout.arrays[path], append_dim)
            if keeps_shards and array.growth is not None:
                array = replace(array, kept_shards=array.growth.kept_chunks // chunks_per_shard)
        arrays[path] = array
    return replace(
        layout,
        arrays=arrays,
        groups=joined.groups,
        starts={},
        new_dims=(),
        chunks_per_shard=chunks_per_shard,
        notes=tuple(dict.fromkeys((*layout.notes, *joined.notes))),
        holes=tuple(hole.moved(append_dim, _size(stored, append_dim)) for hole in layout.holes),
    )


def without_new_attributes(schema: InputSchema, stored: InputSchema) -> InputSchema:
    """Attributes that the store lacks were dropped from it, as inputs differed in them, and stay out of it."""
    variables = {}
    for path, variable in schema.variables.items():
        if (known := stored.variables.get(path)) is not None:
            attributes = _known(variable.attributes, {*known.attributes, *MEANING})
            variable = variable._replace(attributes=attributes)
        variables[path] = variable
    groups = {path: _known(attributes, stored.groups.get(path, ())) for path, attributes in schema.groups.items()}
    return replace(schema, variables=variables, groups=groups)


def _known(attributes: Attributes, names: Container[str]) -> Attributes:
    return {name: value for name, value in attributes.items() if name in names}


def _size(dataset: xr.Dataset | xr.DataTree, dim: str) -> int:
    """The most elements that a group has along a dimension."""
    return max(node.sizes[dim] for _, node in nodes_of(dataset) if dim in node.sizes)


def _virtual_metadata(dataset: xr.Dataset | xr.DataTree) -> dict[str, ArrayMetadata]:
    variables = schema_of(Index(()), dataset).variables
    return {path: known.metadata for path, known in variables.items() if known.metadata is not None}


def _are_chunks_of(grid: ChunkGrid, own: ChunkGrid, axis: int | None, *, at_end: bool) -> bool:
    """Whether the chunks of ``own`` are those of ``grid``, its first or last ones along ``axis``."""
    for along, count in enumerate(own.grid_shape):
        first = grid.grid_shape[along] - count if at_end and along == axis else 0
        places = range(count)
        if [own.length(along, place) for place in places] != [grid.length(along, first + place) for place in places]:
            return False
    return True


def _grown(path: str, array: ArrayLayout, before: ArrayMetadata, added: ArrayLayout, dim: str) -> ArrayLayout:
    names = array.metadata.dimension_names or ()
    whole = array.metadata.chunk_grid
    axis = names.index(dim) if dim in names else None
    for side, own in (("the store", before.chunk_grid), ("what is appended", added.metadata.chunk_grid)):
        if not _are_chunks_of(whole, own, axis, at_end=side != "the store"):
            raise UnsupportedError(
                f"{path!r} has chunks of {own.shown} elements in {side}, and of {whole.shown} were they joined. {_ANEW}"
            )
    array = replace(array, references=added.references, is_cut=False, placed_by={}, substitutes=frozenset())
    if axis is None:
        return replace(array, is_kept=True)
    grids = (before.chunk_grid.grid_shape, added.metadata.chunk_grid.grid_shape)
    return replace(array, growth=Growth(*grids, axis))


def moved_to_end(layout: Layout, key: ShardKey, fragment: Fragment) -> Iterator[tuple[ShardKey, Fragment]]:
    """References of what is added in their places at the end of the store, cut where its shards begin.

    Args:
        layout: of the grown store.
        key: the shard that they were placed in, of which only the path counts.
        fragment: by chunk numbers of what is added.
    """
    array = layout.arrays[key.path]
    if array.growth is not None and len(fragment):
        fragment = fragment.moved(added_numbers(array.growth, array.metadata.chunk_grid.grid_shape, fragment.numbers))
    yield from split_by_shard(key.path, fragment, layout.chunks_per_shard)


def added_numbers(growth: Growth, grid_shape: tuple[int, ...], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n]: the numbers that chunks of what is added have in the grown array, in the same order.

    >>> added_numbers(Growth((2, 3), (1, 3), 0), (3, 3), np.array([0, 2])).tolist()
    [6, 8]
    """
    places = list(np.unravel_index(numbers, growth.added))
    places[growth.axis] = places[growth.axis] + growth.stored[growth.axis]
    return np.asarray(np.ravel_multi_index(tuple(places), grid_shape), np.int64)


def stored_numbers(growth: Growth, grid_shape: tuple[int, ...], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n]: the numbers that chunks of the grown array have in the store before, -1 where it has none.

    >>> stored_numbers(Growth((2, 2), (2, 1), 1), (2, 3), np.arange(6)).tolist()
    [0, 1, -1, 2, 3, -1]
    """
    places = np.unravel_index(numbers, grid_shape)
    found = np.zeros(len(numbers), np.int64)
    for place, length in zip(places, growth.stored, strict=True):
        found = found * length + place
    found[places[growth.axis] >= growth.stored[growth.axis]] = -1
    return found
