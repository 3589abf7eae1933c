"""What users of VirtualiZarr expect of the functions that open files."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore

import vz_beam
from tests.daily_series import read_series, write_series
from vz_beam.errors import ReadOnlyStoreError
from vz_beam.manifests import ArrayMetadata, ChunkManifest, ManifestArray, ManifestGroup, ManifestStore
from vz_beam.parsers import HDFParser
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.manifest_store import ManifestStore as StoredManifestStore
from vz_beam.storage.registry import PrefixRegistry


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write_series(tmp_path, count=1)[0]


@pytest.fixture
def registry() -> ObjectStoreRegistry[Any]:
    return ObjectStoreRegistry({"file://": LocalStore()})


def test_url_registry_and_parser_are_given_by_position_or_name(file: str, registry: ObjectStoreRegistry[Any]) -> None:
    by_position = vz_beam.open_virtual_dataset(f"file://{file}", registry, HDFParser(), ["p"], ["time"], False)
    by_name = vz_beam.open_virtual_dataset(
        url=file,
        registry=registry,
        parser=HDFParser(),
        drop_variables=["p"],
        loadable_variables=["time"],
        decode_times=False,
    )
    xr.testing.assert_identical(by_position.drop_vars(["t", "crs"]), by_name.drop_vars(["t", "crs"]))
    assert "p" not in by_position
    assert by_position["time"].dtype == np.float64
    assert by_position.encoding["source"] == f"file://{file}"


@pytest.mark.parametrize("kind", [list, tuple, set, iter])
def test_loadable_and_dropped_variables_are_any_iterable(kind: Any, file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(Path(file), loadable_variables=kind(["p"]), drop_variables=kind(["t"]))
    np.testing.assert_array_equal(dataset["p"].values, read_series([file])["p"].values)
    assert isinstance(dataset["time"].data, ManifestArray)
    assert not dataset.indexes
    assert "t" not in dataset


def test_a_text_is_one_name_and_not_its_letters(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as written:
        for name in ("x", "y", "xy"):
            written[name] = np.arange(3)
    path = tmp_path / "f.h5"
    assert set(vz_beam.open_virtual_dataset(path, drop_variables="xy").variables) == {"x", "y"}
    loaded = vz_beam.open_virtual_dataset(path, loadable_variables="xy")
    assert loaded["xy"].values.tolist() == [0, 1, 2]
    assert isinstance(loaded["x"].data, ManifestArray)


@pytest.mark.parametrize("opened", [vz_beam.open_virtual_dataset, vz_beam.open_virtual_datatree])
def test_unknown_names_to_drop_are_an_error_unless_they_may_be_unknown(opened: Any, file: str) -> None:
    with pytest.raises(ValueError, match=r"drop_variables names \['P'\].*'p'.*Way out"):
        opened(file, drop_variables=["p", "P"])
    assert "p" not in opened(file, drop_variables=["p", "P"], unknown_names="ignore").variables
    with pytest.raises(ValueError, match="unknown_names='skip'"):
        opened(file, unknown_names="skip")


def test_names_to_drop_are_known_by_path_and_where_they_were_skipped(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as written:
        written["v"] = written["g/w"] = np.arange(3)
        written.create_dataset("odd", (2,), dtype=h5py.ref_dtype)
    assert set(vz_beam.open_virtual_dataset(path, drop_variables=["odd", "/g/w"]).variables) == {"v"}
    assert set(vz_beam.open_virtual_dataset(path, drop_variables="odd", unsupported="skip").variables) == {"v"}
    assert set(vz_beam.open_virtual_dataset(path, group="g", drop_variables="v/../w", unknown_names="ignore")) == {"w"}
    tree = vz_beam.open_virtual_datatree(path, drop_variables=["w", "odd"])
    assert "w" not in tree["g"]
    for wrong in ("h/w", "w"):
        with pytest.raises(ValueError, match="cannot be found"):
            vz_beam.open_virtual_dataset(path, drop_variables=["odd", wrong])


def test_a_url_without_a_store_is_a_value_error(file: str) -> None:
    with pytest.raises(ValueError, match="no store"):
        vz_beam.open_virtual_dataset("s3://bucket/a.nc", ObjectStoreRegistry({"gs://other": LocalStore()}), HDFParser())


def test_nothing_is_loaded_where_nothing_is_to_be(file: str) -> None:
    dataset = vz_beam.open_virtual_dataset(file, loadable_variables=[])
    assert not dataset.indexes
    assert all(isinstance(variable._data, ManifestArray) for variable in dataset.variables.values())
    assert set(dataset.coords) == {"time", "lat", "lon"}


def test_times_are_decoded_where_they_are_loaded_and_only_then(file: str) -> None:
    expected = read_series([file])["time"].values
    loaded = vz_beam.open_virtual_dataset(file)
    np.testing.assert_array_equal(loaded["time"].values, expected)
    assert loaded["time"].encoding["units"].startswith("hours since")
    assert vz_beam.open_virtual_dataset(file, decode_times=False)["time"].attrs["units"].startswith("hours since")
    virtual = vz_beam.open_virtual_dataset(file, loadable_variables=[])["time"]
    assert virtual.dtype == np.float64
    assert virtual.attrs["units"].startswith("hours since")


def test_a_time_that_cannot_be_decoded_stays_virtual(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "f.nc", "w") as written:
        written.createDimension("time", 3)
        written.createVariable("time", "f8", ("time",))[:] = [0, 1, 2]
        written["time"].units = "months since 2000-01-01"
    path = tmp_path / "f.nc"
    assert isinstance(vz_beam.open_virtual_dataset(path, loadable_variables=[])["time"].data, ManifestArray)
    with pytest.warns(UserWarning, match="stays virtual"):
        dataset = vz_beam.open_virtual_dataset(path)
    assert isinstance(dataset["time"].data, ManifestArray)
    assert vz_beam.open_virtual_dataset(path, decode_times=False)["time"].values.tolist() == [0, 1, 2]


def test_packed_variables_stay_packed_until_they_are_loaded(file: str) -> None:
    virtual = vz_beam.open_virtual_dataset(file)["t"]
    assert (virtual.dtype, virtual.attrs["scale_factor"]) == (np.dtype("i2"), 0.1)
    loaded = vz_beam.open_virtual_dataset(file, loadable_variables=["t"])["t"]
    assert loaded.dtype.kind == "f"
    assert "scale_factor" not in loaded.attrs
    assert loaded.encoding["scale_factor"] == 0.1


def test_a_parser_is_called_with_url_and_registry(file: str, registry: ObjectStoreRegistry[Any]) -> None:
    parser = HDFParser(group=None, drop_variables=["p"], reader_factory=object)
    store = parser(url=f"file://{file}", registry=registry)
    assert isinstance(store, ManifestStore)
    assert ManifestStore is StoredManifestStore
    assert parser(f"file://{file}", registry) == store
    assert pickle.loads(pickle.dumps(store)) == store
    opened = vz_beam.open_virtual_dataset(file, registry, parser)
    xr.testing.assert_identical(
        store.to_virtual_dataset(loadable_variables=[]).coords.to_dataset(), opened_coords(file)
    )
    np.testing.assert_array_equal(store.to_virtual_dataset()["time"].values, opened["time"].values)


def opened_coords(file: str) -> xr.Dataset:
    return vz_beam.open_virtual_dataset(file, loadable_variables=[]).coords.to_dataset()


@pytest.mark.parametrize("wrong", [3, b"t", ["t", 3], [None], Path("t")])
def test_names_that_are_no_texts_are_an_error_of_both_kinds(wrong: Any, file: str) -> None:
    for word in ("loadable_variables", "drop_variables"):
        for kind in (ValueError, TypeError):
            with pytest.raises(kind, match=f"{word} must be an iterable of string variable names"):
                vz_beam.open_virtual_dataset(file, **{word: wrong})
            with pytest.raises(kind, match=f"{word} must be an iterable of string variable names"):
                vz_beam.open_virtual_mfdataset([file], **{word: wrong})


def test_the_root_group_of_a_store_may_be_none() -> None:
    store = ManifestStore(ManifestGroup(groups={"g": ManifestGroup()}))
    assert not store.to_virtual_dataset(group=None)
    assert store.to_virtual_datatree(group=None).groups == ("/", "/g")


def test_a_registry_says_which_url_has_no_store() -> None:
    registry: ObjectStoreRegistry[Any] = PrefixRegistry({"s3://b": object()})  # type: ignore[assignment]
    with pytest.raises(ValueError, match="Could not find an ObjectStore matching the url `s3://c/f`"):
        registry.resolve("s3://c/f")
    for wrong in ("", "bucket", "bucket/x"):
        with pytest.raises(ValueError, match="Urls are expected to contain a scheme"):
            registry.register(wrong, object())


def test_any_function_of_url_and_registry_is_a_parser(file: str) -> None:
    def parser(url: str, registry: Any) -> ManifestStore:
        return HDFParser()(url, registry)

    np.testing.assert_array_equal(
        vz_beam.open_virtual_dataset(file, parser=parser)["lat"].values, read_series([file])["lat"].values
    )


@pytest.mark.parametrize("group", ["g", "/g/"])
def test_a_store_gives_datasets_and_trees_of_its_groups(group: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as written:
        written["x"] = np.arange(3)
        written["x"].make_scale("x")
        written["g/y"] = np.arange(4) * 2
        written["g/y"].make_scale("y")
        written["g/h/v"] = np.arange(5)
    store = HDFParser()(tmp_path / "f.h5")
    assert set(store.to_virtual_dataset().variables) == {"x"}
    below = store.to_virtual_dataset(group, None, False)
    assert below["y"].values.tolist() == [0, 2, 4, 6]
    assert isinstance(store.to_virtual_dataset(group=group, loadable_variables=[])["y"].data, ManifestArray)
    assert set(store.to_virtual_datatree().groups) == {"/", "/g", "/g/h"}
    tree = store.to_virtual_datatree(group, loadable_variables=["v"], decode_times=None)
    assert tree["h"].to_dataset()["v"].values.tolist() == [0, 1, 2, 3, 4]
    assert isinstance(tree["y"].data, ManifestArray)
    assert store.nbytes_virtual == 8 * (3 + 4 + 5)
    with pytest.raises(ValueError, match="no group 'k'"):
        store.to_virtual_dataset("k")
    with pytest.raises(ValueError, match="loadable_variables"):
        store.to_virtual_dataset(loadable_variables="z")


def test_a_store_is_read_only_and_made_of_a_group() -> None:
    store = ManifestStore(ManifestGroup(), registry=ObjectStoreRegistry())
    assert (store.read_only, store.supports_writes, store.supports_deletes) == (True, False, False)
    with pytest.raises(TypeError, match="not a dict"):
        ManifestStore({})
    for refused in (store.set("a", b""), store.delete("a"), store.set_partial_values([])):
        with pytest.raises(NotImplementedError) as caught:
            asyncio.run(refused)
        assert isinstance(caught.value, ReadOnlyStoreError)
    assert store == ManifestStore(ManifestGroup())
    assert store != ManifestStore(ManifestGroup(attributes={"a": 1}))
    assert store != "store"


def test_arrays_without_dimension_names_are_an_error_that_names_them(file: str) -> None:
    array = ManifestArray(ArrayMetadata((2,), np.dtype("i4"), (2,)), ChunkManifest.single((1,), "file:///f", 0, 8))

    class Nameless:
        def parse(self, source: ByteSource) -> ManifestGroup:
            return ManifestGroup({"v": array})

    with pytest.raises(ValueError, match=r"'v'.*no names"):
        vz_beam.open_virtual_dataset(file, parser=Nameless())
    with pytest.raises(ValueError, match="'v' no dimension names"):
        xr.open_dataset(file, engine="vz_beam", parser=Nameless())


def test_a_tree_has_all_groups_and_loads_by_name_or_path(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as written:
        written["g/h/v"] = written["v"] = np.arange(5)
    tree = vz_beam.open_virtual_datatree(str(tmp_path / "f.h5"), None, None, loadable_variables=["g/h/v"])
    assert tree["g/h"].to_dataset()["v"].values.tolist() == [0, 1, 2, 3, 4]
    assert isinstance(tree["v"].data, ManifestArray)
