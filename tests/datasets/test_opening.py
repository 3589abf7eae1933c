"""Files opened as virtual datasets and trees."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, read_series, write_series
from vz_beam.errors import FormatError, InputError, SourceError, SourceNotFoundError, StoreExistsError
from vz_beam.manifests import ManifestArray
from vz_beam.storage.byte_source import ByteSource, open_source


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write_series(tmp_path, count=1)[0]


def test_dimension_coordinates_are_loaded_and_decoded_and_the_rest_is_virtual(file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(file)
    expected = read_series([file])
    assert isinstance(dataset["t"].data, ManifestArray)
    assert isinstance(dataset["crs"].data, ManifestArray)
    assert dataset["t"].dtype == np.int16
    assert dataset["t"].attrs["scale_factor"] == 0.1
    assert set(dataset.indexes) == {"time", "lat", "lon"}
    for name in ("time", "lat", "lon"):
        np.testing.assert_array_equal(dataset[name].values, expected[name].values)
    assert dataset.attrs["title"] == "series"


def test_values_that_lie_in_many_other_files_are_loaded_with_few_of_them_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 100
    layout = h5py.VirtualLayout((count,), "f8")
    for number in range(count):
        with h5py.File(tmp_path / f"{number}.h5", "w") as part:
            part["time"] = [float(number)]
        layout[number] = h5py.VirtualSource(f"{number}.h5", "time", (1,), "f8")
    with h5py.File(tmp_path / "main.h5", "w") as main:
        main.create_virtual_dataset("time", layout)
        main["time"].make_scale()
    sources: list[ByteSource] = []
    most_open = 0

    def counted(*given: Any) -> ByteSource:
        nonlocal most_open
        sources.append(open_source(*given))
        most_open = max(most_open, sum(map(is_open, sources)))
        return sources[-1]

    monkeypatch.setattr("vz_beam.storage.source_pool.open_source", counted)
    monkeypatch.setattr("vz_beam.storage.folder_source.open_source", counted)
    dataset = vz_beam.open_virtual_dataset(str(tmp_path / "main.h5"), loadable_variables=["time"])
    assert dataset["time"].values.tolist() == list(range(count))
    assert len(sources) == count + 1
    assert 60 < most_open < 70
    assert not any(map(is_open, sources))


def is_open(source: ByteSource) -> bool:
    try:
        source.read(0, 1)
    except SourceError:
        return False
    return True


def test_named_variables_are_loaded_instead_and_dropped_ones_are_gone(file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(file, loadable_variables=["t"], drop_variables="p")
    np.testing.assert_array_equal(dataset["t"].values, read_series([file])["t"].values)
    assert isinstance(dataset["time"].data, ManifestArray)
    assert "p" not in dataset
    assert not dataset.indexes
    assert not vz_beam.open_virtual_dataset(file, loadable_variables=[]).indexes


def test_times_stay_numbers_where_decoding_is_not_wanted(file: str) -> None:
    assert vz_beam.open_virtual_dataset(file, decode_times=False)["time"].values.tolist() == [
        8784,
        8790,
        8796,
        8802,
    ]  # 366 days on


def test_paths_urls_and_relative_paths_are_one(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = vz_beam.open_virtual_dataset(file)["t"].data.manifest
    monkeypatch.chdir(Path(file).parent)
    for url in (Path(file), f"file://{file}", Path(file).name):
        assert vz_beam.open_virtual_dataset(url)["t"].data.manifest == expected


def test_names_that_the_file_lacks_are_refused(file: str) -> None:
    with pytest.raises(InputError, match=r"\['nope'\].*'crs'"):
        vz_beam.open_virtual_dataset(file, loadable_variables=["nope"])
    with pytest.raises(InputError, match="no group 'nope'"):
        vz_beam.open_virtual_dataset(file, group="nope")


def test_bad_files_are_refused_by_name(tmp_path: Path, file: str) -> None:
    with pytest.raises(SourceNotFoundError, match=r"absent\.nc"):
        vz_beam.open_virtual_dataset(tmp_path / "absent.nc")
    text = tmp_path / "text.nc"
    text.write_text("no such format")
    with pytest.raises(FormatError, match=r"text\.nc"):
        vz_beam.open_virtual_dataset(text)
    short = tmp_path / "short.nc"
    short.write_bytes(Path(file).read_bytes()[:-500])
    with pytest.raises(FormatError, match=r"short\.nc"):
        vz_beam.open_virtual_dataset(short)


def test_an_undecodable_time_stays_virtual(tmp_path: Path) -> None:
    path = tmp_path / "odd.nc"
    with h5py.File(path, "w") as odd:
        odd["time"] = np.arange(3.0)
        odd["time"].make_scale("time")
        odd["time"].attrs["units"] = "lustrums since the flood"
    with pytest.warns(UserWarning, match="'time' could not be decoded"):
        dataset = vz_beam.open_virtual_dataset(path)
    assert isinstance(dataset["time"].data, ManifestArray)


def test_a_virtual_dataset_survives_pickle(file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(file)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy["t"].data.manifest == dataset["t"].data.manifest
    assert copy["time"].equals(dataset["time"])


def test_what_the_file_was_is_in_the_encoding(file: str) -> None:
    source = open_source(file)
    known = source.identity()
    source.close()
    assert vz_beam.open_virtual_dataset(file).encoding["identity"] == known
    assert vz_beam.open_virtual_datatree(file).encoding["identity"] == known


def test_groups_are_opened_as_a_tree(tmp_path: Path) -> None:
    path = tmp_path / "tree.nc"
    xr.Dataset({"a": ("x", np.arange(3))}).to_netcdf(path, engine="h5netcdf")
    xr.Dataset({"b": ("y", np.arange(4.0))}).to_netcdf(path, engine="h5netcdf", group="in/ner", mode="a")
    tree = vz_beam.open_virtual_datatree(path)
    assert isinstance(tree["in/ner/b"].data, ManifestArray)
    assert tree.vz.nrefs() == 2
    assert vz_beam.open_virtual_dataset(path, group="in/ner")["b"].shape == (4,)
    tree.vz.to_kerchunk(tmp_path / "tree.json", format="json")
    with xr.open_dataset(
        "reference://",
        engine="zarr",
        group="in/ner",
        backend_kwargs={"storage_options": {"fo": str(tmp_path / "tree.json")}},
    ) as ours:
        assert ours["b"].values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_groups_with_dimensions_of_their_parents_have_the_values_of_netcdf(form: str, tmp_path: Path) -> None:
    path, store = tmp_path / "tree.nc", tmp_path / f"tree.{form}"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("t", None)
        file.createDimension("x", 3)
        file.createVariable("t", "f8", ("t",))[:] = [1, 2, 3]
        file.createVariable("x", "f4", ("x",))[:] = [4, 5, 6]
        for name in ("a", "b"):
            group = file.createGroup(name)
            group.createVariable("v", "i4", ("t", "x"), chunksizes=(2, 2))[:2] = np.ones((2, 3))
            group.createDimension("y", 2 + len(file.groups))  # of one name, and two lengths
            inner = group.createGroup("inner")
            inner.createVariable("y", "i4", ("y",))[:] = np.arange(2 + len(file.groups))
            inner.createVariable("w", "i2", ("y", "x"), fill_value=7)[:1] = np.ones((1, 3))
    vz_beam.open_virtual_datatree(path).vz.to_kerchunk(store, format=form)
    # fsspec would look for the protocol in all references, and takes groups in Parquet for arrays there
    options = {"storage_options": {"fo": str(store), "remote_protocol": "file"}}
    for where in ("a", "a/inner", "b", "b/inner"):
        with (
            xr.open_dataset("reference://", engine="zarr", group=where, backend_kwargs=options) as ours,
            xr.open_dataset(path, engine="netcdf4", group=where) as expected,
        ):
            assert set(ours.variables) == set(expected.variables) != set()
            for variable in expected.variables:
                assert ours[variable].dims == expected[variable].dims
                np.testing.assert_array_equal(ours[variable].values, expected[variable].values)


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_references_are_written_and_read_back(form: str, file: str, tmp_path: Path) -> None:
    store = tmp_path / f"store.{form}"
    dataset = vz_beam.open_virtual_dataset(file)
    assert dataset.vz.to_kerchunk(store, format=form) is None
    assert_store_equals(store, read_series([file]))
    with pytest.raises(StoreExistsError):
        dataset.vz.to_kerchunk(store, format=form)


def test_references_as_a_dict_are_read_by_xarray(file: str) -> None:
    references = vz_beam.open_virtual_dataset(file).vz.to_kerchunk()
    with xr.open_dataset(references, engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["t"].values, read_series([file])["t"].values)


def test_formats_and_paths_that_cannot_be_are_refused(file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(file)
    with pytest.raises(InputError, match="'csv'"):
        dataset.vz.to_kerchunk("x.csv", format="csv")
    with pytest.raises(InputError, match="filepath"):
        dataset.vz.to_kerchunk(format="parquet")


def test_counts_and_renamed_paths(file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(file)
    assert dataset.vz.nrefs() == 2 * (2 * 2 * 1) + 1
    assert dataset.vz.nbytes < 2000
    moved = dataset.vz.rename_paths(lambda url: url.replace("file:///", "s3://bucket/"))
    assert moved["t"].data.manifest.locations[0].startswith("s3://bucket/")
    assert dataset["t"].data.manifest.locations[0].startswith("file:///")
    assert list(moved.indexes) == list(dataset.indexes)
