"""Files of one step each that have no dimension of it, but a scalar that says which it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam

ORDER = (0, 1, 2, 3)


def write(folder: Path, order: tuple[int, ...] = ORDER, **scalar: Any) -> list[str]:
    files = []
    for place, step in enumerate(order):
        dataset = xr.Dataset(
            {
                "v": (("y", "x"), step + np.arange(12, dtype="f4").reshape(3, 4)),
                "flag": ((), np.int16(step)),
            },
            {"x": np.arange(4.0), "height": ((), 2.0), "y2": ("y", np.arange(3.0)), **scalar},
        )
        dataset = dataset.assign_coords(time=np.datetime64("2020-01-01", "ns") + np.timedelta64(step, "D"))
        path = folder / f"f{place}.nc"
        dataset.to_netcdf(path, engine="h5netcdf", encoding={"v": {"chunksizes": (3, 2), "zlib": True}})
        files.append(str(path))
    return files


def expected(files: list[str]) -> xr.Dataset:
    parts = []
    for file in files:
        with xr.open_dataset(file, engine="h5netcdf") as opened:
            parts.append(opened.load())
    return xr.concat(parts, "time", data_vars="all", coords="minimal", compat="override", join="exact")


@pytest.mark.parametrize("loadable", [None, ["time", "x"], ["x"]])
@pytest.mark.parametrize("suffix", ["parquet", "icechunk"])
def test_the_scalar_becomes_the_coordinate(suffix: str, loadable: list[str] | None, tmp_path: Path) -> None:
    files = write(tmp_path)
    store = str(tmp_path / f"store.{suffix}")
    vz_beam.build(files, store, concat_dim="time", progress=False, loadable_variables=loadable)
    want = expected(files)
    with xr.open_dataset(store, engine="vz_beam") as ours:
        assert ours.sizes["time"] == 4
        xr.testing.assert_equal(ours.load(), want)
        assert set(ours.coords) == set(want.coords)


def test_files_are_placed_by_the_scalar(tmp_path: Path) -> None:
    files = write(tmp_path, (2, 0, 3, 1))
    store = str(tmp_path / "store.parquet")
    vz_beam.build(files, store, concat_dim="time", progress=False, order_by="coordinate")
    with xr.open_dataset(store, engine="kerchunk") as ours:
        xr.testing.assert_equal(ours.load()[["v", "flag"]], expected(files).sortby("time")[["v", "flag"]])


def test_such_stores_grow(tmp_path: Path) -> None:
    files = write(tmp_path)
    once, grown = str(tmp_path / "once.parquet"), str(tmp_path / "grown.parquet")
    vz_beam.build(files, once, concat_dim="time", progress=False)
    vz_beam.build(files[:2], grown, concat_dim="time", progress=False)
    vz_beam.build(files, grown, concat_dim="time", progress=False, mode="append")
    with xr.open_dataset(once, engine="kerchunk") as first, xr.open_dataset(grown, engine="kerchunk") as second:
        xr.testing.assert_identical(first.load(), second.load())


def test_files_that_run_backwards_are_told(tmp_path: Path) -> None:
    files = write(tmp_path, (2, 0, 3))
    with pytest.raises(vz_beam.errors.MismatchError, match="time"):
        vz_beam.build(files, tmp_path / "store.parquet", concat_dim="time", progress=False)


def test_a_dimension_that_the_files_have_stays(tmp_path: Path) -> None:
    files = write(tmp_path)

    def with_time(dataset: xr.Dataset) -> xr.Dataset:
        return dataset.drop_vars("time").expand_dims(time=[float(int(dataset.encoding["source"][-4]))])

    store = str(tmp_path / "store.parquet")
    vz_beam.build(files, store, concat_dim="time", progress=False, preprocess=with_time)
    with xr.open_dataset(store, engine="kerchunk") as ours:
        assert ours["time"].values.tolist() == [0, 1, 2, 3]
