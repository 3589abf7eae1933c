from __future__ import annotations

import pickle
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import obstore
import pytest
import xarray as xr
from packaging.version import Version

import vz_beam
from vz_beam.datasets.accessor import VirtualDatasetAccessor, register_accessors
from vz_beam.datasets.virtualizarr import from_virtualizarr, to_virtualizarr
from vz_beam.errors import InputError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.testing.sample_files import write_daily_files


@pytest.fixture(scope="module")
def theirs() -> Iterator[Any]:
    """VirtualiZarr's manifests and parsers; its accessor, which it registers when imported, is gone at the end."""
    manifests = pytest.importorskip("virtualizarr.manifests", reason="VirtualiZarr is not installed")
    yield SimpleNamespace(manifests=manifests, parsers=pytest.importorskip("virtualizarr.parsers"))
    register_accessors()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with chunks of several kinds: whole and partial ones, missing ones, none at all, a scalar, big-endian."""
    file_path = tmp_path / "a.h5"
    with h5py.File(file_path, "w") as file:
        for name, length in (("y", 5), ("x", 7)):
            file.create_dataset(name, data=np.arange(length, dtype="f4")).make_scale(name)
        variables = {
            "v": file.create_dataset("v", data=np.arange(35.0).reshape(5, 7), chunks=(2, 3), compression="gzip"),
            "partly": file.create_dataset("partly", (5, 7), ">i4", chunks=(2, 3), fillvalue=-1),
            "never": file.create_dataset("never", (5, 7), "i2", chunks=(2, 3), fillvalue=9),
        }
        file["partly"][:2] = 3
        for variable in variables.values():
            for axis, name in enumerate("yx"):
                variable.dims[axis].attach_scale(file[name])
        file["scalar"] = 5.5
    return file_path


def written(dataset: xr.Dataset, folder: Path) -> xr.Dataset:
    """What is read through the references."""
    store = str(folder / "store.json")
    dataset.vz.to_kerchunk(store, format="json")
    return xr.open_dataset(store, engine="kerchunk", storage_options={"remote_protocol": "file"})


@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_parsers_of_both_kinds_give_the_same_values(path: Path, tmp_path: Path, theirs: Any, whose: str) -> None:
    parser = theirs.parsers.HDFParser() if whose == "theirs" else vz_beam.HDFParser()
    dataset = vz_beam.open_virtual_dataset(path, parser=parser)
    assert isinstance(dataset["v"].data, ManifestArray)
    with written(dataset, tmp_path) as found, h5py.File(path) as file:
        for name in ("v", "partly", "never", "scalar", "x", "y"):
            assert np.array_equal(found[name].values, file[name][()]), name


def test_a_parser_of_theirs_reads_in_a_registry(path: Path, theirs: Any) -> None:
    registry = {"file://": obstore.store.LocalStore()}
    dataset = vz_beam.open_virtual_dataset(path, registry, theirs.parsers.HDFParser())
    assert dataset["v"].data.manifest == vz_beam.open_virtual_dataset(path)["v"].data.manifest


def test_datasets_go_there_and_back(path: Path, theirs: Any) -> None:
    ours = vz_beam.open_virtual_dataset(path)
    there = to_virtualizarr(ours)
    assert isinstance(there["v"].data, theirs.manifests.ManifestArray)
    assert there["v"].data.manifest.dict()["0.1"] == ours["v"].data.manifest.dict()["0.1"]
    back = from_virtualizarr(there)
    assert list(back.variables) == list(ours.variables)
    assert set(back.xindexes) == set(ours.xindexes) == {"x", "y"}
    for name in ("v", "partly", "never", "scalar"):
        assert back[name].data.metadata == ours[name].data.metadata
        assert back[name].data.manifest == ours[name].data.manifest
        assert back[name].attrs == ours[name].attrs


def test_trees_go_there_and_back(tmp_path: Path, theirs: Any) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["v"] = np.arange(3)
        file["g/w"] = np.arange(4)
    ours = vz_beam.open_virtual_datatree(tmp_path / "b.h5")
    there = to_virtualizarr(ours)
    assert isinstance(there["g/w"].data, theirs.manifests.ManifestArray)
    back = from_virtualizarr(there)
    assert back["g/w"].data.manifest == ours["g/w"].data.manifest


def test_the_accessor_is_ours_behind_whatever_was_imported(path: Path, theirs: Any) -> None:
    there = to_virtualizarr(vz_beam.open_virtual_dataset(path))
    assert isinstance(there.vz, VirtualDatasetAccessor)
    with pytest.warns(Warning, match="overriding"):
        xr.register_dataset_accessor("vz")(type("Other", (), {"__init__": lambda self, data: None}))  # type: ignore[no-untyped-call]
    assert isinstance(from_virtualizarr(there).vz, VirtualDatasetAccessor)
    with pytest.warns(Warning, match="overriding"):
        xr.register_dataset_accessor("vz")(type("Other", (), {"__init__": lambda self, data: None}))  # type: ignore[no-untyped-call]
    assert isinstance(vz_beam.open_virtual_dataset(path).vz, VirtualDatasetAccessor)


def test_inlined_chunks_are_kept_or_refused(tmp_path: Path, theirs: Any) -> None:
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["text"] = ["a", "bb"]
    ours = vz_beam.open_virtual_dataset(tmp_path / "c.h5")
    if Version(version("virtualizarr")) < Version("2.6.1"):
        with pytest.raises(UnsupportedError, match=r"2\.6\.1"):
            to_virtualizarr(ours)
    else:
        there = to_virtualizarr(ours)
        assert from_virtualizarr(there)["text"].data.manifest == ours["text"].data.manifest


def test_what_is_no_store_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="ManifestStore, vz_beam's or VirtualiZarr's, not a dict"):
        vz_beam.open_virtual_dataset(path, parser=lambda url, registry: {})


def test_a_series_is_built_by_a_parser_of_theirs(tmp_path: Path, theirs: Any) -> None:
    paths = write_daily_files(tmp_path, 3)
    parser = theirs.parsers.HDFParser()
    assert pickle.loads(pickle.dumps(parser)) is not None
    store = str(tmp_path / "store.json")
    vz_beam.build([str(path) for path in paths], store, concat_dim="time", parser=parser, progress=False)
    with (
        xr.open_dataset(store, engine="kerchunk", storage_options={"remote_protocol": "file"}) as found,
        xr.open_mfdataset(paths, engine="h5netcdf", combine="nested", concat_dim="time", join="outer") as expected,
    ):
        for name in expected.data_vars:
            assert np.array_equal(found[name].values, expected[name].values, equal_nan=True), name
