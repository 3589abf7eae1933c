"""Series of real files: built by the pipeline, opened by plain xarray, every value compared with the originals."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from integration.real_data import ROOT, series
from vz_beam.errors import MismatchError
from vz_beam.storage.zarr_settings import knows_rectilinear

HAS_DATA = (ROOT / "MANIFEST.tsv").exists()
if os.environ.get("CI") and not HAS_DATA:
    raise RuntimeError(f"in CI the real files must be there: {ROOT} has no MANIFEST.tsv (set VZ_BEAM_REAL_DATA)")
pytestmark = pytest.mark.skipif(not HAS_DATA, reason=f"no real files at {ROOT}: set VZ_BEAM_REAL_DATA")


def assert_same_values(ours: xr.Dataset, expected: xr.Dataset) -> None:
    """Every variable of ``expected`` is in ``ours`` with equal dimensions, kind of type and values."""
    assert set(ours.variables) == set(expected.variables)
    for name, variable in expected.variables.items():
        found = ours[name].variable
        assert found.dims == variable.dims, name
        wanted, values = variable.values, found.values
        if wanted.dtype.kind in "OSU" and not hasattr(wanted.flat[0], "calendar"):
            wanted, values = wanted.astype("S"), values.astype("S")
        assert values.dtype.kind == wanted.dtype.kind, f"{name}: {values.dtype} and {wanted.dtype}"
        np.testing.assert_array_equal(values, wanted, err_msg=str(name))


def check(files: list[str], tmp_path: Path, open_originals: Callable[..., xr.Dataset], **choices: Any) -> xr.Dataset:
    """Build, open with both engines, compare."""
    assert files
    store = str(tmp_path / "store.parquet")
    summary = vz_beam.build(files, store, progress=False, **choices)
    assert summary.files == len(files)
    assert summary.failures == ()
    with open_originals() as expected:
        for options in (
            {"engine": "kerchunk"},
            {"engine": "zarr", "backend_kwargs": {"consolidated": False, "storage_options": {"fo": store}}},
        ):
            place = store if options["engine"] == "kerchunk" else "reference://"
            with xr.open_dataset(place, **options) as ours:
                assert_same_values(ours, expected)
    return expected


SERIES = [
    ("cmip6_mpi_siconc", "time", 10, ("time", 600)),
    ("cmip6_mpi_ta_amon", "time", 13, ("time", 780)),
    ("harmony_rgb_daily", "time", 3, ("time", 3)),
    ("padocc_1dagg", "time", 8, ("time", 8)),
    ("nemo_monthly_gridT", "time_counter", 2, ("time_counter", 2)),
    ("cmip6_inm_rlds", "time", 2, ("time", 1980)),
]


@pytest.mark.parametrize(("name", "dim", "count", "size"), SERIES, ids=[case[0] for case in SERIES])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_series_reads_as_xarray_reads_its_files(
    name: str, dim: str, count: int, size: tuple[str, int], workers: int, tmp_path: Path
) -> None:
    files = series(name)
    assert len(files) == count

    def originals() -> xr.Dataset:
        return xr.open_mfdataset(
            files,
            combine="nested",
            concat_dim=dim,
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
        )

    expected = check(files, tmp_path, originals, concat_dim=dim, workers=workers)
    assert expected.sizes[size[0]] == size[1]


def test_scenarios_are_joined_along_a_new_dimension(tmp_path: Path) -> None:
    files = series("cmip5_canesm_scenarios")
    assert len(files) == 3
    scenarios = [next(part for part in Path(file).stem.split("_") if part.startswith("rcp")) for file in files]
    pattern = vz_beam.FilePattern(
        lambda scenario: files[scenarios.index(scenario)], vz_beam.ConcatDim("scenario", scenarios)
    )
    store = str(tmp_path / "scenarios.parquet")
    vz_beam.build(pattern, store, progress=False)
    with (
        xr.open_mfdataset(
            files, combine="nested", concat_dim="scenario", data_vars="all", coords="minimal", compat="override"
        ) as expected,
        xr.open_dataset(store, engine="kerchunk") as ours,
    ):
        assert ours["scenario"].values.tolist() == scenarios
        assert_same_values(ours.drop_vars("scenario"), expected)


def test_files_of_unequal_whole_variable_chunks_are_refused(tmp_path: Path) -> None:
    files = series("hidefix_jan_feb")
    assert len(files) == 2
    store = tmp_path / "store.parquet"
    with pytest.raises(MismatchError) as caught:
        vz_beam.build(sorted(files, reverse=True), store, concat_dim="time", progress=False)
    text = str(caught.value)
    for word in ("hidefix__jan.nc4", "hidefix__feb.nc4", "(31,", "(28,", "chunk shape"):
        assert word in text
    assert not store.exists()


def january_and_february() -> list[str]:
    return sorted(series("hidefix_jan_feb"), reverse=True)


def joined(files: list[str], dim: str) -> xr.Dataset:
    return xr.open_mfdataset(
        files, combine="nested", concat_dim=dim, data_vars="minimal", coords="minimal", compat="override"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_months_in_compressed_whole_variable_chunks_are_one_array_where_they_are_rewritten(
    workers: int, tmp_path: Path
) -> None:
    files = january_and_february()
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", mismatch="rewrite", workers=workers, progress=False)
    assert summary.rewritten_chunks == 2  # February's chunks of the two variables
    with joined(files, "time") as expected, xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert expected.sizes["time"] == 59
        assert_same_values(ours, expected)


def test_months_in_compressed_whole_variable_chunks_read_as_one_dataset(tmp_path: Path) -> None:
    files = january_and_february()
    store = tmp_path / "store.zarr"
    vz_beam.build(files, store, concat_dim="time", mismatch="split", progress=False)
    with joined(files, "time") as expected, xr.open_dataset(store, engine="vz_beam") as ours:
        assert ours.sizes["time"] == 59
        assert_same_values(ours, expected)


def test_months_in_compressed_whole_variable_chunks_keep_them_in_a_rectilinear_grid(tmp_path: Path) -> None:
    files = january_and_february()
    store = str(tmp_path / "store.zarr")
    summary = vz_beam.build(files, store, concat_dim="time", chunk_grid="rectilinear", progress=False)
    assert summary.rewritten_chunks == 0
    with joined(files, "time") as expected:
        words: Any = {"loadable_variables": list(map(str, expected.variables)), "allow_external": True}
        loaded = vz_beam.open_virtual_dataset(store, **words)
        assert_same_values(loaded, expected)
        if knows_rectilinear():
            with xr.open_dataset(store, engine="vz_beam") as ours:
                assert_same_values(ours, expected)


def test_months_in_compressed_whole_variable_chunks_are_two_eras(tmp_path: Path) -> None:
    files = january_and_february()
    store = tmp_path / "store.parquet"
    vz_beam.build(files, store, concat_dim="time", mismatch="split", progress=False)
    options = {"storage_options": {"fo": str(store), "remote_protocol": "file"}}
    for era, file in zip(("era_1", "era_2"), files, strict=True):
        with (
            xr.open_dataset("reference://", engine="zarr", group=era, backend_kwargs=options) as ours,
            xr.open_dataset(file, engine="h5netcdf") as expected,
        ):
            assert_same_values(ours, expected)


@pytest.mark.parametrize("variables", ["raise", "union"])
def test_granules_of_other_lengths_and_packing_are_refused(variables: str, tmp_path: Path) -> None:
    with pytest.raises(MismatchError) as caught:
        vz_beam.build(
            series("goes_glm_g16"), tmp_path / "s.parquet", concat_dim="granule", variables=variables, progress=False
        )
    for words in ("the length of dimension 'number_of_events': 9497 in", "'event_energy' attribute scale_factor"):
        assert words in str(caught.value)


def test_sites_of_other_depths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"the length of dimension 'depth': 6 in .*E13.*, 5 in .*E31"):
        vz_beam.build(series("arm_sgpstamp_sites"), tmp_path / "s.parquet", concat_dim="site", progress=False)


@pytest.mark.parametrize(("name", "count", "groups"), [("odim_behel_dbzh", 3, 12), ("meteofrance_odim_sweeps", 10, 3)])
def test_volumes_of_a_radar_are_one_tree_along_a_new_dimension(
    name: str, count: int, groups: int, tmp_path: Path
) -> None:
    files = series(name)
    assert len(files) == count
    store = tmp_path / "store.parquet"
    vz_beam.build(files, store, concat_dim="volume", tree=True, progress=False)
    options = {"storage_options": {"fo": str(store), "remote_protocol": "file"}}
    compared = 0
    with h5py.File(files[0]) as first:
        paths: list[str] = []
        first.visititems(lambda path, node: paths.append(path) if isinstance(node, h5py.Dataset) else None)
    for path in paths:
        values = []
        for file in files:
            with h5py.File(file) as original:
                values.append(original[path][...])
        group, _, variable = path.rpartition("/")
        with xr.open_dataset(
            "reference://", engine="zarr", group=group, backend_kwargs=options, decode_cf=False
        ) as ours:
            np.testing.assert_array_equal(ours[variable].values, np.stack(values))
        compared += 1
    assert compared == groups


def test_sweeps_and_times_of_a_radar_are_one_tree_along_two_new_dimensions(tmp_path: Path) -> None:
    files = series("meteofrance_odim_sweeps")
    sweeps = sorted({Path(file).stem.split("_")[3] for file in files})
    times = [0, 1]
    by_sweep = {sweep: sorted(file for file in files if f"_{sweep}_" in file) for sweep in sweeps}
    pattern = vz_beam.FilePattern(
        lambda sweep, time: by_sweep[sweep][time], vz_beam.ConcatDim("sweep", sweeps), vz_beam.ConcatDim("time", times)
    )
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(pattern, store, tree=True, progress=False)
    assert summary.files == 10
    options = {"storage_options": {"fo": str(store), "remote_protocol": "file"}}
    with xr.open_dataset(
        "reference://", engine="zarr", group="dataset1/data1", backend_kwargs=options, decode_cf=False
    ) as ours:
        assert ours["data"].dims[:2] == ("sweep", "time")
        for row, sweep in enumerate(sweeps):
            for column, file in enumerate(by_sweep[sweep]):
                with h5py.File(file) as original:
                    expected = original["dataset1/data1/data"][...]
                np.testing.assert_array_equal(ours["data"].values[row, column], expected)


@pytest.mark.parametrize(
    ("attribute", "first", "second"),
    [("scale_factor", 0.1, 0.5), ("add_offset", 0.0, 273.15), ("units", "K", "degC"), ("_FillValue", -1, -999)],
)
def test_real_files_whose_packing_was_changed_are_refused(
    attribute: str, first: Any, second: Any, tmp_path: Path
) -> None:
    files = []
    for source, value in zip(series("cmip6_inm_rlds"), (first, second), strict=True):
        copy = shutil.copy(source, tmp_path)
        files.append(str(copy))
        with h5py.File(copy, "r+") as file:
            file["rlds"].attrs[attribute] = value
    store = tmp_path / "store.parquet"
    with pytest.raises(MismatchError) as caught:
        vz_beam.build(files, store, concat_dim="time", progress=False)
    text = str(caught.value)
    for word in (attribute, "'rlds'", *(Path(file).name for file in files)):
        assert word in text
    assert str(first).rstrip("0").rstrip(".") in text
    assert str(second) in text
    assert not store.exists()


def test_real_files_of_another_calendar_are_refused(tmp_path: Path) -> None:
    copies = [str(shutil.copy(source, tmp_path)) for source in series("cmip6_mpi_ta_amon")[:2]]
    with h5py.File(copies[1], "r+") as file:
        file["time"].attrs["calendar"] = np.bytes_(b"noleap")
    with pytest.raises(MismatchError, match=r"(?s)calendar.*proleptic_gregorian.*noleap"):
        vz_beam.build(copies, tmp_path / "store.json", concat_dim="time", progress=False)


def test_times_of_several_epochs_become_one(tmp_path: Path) -> None:
    files = []
    for number in range(3):
        file = tmp_path / f"{number}.nc"
        time = np.datetime64("2001-01-01", "ns") + (4 * number + np.arange(4)) * np.timedelta64(36, "h")
        dataset = xr.Dataset(
            {"v": (("time", "x"), np.arange(8.0).reshape(4, 2) + 100 * number)}, coords={"time": time, "x": [1, 2]}
        )
        units = ("days since 2001-01-01", "hours since 1999-07-01", "seconds since 2001-01-05 12:00:00")[number]
        encoding: dict[str, dict[str, Any]] = {
            "time": {"units": units, "dtype": "f8"},
            "v": {"chunksizes": (2, 2), "zlib": True},
        }
        dataset.to_netcdf(file, engine="h5netcdf", encoding=encoding, unlimited_dims=["time"])
        files.append(str(file))

    def originals() -> xr.Dataset:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # xarray's own remarks on its changing defaults
            return xr.open_mfdataset(files, combine="nested", concat_dim="time", data_vars="minimal")

    check(files, tmp_path, originals, concat_dim="time")
