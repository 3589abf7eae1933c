"""Files of one step each that have no dimension of it, but a scalar that says which it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
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


def write_tree(path: Path, step: int, *, in_root: bool) -> str:
    """Groups ``a`` and ``a/b`` of one step, whose time is a scalar of the root or of ``a``."""
    with h5py.File(path, "w") as file:
        time = (file if in_root else file.create_group("a")).create_dataset("time", data=float(step))
        time.attrs["units"] = "days since 2020-01-01"
        for group, size in (("a", 3), ("a/b", 5)):
            data = np.arange(size, dtype="f4") + 10 * step
            file.create_dataset(f"{group}/v", data=data, chunks=(size,), compression="gzip")
        file["other/fixed"] = np.arange(2.0)
    return str(path)


@pytest.mark.parametrize("in_root", [True, False])
def test_a_scalar_of_a_group_counts_for_all_groups_in_it(in_root: bool, tmp_path: Path) -> None:
    files = [write_tree(tmp_path / f"{step}.h5", step, in_root=in_root) for step in range(3)]
    store = str(tmp_path / "store.parquet")
    vz_beam.build(files, store, concat_dim="time", tree=True, progress=False)
    days = np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
    with xr.open_datatree(store, engine="vz_beam") as ours:
        for group in ("a", "a/b"):
            values = np.stack([h5py.File(file)[f"{group}/v"][...] for file in files])
            assert ours[group]["v"].dims[0] == "time"
            np.testing.assert_array_equal(ours[group]["v"].values, values)
            np.testing.assert_array_equal(ours[group]["time"].values, days)
        fixed = ours["other"].to_dataset()["fixed"]
        assert fixed.shape == ((3, 2) if in_root else (2,))
        np.testing.assert_array_equal(fixed.values[-1] if in_root else fixed.values, np.arange(2.0))
