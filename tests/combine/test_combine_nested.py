"""The same inputs through ``xarray.combine_nested`` and through the functions of the pipeline."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.combine.byte_archive import Archive, numbered
from tests.combine.virtual_files import combine
from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.combine.layout import ArrayLayout
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position

JOINED = ("time", "y")
"""Dimensions of the files that may be joined; ``x`` never is, ``member`` is one that the files lack."""


@st.composite
def grids(draw: st.DrawFn) -> tuple[dict[str, list[int]], int]:
    """Lengths of the inputs along each dimension that is joined, in any order; and how many members, 0 for none."""
    dims = draw(st.lists(st.sampled_from(JOINED), unique=True, max_size=2))
    lengths = {dim: draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)) for dim in dims}
    members = draw(st.integers(1, 3)) if draw(st.booleans()) or not dims else 0
    if members:
        place = draw(st.integers(0, len(dims)))
        order = [*dims[:place], "member", *dims[place:]]
        lengths = {dim: lengths.get(dim, [1] * members) for dim in order}
    return lengths, members


@settings(max_examples=150, deadline=None)
@given(grids(), st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_grid_of_inputs_in_any_order_reads_as_combine_nested_joins_it(
    grid: tuple[dict[str, list[int]], int], time_chunk: int, y_chunk: int, randomness: Any
) -> None:
    lengths, members = grid
    starts = {dim: np.cumsum([0, *each]) for dim, each in lengths.items()}
    archive = Archive()
    inputs: list[tuple[Index, xr.Dataset]] = []
    loaded: Any = np.empty([len(each) for each in lengths.values()], object)
    for numbers in np.ndindex(*loaded.shape):
        place = dict(zip(lengths, numbers, strict=True))
        size = {dim: lengths[dim][place[dim]] if dim in lengths else 3 for dim in JOINED}
        first = {dim: int(starts[dim][place[dim]]) if dim in lengths else 0 for dim in JOINED}
        coords: dict[str, Any] = {dim: (dim, 10.0 * (first[dim] + np.arange(size[dim]))) for dim in JOINED}
        coords |= {"x": ("x", np.arange(2)), "area": (("y", "x"), np.outer(coords["y"][1], [1.0, 2.0]))}
        coords["surface"] = ((), 7)
        values = numbered((size["time"], size["y"], 2), 1000 * len(inputs))
        loaded[numbers] = xr.Dataset({"v": (("time", "y", "x"), values)}, coords)
        chunk_shape = (min(time_chunk, size["time"]), min(y_chunk, size["y"]), 2)
        virtual = archive.variable(("time", "y", "x"), values, chunk_shape)
        index = Index(
            tuple(
                Position(dim, "concat", number, len(each), 2.5 * number if dim == "member" else None)
                for (dim, each), number in zip(lengths.items(), numbers, strict=True)
            )
        )
        inputs.append((index, loaded[numbers].assign(v=virtual)))
    randomness.shuffle(inputs)
    layout, shards = combine(inputs, chunks_per_shard=3)
    expected = xr.combine_nested(
        loaded.tolist(),
        concat_dim=[pd.Index(2.5 * np.arange(members), name=dim) if dim == "member" else dim for dim in lengths],
        data_vars="all",
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="no_conflicts",
    )
    assert set(layout.arrays) == set(map(str, expected.variables))
    for name, array in layout.arrays.items():
        fragments = [fragment for key, fragment in shards.items() if key.path == name]
        found = _loaded_values(array) if array.is_loaded else archive.read(array.metadata, fragments)
        variable = xr.Variable(array.metadata.dimension_names, found)
        np.testing.assert_array_equal(variable.transpose(*expected[name].dims).values, expected[name].values)


def _loaded_values(array: ArrayLayout) -> NDArray[Any]:
    grid_shape, chunk_shape = array.metadata.chunk_grid.grid_shape, array.metadata.chunk_shape
    padded = np.empty([n * length for n, length in zip(grid_shape, chunk_shape, strict=True)], array.metadata.dtype)
    for number, place in enumerate(itertools.product(*map(range, grid_shape))):
        box = tuple(slice(p * length, (p + 1) * length) for p, length in zip(place, chunk_shape, strict=True))
        padded[box] = decode_chunk(array.metadata, array.chunks[number])
    return padded[tuple(map(slice, array.metadata.shape))]
