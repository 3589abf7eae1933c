"""Inputs of uneven lengths and chunks in one grid: uncompressed chunks are cut where all inputs have a border."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import vz_beam
from tests.combine.byte_archive import Archive, joined, numbered
from tests.combine.virtual_files import combine, time_index, virtual_file
from tests.daily_series import assert_store_equals
from vz_beam.combine.schema import virtual_array
from vz_beam.errors import CombineError, MismatchError
from vz_beam.manifests import ChunkManifest, Codec, ManifestArray
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position

PIECES = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 9)), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(PIECES, st.integers(1, 4), st.data())
def test_any_lengths_and_chunks_along_one_dimension_read_as_numpy_joins_them(
    pieces: list[tuple[int, int]], width: int, data: st.DataObject
) -> None:
    archive, inputs, expected = Archive(), [], []
    for number, (length, chunk) in enumerate(pieces):
        values = numbered((length, 4), 1000 * number)
        count = -(-length // chunk) * -(-4 // width)
        missing = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
        dataset = xr.Dataset({"v": archive.variable(("time", "x"), values, (chunk, width), missing)})
        inputs.append((time_index(number), dataset))
        expected.append(values)
    values, layout = joined(archive, inputs)
    np.testing.assert_array_equal(values, np.concatenate(expected))
    chunk_shape = layout.arrays["v"].metadata.chunk_shape
    if len({chunk for _, chunk in pieces}) == 1 and all(length % chunk == 0 for length, chunk in pieces[:-1]):
        assert chunk_shape == (pieces[0][1], width)
    else:
        assert any("are cut into" in note for note in layout.notes)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.data(),
)
def test_tiles_of_any_lengths_and_chunks_read_as_numpy_joins_them(
    heights: list[int], widths: list[int], data: st.DataObject
) -> None:
    archive, inputs, rows = Archive(), [], []
    for y, height in enumerate(heights):
        row = []
        for x, width in enumerate(widths):
            chunk_shape = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)))
            values = numbered((2, height, width), 100 * (y * len(widths) + x))
            dataset = xr.Dataset({"v": archive.variable(("t", "y", "x"), values, chunk_shape)})
            inputs.append((Index((Position("y", "concat", y), Position("x", "concat", x))), dataset))
            row.append(values)
        rows.append(np.concatenate(row, axis=2))
    values, _ = joined(archive, inputs)
    np.testing.assert_array_equal(values, np.concatenate(rows, axis=1))


def test_months_in_whole_file_chunks_are_cut_into_days() -> None:
    archive = Archive()
    months = [numbered((days, 3), 100 * n) for n, days in enumerate((31, 28, 31))]
    inputs = [
        (time_index(n), xr.Dataset({"v": archive.variable(("time", "x"), values, values.shape)}))
        for n, values in enumerate(months)
    ]
    values, layout = joined(archive, inputs)
    np.testing.assert_array_equal(values, np.concatenate(months))
    assert layout.arrays["v"].metadata.chunk_shape == (1, 3)
    (note,) = layout.notes
    for words in ("'v'", "(31, 3) in s3://archive/000.bin", "(28, 3) in s3://archive/001.bin", "(1, 3) elements", "90"):
        assert words in note


def test_inputs_whose_chunks_already_fit_are_not_cut() -> None:
    layout, _ = combine([(time_index(n), virtual_file(n)) for n in range(3)])
    assert layout.arrays["v"].metadata.chunk_shape == (2, 3)
    assert not layout.arrays["v"].is_cut
    assert layout.notes == ()


def test_compressed_chunks_of_other_shapes_are_no_other_grid_but_a_mismatch() -> None:
    codecs = (Codec("numcodecs.zlib", {"level": 1}),)
    with pytest.raises(MismatchError, match=r"chunk shape: \(2, 3\) in .*000.nc, \(4, 3\) in .*001.nc"):
        combine([(time_index(n), virtual_file(n, chunk_steps=2 + 2 * n, codecs=codecs)) for n in range(2)])


def test_chunks_are_not_cut_into_more_and_smaller_ones_than_can_be_read() -> None:
    archive = Archive()
    inputs = [
        (time_index(n), xr.Dataset({"v": archive.variable(("time",), numbered((length,)), (length,))}))
        for n, length in enumerate((100_000, 100_001))
    ]
    with pytest.raises(MismatchError) as caught:
        combine(inputs)
    for words in ("'v' has chunks of (100000,) in s3://archive/000.bin", "200,001 of them", "loadable_variables=['v']"):
        assert words in str(caught.value)


def test_a_chunk_that_is_shorter_than_its_elements_is_an_error_that_names_the_file() -> None:
    odd = virtual_file(1, steps=3)
    array = virtual_array(odd["v"].variable)
    assert array is not None
    manifest = ChunkManifest.from_columns(
        array.manifest.locations, array.manifest.location_ids, array.manifest.offsets, array.manifest.lengths - 1
    )
    odd["v"] = xr.Variable(("time", "x"), ManifestArray(array.metadata, manifest))
    with pytest.raises(
        CombineError, match=r"s3://archive/001.nc: the chunks of 'v' cannot be cut .* a chunk has 11 bytes"
    ):
        combine([(time_index(0), virtual_file(0, steps=3)), (time_index(1), odd)])


def test_files_of_uneven_months_read_as_xarray_joins_them(tmp_path: Path) -> None:
    files, parts = [], []
    first = np.datetime64("2001-01-01", "ns")
    for number, days in enumerate((31, 28, 31, 30)):
        time = first + np.arange(days) * np.timedelta64(1, "D")
        first = time[-1] + np.timedelta64(1, "D")
        values = np.random.default_rng(number).normal(size=(days, 4)).astype("f4")
        dataset = xr.Dataset({"v": (("time", "x"), values)}, coords={"time": time})
        # contiguous in odd files, chunks of another length in the others
        storage = {} if number % 2 else {"chunksizes": (10, 4)}
        path = tmp_path / f"{number}.nc"
        dataset.to_netcdf(path, engine="h5netcdf", encoding={"v": storage})
        files.append(str(path))
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            parts.append(opened.load())
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", progress=False)
    assert_store_equals(store, xr.concat(parts, "time"))
    assert summary.dimensions["time"] == 120
    assert any("are cut into (1, 4)" in note for note in summary.notes)


def test_order_changes_nothing() -> None:
    def layouts(order: tuple[int, ...]) -> Any:
        files = {n: (time_index(n), virtual_file(n, steps=3 + n, first=10 * n)) for n in range(3)}
        return combine([files[n] for n in order])

    first, *others = [layouts(order) for order in itertools.permutations(range(3))]
    assert first[0].arrays["v"].metadata.chunk_shape == (1, 3)
    assert all(layout == first[0] and shards == first[1] for layout, shards in others)
