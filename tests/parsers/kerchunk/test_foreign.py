"""Peculiarities of stores that kerchunk 0.2.10 and VirtualiZarr 2.5.1 write, made by hand as they have been met."""

from __future__ import annotations

import base64
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from kerchunk.combine import MultiZarrToZarr
from kerchunk.df import refs_to_dataframe
from kerchunk.hdf import SingleHdf5ToZarr

import vz_beam
from tests.daily_series import read_series, write_series
from tests.parsers.kerchunk.stores import (
    array_document,
    assert_same_dataset,
    dimensions,
    open_ours,
    open_theirs,
    write_json,
)
from vz_beam.errors import FormatError
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser

GROUP = {".zgroup": '{"zarr_format":2}'}


@pytest.fixture
def combined(tmp_path: Path) -> tuple[dict[str, Any], xr.Dataset]:
    """References that kerchunk makes of three files, and the values of these."""
    files = write_series(tmp_path, 3)
    # kerchunk waits for zarr's thread inside h5py's lock; if that thread collects an object of h5py, both wait forever
    gc.disable()
    try:
        single = [SingleHdf5ToZarr(file, inline_threshold=60).translate() for file in files]
    finally:
        gc.enable()
    many = MultiZarrToZarr(
        single, concat_dims=["time"], identical_dims=["lat", "lon", "crs"], coo_map={"time": "cf:time"}
    )
    return many.translate(), read_series(files)


def assert_same_values_as(ours: xr.Dataset, expected: xr.Dataset) -> None:
    for name in expected.variables:
        np.testing.assert_array_equal(ours[name].values, expected[name].values, err_msg=str(name))


def test_json_that_kerchunk_combines_has_the_values_of_its_files(
    tmp_path: Path, combined: tuple[dict[str, Any], xr.Dataset]
) -> None:
    references, expected = combined
    kinds = {type(value) for key, value in references["refs"].items() if not key.rpartition("/")[2].startswith(".")}
    assert kinds == {str, list}
    path = write_json(tmp_path / "refs.json", references)
    with open_ours(path) as ours, open_theirs(path) as theirs:
        assert_same_dataset(ours, theirs)
        assert_same_values_as(ours, expected.drop_vars("time"))


@pytest.mark.parametrize("threshold", [0, 10**6])
def test_parquet_that_kerchunk_writes_has_the_values_of_its_files(
    tmp_path: Path, combined: tuple[dict[str, Any], xr.Dataset], threshold: int
) -> None:
    references, expected = combined
    store = tmp_path / "refs.parquet"
    refs_to_dataframe(references, str(store), record_size=4, categorical_threshold=threshold)
    with open_ours(store) as ours:
        assert_same_values_as(ours, expected.drop_vars("time"))
        assert ours["t"].encoding["preferred_chunks"] == {"time": 2, "lat": 3, "lon": 8}
    assert vz_beam.open_virtual_dataset(store, loadable_variables=[]).vz.nrefs() >= 24


def test_the_one_chunk_of_a_scalar_without_a_number_is_read_where_others_show_the_fill(tmp_path: Path) -> None:
    value = "base64:" + base64.b64encode(np.int32(7).tobytes()).decode()
    for key in ("crs/", "crs/0"):
        refs = {**GROUP, "crs/.zarray": array_document([], [], "<i4"), "crs/.zattrs": dimensions(), key: value}
        path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
        with open_ours(path) as ours:
            assert ours["crs"].values == 7


def test_phony_dimensions_of_one_name_and_several_lengths_are_told_apart(tmp_path: Path) -> None:
    refs: dict[str, Any] = dict(GROUP)
    for name, length in (("a", 2), ("b", 3), ("c", 2)):
        data = "base64:" + base64.b64encode(np.arange(length, dtype="<i2").tobytes()).decode()
        document = {f"{name}/.zarray": array_document([length], [length]), f"{name}/0": data}
        refs |= {**document, f"{name}/.zattrs": dimensions("phony_dim_0")}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    with pytest.raises(ValueError, match="conflicting sizes"):
        open_theirs(path)
    with open_ours(path) as ours:
        assert (ours["a"].dims, ours["c"].dims) == (("phony_dim_0",), ("phony_dim_0",))
        assert ours["b"].dims != ours["a"].dims
        assert ours["b"].values.tolist() == [0, 1, 2]


def test_texts_with_a_number_for_their_fill_are_read(tmp_path: Path) -> None:
    codec = {"filters": [{"id": "vlen-utf8"}], "fill_value": 0}
    data = base64.b64encode(bytes([2, 0, 0, 0, 1, 0, 0, 0, 97, 2, 0, 0, 0, 0xC3, 0xA9])).decode()
    refs = {**GROUP, "s/.zarray": {**array_document([2], [2], "|O"), **codec}, "s/.zattrs": dimensions("x")}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": {**refs, "s/0": f"base64:{data}"}})
    with open_ours(path) as ours:
        assert ours["s"].values.tolist() == ["a", "é"]


def test_a_codec_that_only_kerchunk_has_spoils_no_other_variable(tmp_path: Path) -> None:
    numbers = "base64:" + base64.b64encode(np.arange(2, dtype="<i2").tobytes()).decode()
    refs = {
        **GROUP,
        "t/.zarray": array_document([2], [2], "<f8", filters=[{"id": "grib", "var": "t"}]),
        "t/.zattrs": dimensions("x"),
        "t/0": [str(tmp_path / "a.grib2"), 0, 4],
        "v/.zarray": array_document([2], [2]),
        "v/.zattrs": dimensions("x"),
        "v/0": numbers,
    }
    (tmp_path / "a.grib2").write_bytes(b"GRIB")
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    with open_ours(path) as ours:
        assert ours["v"].values.tolist() == [0, 1]
        with pytest.raises(FormatError, match="grib"):
            ours["t"].load()
    virtual = vz_beam.open_virtual_dataset(path)
    again = virtual.vz.to_kerchunk()
    assert '"id": "grib"' in again["refs"]["t/.zarray"]


def test_an_array_without_elements_may_have_chunks_of_none(tmp_path: Path) -> None:
    refs = {**GROUP, "v/.zarray": array_document([0, 3], [0, 3]), "v/.zattrs": dimensions("t", "x")}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    with open_ours(path) as ours:
        assert ours["v"].values.shape == (0, 3)


def test_references_of_a_zarr_store_name_each_chunk_as_a_whole_file(tmp_path: Path) -> None:
    array: Any = zarr.create_array(
        tmp_path / "a.zarr", name="v", shape=(7,), chunks=(3,), dtype="i4", zarr_format=2, fill_value=-1
    )
    array[:] = np.arange(7)
    files = [path for path in sorted((tmp_path / "a.zarr").rglob("*")) if path.is_file()]
    refs: dict[str, Any] = dict(GROUP)
    for path in files:
        key = path.relative_to(tmp_path / "a.zarr").as_posix()
        refs[key] = path.read_text() if path.name.startswith(".") else [str(path)]
    path = Path(write_json(tmp_path / "refs.json", refs))
    group = KerchunkJSONParser()(path).group
    assert group.arrays["v"].manifest.lengths.tolist() == [
        file.stat().st_size for file in files if not file.name.startswith(".")
    ]
    assert vz_beam.open_virtual_dataset(path, loadable_variables=["v"])["v"].values.tolist() == list(range(7))
