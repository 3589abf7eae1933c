"""Files opened by xarray's engine "vz_beam", against xarray's own readers."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import vz_beam
from integration.servers.range_server import RangeServer
from tests.daily_series import write_series
from tests.mixed_files import BAD, write_mixed_file
from vz_beam.datasets.engine import VzBeamBackendEntrypoint
from vz_beam.errors import FormatError, InputError, SourceNotFoundError, UnsupportedError
from vz_beam.storage.chunk_requests import CHUNKS_TOGETHER, chunks_together

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINT = "vz_beam.datasets.engine:VzBeamBackendEntrypoint"


def open_ours(file: Any, **options: Any) -> xr.Dataset:
    return xr.open_dataset(file, engine=VzBeamBackendEntrypoint, **options)


def assert_same(ours: xr.Dataset, expected: xr.Dataset) -> None:
    assert set(ours.data_vars) == set(expected.data_vars)
    assert set(ours.coords) == set(expected.coords)
    assert set(ours.indexes) == set(expected.indexes)
    assert ours.attrs == expected.attrs
    for name in expected.variables:
        assert ours[name].dims == expected[name].dims, name
        assert ours[name].dtype == expected[name].dtype, name
        np.testing.assert_array_equal(ours[name].values, expected[name].values, err_msg=str(name))
        np.testing.assert_equal(dict(ours[name].attrs), dict(expected[name].attrs), err_msg=str(name))


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write_series(tmp_path, count=1)[0]


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """Texts, characters, booleans, big-endian numbers, scalars, unwritten chunks, unsigned, an empty dimension."""
    path = tmp_path / "odd.nc"
    dataset = xr.Dataset(
        {
            "words": ("x", np.array(["a", "", "öß", "long " * 20], object)),
            "chars": ("x", np.array([b"ab", b"c", b"", b"def"])),
            "flag": ("x", np.array([True, False, True, True])),
            "scalar": ((), 3.5),
            "nothing": ("none", np.zeros(0)),
            "wait": ("x", np.array([1, 2, 3, 4], "m8[s]").astype("m8[ns]")),
            "unsigned": ("x", np.array([1, 255, 3, 200], "u1"), {"long_name": "u"}),
        },
        {"x": [4.0, 3.0, 2.0, 1.0], "lat": (("x",), np.arange(4.0), {"units": "degrees_north"})},
    )
    dataset.to_netcdf(path, engine="h5netcdf", encoding={"unsigned": {"_FillValue": 3}})
    with h5py.File(path, "a") as raw:
        raw["z"] = np.arange(5.0)
        raw["z"].make_scale("z")
        big = raw.create_dataset("big", data=np.arange(20, dtype=">i4").reshape(4, 5), chunks=(3, 2))
        holes = raw.create_dataset("holes", (4, 5), "i2", chunks=(2, 5), fillvalue=-5)
        holes[:2] = 7
        holes.attrs["_FillValue"] = np.int16(-9)
        for variable in (big, holes):
            variable.dims[0].attach_scale(raw["x"])
            variable.dims[1].attach_scale(raw["z"])
    return str(path)


def test_packing_decodes_to_the_type_that_the_file_chooses(tmp_path: Path) -> None:
    path = tmp_path / "packed.h5"
    with h5py.File(path, "w") as file:
        for name in ("single", "double", "offset", "whole", "big_endian"):
            file[name] = np.arange(-3, 9, dtype="i2")
            scale = {"double": np.float64(0.1), "whole": np.int16(2), "big_endian": np.array(0.1, ">f4")}
            file[name].attrs["scale_factor"] = scale.get(name, np.float32(0.1))
        file["offset"].attrs["add_offset"] = np.float32(250)
    with xr.open_dataset(path, engine="h5netcdf", phony_dims="access") as expected, open_ours(path) as ours:
        loaded = vz_beam.open_virtual_dataset(path, loadable_variables=map(str, expected.data_vars))
        for name in map(str, expected.data_vars):
            for found in (ours[name], loaded[name]):
                assert found.dtype == expected[name].dtype, name
                np.testing.assert_array_equal(found.values, expected[name].values)


def test_any_name_of_a_variable_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "odd_names.h5"
    names = ["a\\b", "~!@#%^&*()", "zarr.json", " ", "c", "ä\n"]
    with h5py.File(path, "w") as file:
        file.create_group("g")
        for number, name in enumerate(names):
            file["g"][name] = np.full(3, number)
    with open_ours(path, group="g") as ours:
        assert [int(ours[name].values[0]) for name in names] == list(range(len(names)))


def test_reading_warns_of_nothing_and_outlives_a_deep_copy(file: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_ours(file) as ours:
            copied = copy.deepcopy(ours)
            np.testing.assert_array_equal(copied["t"].values, ours["t"].values)


def test_values_attributes_and_coordinates_are_those_of_the_own_readers_of_xarray(file: str, odd: str) -> None:
    for path in (file, odd):
        for engine in ("h5netcdf", "netcdf4"):
            with xr.open_dataset(path, engine=engine) as expected, open_ours(path) as ours:
                assert_same(ours, expected)


@pytest.mark.parametrize(
    "selection",
    [
        {},
        {"time": 1},
        {"time": slice(1, 3), "lat": slice(None, None, 2)},
        {"time": [3, 0], "lon": [7, 1, 1]},
        {"lat": slice(None, None, -1)},
        {"time": slice(0, 0)},
        {"lat": xr.DataArray([0, 5], dims="p"), "lon": xr.DataArray([2, 7], dims="p")},
        {"time": -1, "lat": -2, "lon": 0},
    ],
)
def test_any_selection_reads_the_values_of_the_own_readers_of_xarray(selection: Any, file: str) -> None:
    with xr.open_dataset(file, engine="h5netcdf") as expected, open_ours(file) as ours:
        np.testing.assert_array_equal(ours["t"].isel(selection).values, expected["t"].isel(selection).values)


@pytest.mark.parametrize(
    "decoding",
    [
        {"decode_cf": False},
        {"decode_times": False},
        {"mask_and_scale": False},
        {"decode_coords": "all"},
        {"decode_times": xr.coders.CFDatetimeCoder(use_cftime=True)},
        {"drop_variables": "p"},
        {"drop_variables": ["p", "crs"]},
    ],
)
def test_decoding_is_as_asked(decoding: dict[str, Any], file: str) -> None:
    with xr.open_dataset(file, engine="h5netcdf", **decoding) as expected, open_ours(file, **decoding) as ours:
        assert_same(ours, expected)


def test_chunks_of_dask_are_those_of_the_file(file: str) -> None:
    with open_ours(file, chunks={}) as ours, xr.open_dataset(file, engine="h5netcdf") as expected:
        assert ours["t"].chunks == ((2, 2), (3, 3), (8,))
        assert ours["t"].encoding["preferred_chunks"] == {"time": 2, "lat": 3, "lon": 8}
        np.testing.assert_array_equal(ours["t"].max("time").values, expected["t"].max("time").values)
        with dask.config.set(scheduler="processes"):
            np.testing.assert_array_equal(ours["p"][:, :3].values, expected["p"][:, :3].values)


def test_nothing_is_read_before_it_is_used_but_dimension_coordinates(file: str) -> None:
    with open_ours(file) as ours:
        Path(file).unlink()
        assert ours["lat"].values.tolist() == np.linspace(-50, 50, 6).tolist()
        with pytest.raises(SourceNotFoundError):
            ours["t"].load()


def test_a_chunk_that_cannot_be_decoded_is_refused_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=np.arange(1000), chunks=(1000,), compression="gzip")
        place = file["v"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place : place + 8] = b"no zlib!"
    path.write_bytes(data)
    with open_ours(path) as ours, pytest.raises(FormatError, match=r"damaged\.h5.*cannot be decoded"):
        ours["v"].load()
    with open_ours(path) as ours, pytest.raises(IndexError):
        ours["v"][1000].load()


def test_a_pickled_dataset_reads_the_same_and_holds_no_credentials(file: str) -> None:
    ours = open_ours(file, storage_options={"secret_access_key": "for your eyes only"})
    pickled = pickle.dumps(ours)
    assert b"for your eyes only" not in pickled
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again["t"].values, ours["t"].values)
    one = pickle.dumps(ours[["p"]].drop_vars(["time", "lat", "lon"]))
    assert b"scale_factor" not in one  # of t, which is another array of the same file


def test_groups_are_opened_one_by_one_or_as_a_tree(tmp_path: Path) -> None:
    path = tmp_path / "tree.nc"
    xr.Dataset({"a": ("x", np.arange(3))}, {"x": [1, 2, 3]}, {"title": "top"}).to_netcdf(path, engine="h5netcdf")
    for group, start in (("in", 0), ("in/ner", 4)):
        xr.Dataset({"b": ("y", np.arange(start, start + 4.0))}).to_netcdf(
            path, engine="h5netcdf", group=group, mode="a"
        )
    ours, theirs = (xr.open_datatree(path, engine=e) for e in (VzBeamBackendEntrypoint, "h5netcdf"))
    with ours as tree, theirs as expected:
        xr.testing.assert_identical(tree.load(), expected.load())
    with xr.open_datatree(path, engine=VzBeamBackendEntrypoint, group="in") as below:
        assert set(below.groups) == {"/", "/ner"}
        assert np.asarray(below["ner/b"]).tolist() == [4, 5, 6, 7]
    groups = xr.open_groups(path, engine=VzBeamBackendEntrypoint)
    assert set(groups) == {"/", "/in", "/in/ner"}
    with open_ours(path, group="in/ner") as inner:
        assert inner["b"].values.tolist() == [4, 5, 6, 7]
    with pytest.raises(InputError, match="no group 'out'"):
        open_ours(path, group="out")


def test_what_references_cannot_express_is_refused_dropped_or_skipped_by_name(tmp_path: Path) -> None:
    mixed = write_mixed_file(tmp_path / "mixed.h5")
    with pytest.raises(UnsupportedError, match="3 variables"):
        open_ours(mixed)
    with open_ours(mixed, drop_variables=list(BAD)) as dropped, open_ours(mixed, unsupported="skip") as skipped:
        assert set(dropped.variables) == set(skipped.variables) == {"time", "t"}
        assert set(skipped.vz.skipped) == set(BAD)
    with xr.open_datatree(mixed, engine=VzBeamBackendEntrypoint, unsupported="skip") as tree:
        assert set(tree.vz.skipped) == {*BAD, "below/ragged"}


def test_no_file_is_taken_from_another_engine(file: str) -> None:
    for name in (file, "store.parquet", "s3://bucket/x.nc", b"\x89HDF\r\n\x1a\n", object()):
        assert not VzBeamBackendEntrypoint().guess_can_open(name)


def test_the_engine_is_found_by_its_name(tmp_path: Path, file: str) -> None:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        assert tomllib.load(stream)["project"]["entry-points"]["xarray.backends"] == {"vz_beam": ENTRY_POINT}
    # as an installed package would tell it: this one may be installed from elsewhere, or not at all
    told = tmp_path / "site" / "told-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: told\nVersion: 1\n")
    (told / "entry_points.txt").write_text(f"[xarray.backends]\nvz_beam = {ENTRY_POINT}\n")
    code = (
        f"import sys; sys.path[:0] = {[str(ROOT), str(told.parent)]}\n"
        f"import xarray as xr; print(float(xr.open_dataset({file!r}, engine='vz_beam')['p'].sum()))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    with xr.open_dataset(file, engine="h5netcdf") as expected:
        assert float(done.stdout) == float(expected["p"].sum())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RangeServer]:
    with h5py.File(tmp_path / "many.h5", "w") as raw:
        raw.create_dataset("v", data=np.arange(400, dtype="i4"), chunks=(2,))
        for number in range(3):
            raw.create_dataset(f"d{number}", data=np.arange(400.0) + number, chunks=(40,)).make_scale()
    with RangeServer({"many.h5": tmp_path / "many.h5"}, 0.1) as server:
        yield server


def test_chunks_are_fetched_together_and_each_once(served: RangeServer) -> None:
    url = f"{served.url}/many.h5"
    with open_ours(url) as ours:
        assert served.rounds <= 4  # the file's structure, then all coordinates
        served.forget()
        (dim,) = ours["v"].dims
        assert ours["v"].values.tolist() == list(range(400))
        assert len(served.requests) == 200
        assert len({(request.start, request.stop) for request in served.requests}) == 200
        assert served.rounds <= 200 / 10  # zarr alone would need at least so many
    with open_ours(url) as ours:
        served.forget()
        assert ours["v"].isel({dim: [0, 1, 100]}).values.tolist() == [0, 1, 100]
        assert len(served.requests) == 2


def test_the_setting_of_zarr_is_as_before_after_each_read(served: RangeServer) -> None:
    def setting() -> Any:
        return zarr.config.get("async.concurrency")

    before = setting()
    assert before < CHUNKS_TOGETHER
    with chunks_together():
        with chunks_together():
            assert setting() == CHUNKS_TOGETHER
        assert setting() == CHUNKS_TOGETHER
    assert setting() == before
    with pytest.raises(ZeroDivisionError), chunks_together():
        _ = 1 / 0
    assert setting() == before
    with zarr.config.set({"async.concurrency": 500}), chunks_together():
        assert setting() == 500
