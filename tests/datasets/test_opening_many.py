"""Many files opened as one dataset or tree, against what xarray's own readers give of the same files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import obstore
import pytest
import xarray as xr
from obstore.store import MemoryStore

import vz_beam
from tests.daily_series import read_series, write_series
from tests.mixed_files import BAD, write_mixed_file
from vz_beam import open_virtual_mfdataset, open_virtual_mfdatatree
from vz_beam.errors import FormatError, InputError, ManifestError, MismatchError
from vz_beam.manifests import ManifestArray

ONCE: dict[str, Any] = {"data_vars": "minimal", "coords": "minimal", "compat": "override"}
"""Choices that keep what is the same in all files, such as ``crs``, once."""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "files", count=3)


def values_of(virtual: xr.Dataset) -> xr.Dataset:
    with xr.open_dataset(virtual.vz.to_kerchunk(), engine="kerchunk") as opened:
        return opened.load()


def assert_equal_values(virtual: xr.Dataset, expected: xr.Dataset) -> None:
    ours = values_of(virtual)
    assert set(ours.variables) == set(expected.variables)
    for name in expected.variables:
        assert ours[name].dims == expected[name].dims
        np.testing.assert_array_equal(ours[name].values, expected[name].values, err_msg=str(name))


@pytest.mark.parametrize("combine", [{}, {"combine": "nested", "concat_dim": "time"}])
def test_files_are_joined_in_both_ways(combine: dict[str, Any], files: list[str]) -> None:
    virtual = open_virtual_mfdataset(files, **combine, **ONCE)
    assert isinstance(virtual["t"].data, ManifestArray)
    assert "source" not in virtual.encoding
    assert_equal_values(virtual, read_series(files))


def test_defaults_join_as_those_of_xarray_do(files: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of defaults that will change
        expected = xr.open_mfdataset(
            files, engine="h5netcdf", data_vars="all", coords="different", compat="no_conflicts", join="outer"
        )
    with expected:
        assert_equal_values(open_virtual_mfdataset(files), expected)
        assert open_virtual_mfdataset(files).attrs == expected.attrs


def test_coordinates_order_the_files_unless_they_are_nested(files: list[str]) -> None:
    assert_equal_values(open_virtual_mfdataset(files[::-1], **ONCE), read_series(files))
    as_given = open_virtual_mfdataset(files[::-1], combine="nested", concat_dim="time", **ONCE)
    assert_equal_values(as_given, read_series(files[::-1]))


def test_lists_of_lists_are_joined_along_two_dimensions(tmp_path: Path) -> None:
    urls: list[list[Path]] = []
    for row in range(2):
        urls.append([])
        for column in range(3):
            path = tmp_path / f"{row}-{column}.nc"
            values = np.arange(6.0).reshape(2, 3) + 100 * row + 10 * column
            xr.Dataset({"v": (("y", "x"), values)}).to_netcdf(path, engine="h5netcdf")
            urls[-1].append(path)
    virtual = open_virtual_mfdataset(urls, combine="nested", concat_dim=["y", "x"])
    with xr.open_mfdataset(urls, engine="h5netcdf", combine="nested", concat_dim=["y", "x"], data_vars="all") as theirs:
        assert_equal_values(virtual, theirs)
    with pytest.raises(ValueError, match="sub-lists do not have consistent lengths"):
        open_virtual_mfdataset([urls[0], urls[1][:2]], combine="nested", concat_dim=["y", "x"])


def test_variables_in_files_of_their_own_are_merged(tmp_path: Path, files: list[str]) -> None:
    parts = []
    for name in ("t", "p"):
        with xr.open_dataset(files[0], engine="h5netcdf") as whole:
            whole[[name]].drop_vars("crs", errors="ignore").to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
            parts.append(str(tmp_path / f"{name}.nc"))
    for combine in ({"combine": "by_coords"}, {"combine": "nested", "concat_dim": None}):
        virtual = open_virtual_mfdataset(parts, **combine)
        assert_equal_values(virtual, read_series(files[:1]).drop_vars("crs"))


def test_a_new_dimension_gets_its_values(files: list[str]) -> None:
    members = xr.DataArray([10, 20], dims="member", name="member")
    virtual = open_virtual_mfdataset(files[:1] * 2, combine="nested", concat_dim=members, drop_variables="crs")
    assert virtual["member"].values.tolist() == [10, 20]
    assert virtual["t"].dims == ("member", "time", "lat", "lon")
    both = values_of(virtual)["t"].values
    np.testing.assert_array_equal(both, np.stack([read_series(files[:1])["t"].values] * 2))


def _as_memory_of_fsspec(files: list[str]) -> tuple[str, dict[str, Any]]:
    filesystem = fsspec.filesystem("memory")
    for file in files:
        filesystem.pipe(f"/many/{Path(file).name}", Path(file).read_bytes())
    return "simplecache::memory://many/*.nc", {}


def _as_registry(files: list[str]) -> tuple[str, dict[str, Any]]:
    store = MemoryStore()
    for file in files:
        obstore.put(store, f"deep/{Path(file).name}", Path(file))
    return "s3://bucket/deep/day_?.nc", {"registry": {"s3://bucket": store}}


@pytest.mark.parametrize(
    "place",
    [
        lambda files: (str(Path(files[0]).parent / "*.nc"), {}),
        lambda files: (Path(files[0]).parent / "day_[0-9].nc", {}),
        lambda files: (f"file://{Path(files[0]).parent}/*.nc", {}),
        lambda files: (Path(files[0]).parent, {}),
        lambda files: ([Path(file) for file in files], {}),
        lambda files: (tuple(files), {}),
        _as_memory_of_fsspec,
        _as_registry,
    ],
    ids=["glob", "path", "url", "folder", "paths", "tuple", "fsspec", "registry"],
)
def test_globs_and_paths_work_everywhere(
    place: Callable[[list[str]], tuple[Any, dict[str, Any]]], files: list[str]
) -> None:
    urls, options = place(files)
    virtual = open_virtual_mfdataset(urls, **options)
    expected = read_series(files)
    assert virtual.sizes == expected.sizes
    np.testing.assert_array_equal(virtual["time"].values, expected["time"].values)
    assert len(virtual["t"].data.manifest.locations) == 3


@pytest.mark.parametrize("urls", [[], [[]], "{folder}/*.none", "{folder}/absent.nc", ""])
def test_no_files_are_an_os_error(urls: Any, tmp_path: Path) -> None:
    if isinstance(urls, str):
        urls = urls.format(folder=tmp_path)
    with pytest.raises(OSError, match="no files to open"):
        open_virtual_mfdataset(urls)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"concat_dim": "time"}, "concat_dim='time' has no meaning"),
        ({"combine": "by_hand"}, "'by_hand' is neither"),
        ({"parallel": True}, "parallel=True"),
        ({"parallel": "lithops"}, "parallel='lithops'"),
        ({"parallel": list}, "parallel=<class 'list'>"),
        ({"errors": "collect"}, "'collect'"),
        ({"attrs_file": "/other.nc"}, "attrs_file file:///other.nc is not one of the 1 files"),
    ],
)
@pytest.mark.parametrize("function", [open_virtual_mfdataset, open_virtual_mfdatatree])
def test_choices_that_cannot_be_are_value_errors(
    function: Callable[..., Any], choices: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        function([tmp_path / "never_looked_at.nc"], **choices)


def test_an_unknown_word_is_a_type_error_even_where_files_may_fail(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"open_virtual_dataset.*engine"):
        open_virtual_mfdataset([tmp_path / "a.nc"], errors="ignore", engine="h5netcdf")
    with pytest.raises(InputError, match="not a int"):
        open_virtual_mfdataset(3)  # type: ignore[arg-type]


def test_choices_for_each_file_are_those_of_one_file(files: list[str]) -> None:
    virtual = open_virtual_mfdataset(
        files,
        None,
        vz_beam.HDFParser(),
        loadable_variables=iter(["time", "lat", "lon", "p"]),
        drop_variables=iter(["t"]),
    )
    assert "t" not in virtual
    np.testing.assert_array_equal(virtual["p"].values, read_series(files)["p"].values)


def test_each_dataset_is_preprocessed_and_knows_its_file(files: list[str]) -> None:
    def preprocess(dataset: xr.Dataset) -> xr.Dataset:
        name = Path(dataset.encoding["source"]).stem
        return dataset[["t"]].drop_vars("time").expand_dims(day=[int(name.rpartition("_")[2])])

    virtual = open_virtual_mfdataset(files, preprocess=preprocess)
    assert virtual["day"].values.tolist() == [0, 1, 2]
    assert virtual["t"].dims == ("day", "time", "lat", "lon")


def test_attributes_are_those_of_the_first_or_of_the_named_file(files: list[str]) -> None:
    assert open_virtual_mfdataset(files).attrs["history"] == "file 0"
    for name in (files[1], Path(files[1]), f"file://{files[1]}"):
        assert open_virtual_mfdataset(files, attrs_file=name).attrs["history"] == "file 1"
    assert "history" not in open_virtual_mfdataset(files, combine_attrs="drop_conflicts").attrs


@pytest.mark.parametrize("parallel", ["beam", "dask", ThreadPoolExecutor, ProcessPoolExecutor])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_files_opened_at_the_same_time_make_the_same_dataset(parallel: Any, files: list[str]) -> None:
    ours = open_virtual_mfdataset(files, parallel=parallel, preprocess=lambda dataset: dataset.drop_vars("crs"))
    expected = open_virtual_mfdataset(files, drop_variables="crs")
    assert ours.vz.to_kerchunk() == expected.vz.to_kerchunk()


@pytest.fixture
def with_a_bad_one(files: list[str], tmp_path: Path) -> list[str]:
    bad = tmp_path / "bad.nc"
    bad.write_text("no such format")
    return [files[0], str(bad), *files[1:]]


@pytest.mark.parametrize("parallel", [False, "beam", ThreadPoolExecutor])
def test_a_file_that_cannot_be_opened_is_an_error_a_warning_or_left_out(
    parallel: Any, with_a_bad_one: list[str], files: list[str]
) -> None:
    with pytest.raises(FormatError, match=r"bad\.nc: this is no HDF5 file"):
        open_virtual_mfdataset(with_a_bad_one, parallel=parallel)
    with pytest.warns(UserWarning, match=r"bad\.nc is left out: FormatError: "):
        warned = open_virtual_mfdataset(with_a_bad_one, parallel=parallel, errors="warn", **ONCE)
    assert_equal_values(warned, read_series(files))
    ignored = open_virtual_mfdataset(
        [[file] for file in with_a_bad_one], combine="nested", concat_dim=["time", None], errors="ignore", **ONCE
    )
    assert_equal_values(ignored, read_series(files))
    with pytest.raises(OSError, match=r"none of 1 files could be opened, the first is .*bad\.nc"):
        open_virtual_mfdataset(with_a_bad_one[1:2], errors="ignore")


def test_credentials_and_registries_do_not_go_to_other_processes(files: list[str]) -> None:
    options = {"secret_access_key": "x"}
    assert open_virtual_mfdataset(files, storage_options=options, parallel=ThreadPoolExecutor).sizes["time"] == 12
    with pytest.raises(InputError, match=r"secret_access_key.*never sent to workers"):
        open_virtual_mfdataset(files, storage_options=options, parallel="beam")


def _pair(tmp_path: Path, first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    paths = []
    for number, how in enumerate((first, second)):
        time = xr.Variable("time", np.arange(4.0) + 4 * number, how.get("time", {"units": "days since 2000-01-01"}))
        values = np.arange(4, dtype=how.get("dtype", "i2"))
        dataset = xr.Dataset({"v": ("time", values, how.get("v", {}))}, {"time": time})
        encoding = {"chunksizes": (how.get("chunk", 2),), **how.get("encoding", {})}
        paths.append(str(tmp_path / f"{number}.nc"))
        dataset.to_netcdf(paths[-1], engine="h5netcdf", encoding={"v": encoding})
    return paths


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"v": {"units": "K"}}, {"v": {"units": "degC"}}, "'v' attribute units: 'K' in .*0.nc, 'degC' in .*1.nc"),
        ({"v": {"scale_factor": 0.1}}, {"v": {"scale_factor": 0.5}}, "scale_factor: 0.1 in .*0.nc, 0.5 in .*1.nc"),
        ({"v": {"scale_factor": 0.1}}, {}, "scale_factor: 0.1 in .*0.nc, absent in .*1.nc"),
        ({"v": {"_Unsigned": "true"}}, {}, "_Unsigned: 'true' in .*0.nc, absent in .*1.nc"),
        ({}, {"v": {"missing_value": 3}}, "missing_value: absent in .*0.nc, 3 in .*1.nc"),
        (
            {"time": {"units": "days since 2000-01-01", "calendar": "noleap"}},
            {"time": {"units": "days since 2000-01-01", "calendar": "360_day"}},
            "'time' calendar: 'noleap' in .*0.nc, '360_day' in .*1.nc",
        ),
        ({"dtype": "i2"}, {"dtype": "i4"}, "'v' dtype: int16 in .*0.nc, int32 in .*1.nc"),
        ({"chunk": 2}, {"chunk": 4}, r"chunk shape: \(2,\) in .*0.nc, \(4,\) in .*1.nc"),
        ({"encoding": {"zlib": True}}, {}, r"codecs: .*zlib.* in .*0.nc, none in .*1.nc"),
    ],
)
@pytest.mark.parametrize(
    "choices", [{}, {"combine_attrs": "drop_conflicts", "combine": "nested", "concat_dim": "time"}]
)
def test_what_changes_the_meaning_of_the_bytes_is_refused_with_both_files(
    choices: dict[str, Any], first: dict[str, Any], second: dict[str, Any], words: str, tmp_path: Path
) -> None:
    for function in (open_virtual_mfdataset, open_virtual_mfdatatree):
        with pytest.raises(MismatchError, match=words) as caught:
            function(_pair(tmp_path, first, second), **choices)
        assert isinstance(caught.value, ValueError)


def test_times_that_stay_virtual_must_have_one_unit_and_loaded_ones_need_not(tmp_path: Path) -> None:
    pair = _pair(tmp_path, {"time": {"units": "days since 2000-01-01"}}, {"time": {"units": "days since 2000-01-05"}})
    with pytest.raises(MismatchError, match="'time' attribute units"):
        open_virtual_mfdataset(pair, combine="nested", concat_dim="time", loadable_variables=[])
    times = open_virtual_mfdataset(pair)["time"].values
    assert times[[0, -1]].astype("M8[D]").astype(str).tolist() == ["2000-01-01", "2000-01-12"]


def test_packing_that_differs_is_no_harm_where_values_are_loaded(tmp_path: Path) -> None:
    pair = _pair(tmp_path, {"v": {"scale_factor": 0.1}}, {"v": {"scale_factor": 0.5}})
    virtual = open_virtual_mfdataset(pair, loadable_variables=["time", "v"])
    np.testing.assert_array_equal(virtual["v"].values, np.r_[np.arange(4) * 0.1, np.arange(4) * 0.5])


@pytest.fixture
def one_lacks_p(files: list[str], tmp_path: Path) -> list[str]:
    with xr.open_dataset(files[1], engine="h5netcdf") as whole:
        whole.drop_vars("p").to_netcdf(tmp_path / "less.nc", engine="h5netcdf")
    return [files[0], str(tmp_path / "less.nc")]


@pytest.mark.parametrize("combine", [{}, {"combine": "nested", "concat_dim": "time"}])
def test_a_variable_that_one_file_lacks_is_missing_there_as_in_xarray(
    combine: dict[str, Any], one_lacks_p: list[str]
) -> None:
    virtual = open_virtual_mfdataset(one_lacks_p, **combine, **ONCE)
    with xr.open_mfdataset(one_lacks_p, engine="h5netcdf", **combine, **ONCE, join="outer") as theirs:
        assert np.isnan(theirs["p"].values[4:]).all()
        assert_equal_values(virtual, theirs)


def test_where_no_hole_can_be_shown_both_files_are_named(one_lacks_p: list[str]) -> None:
    def preprocess(dataset: xr.Dataset) -> xr.Dataset:
        if "p" in dataset:
            packed = dataset["p"].copy(data=dataset["t"].data).drop_attrs()  # whole numbers, none of which is a fill
            dataset = dataset.assign(p=packed)
        return dataset

    with pytest.raises(ManifestError) as caught:
        open_virtual_mfdataset(one_lacks_p, preprocess=preprocess, combine="nested", concat_dim="time", **ONCE)
    holder, lacking = (f"file://{path}" for path in one_lacks_p)
    assert f"variable 'p' is in {holder} and not in {lacking}" in caught.value.__notes__


def test_coordinates_that_nearly_agree_are_told_with_both_files_and_values(files: list[str], tmp_path: Path) -> None:
    with xr.open_dataset(files[1], engine="h5netcdf") as whole:
        shifted = whole.assign_coords(lat=whole["lat"] + 1e-6)
        shifted.to_netcdf(tmp_path / "shifted.nc", engine="h5netcdf")
    with pytest.raises(
        ValueError, match=r"values of 'lat': -50 and -49\.999999 at lat\[0\], in .*day_0\.nc and .*shif"
    ):
        open_virtual_mfdataset([files[0], tmp_path / "shifted.nc"], combine="nested", concat_dim="time", **ONCE)


def test_a_partial_chunk_in_the_middle_is_refused_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"'v' has 4 elements in chunks of 3 along 'time' in .*0\.nc"):
        open_virtual_mfdataset(_pair(tmp_path, {"chunk": 3}, {"chunk": 3}))


def test_virtual_and_loaded_variables_are_told_apart_before_joining(files: list[str]) -> None:
    loaded: Iterator[list[str]] = iter([["p"], []])

    def preprocess(dataset: xr.Dataset) -> xr.Dataset:
        return dataset.assign(p=dataset["p"] if next(loaded) else ("time", np.zeros(4, "f4")))

    with pytest.raises(MismatchError, match=r"'p' loaded type: virtual in .*day_0.*numbers in .*day_1"):
        open_virtual_mfdataset(files[:2], preprocess=preprocess)


def test_what_any_file_skipped_is_known(tmp_path: Path) -> None:
    paths = [write_mixed_file(tmp_path / f"{number}.h5") for number in range(2)]
    for number, path in enumerate(paths):
        with h5py.File(path, "a") as raw:
            raw["time"][...] = raw["time"][()] + 1000 * number
    assert set(open_virtual_mfdataset(paths, unsupported="skip").vz.skipped) == set(BAD)
