"""A small series of netCDF-4 files, written by xarray, and its values as xarray reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import vz_beam
from tests.icechunk_contents import store_of
from vz_beam import FilePattern


def write_series(folder: Path, count: int = 5, steps: int = 4) -> list[str]:
    """Files ``day_0.nc`` and so on: packed ``t`` and plain ``p`` over time, lat and lon, and a scalar ``crs``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    randomness = np.random.default_rng(0)
    for number in range(count):
        shape = (steps, 6, 8)
        temperature = np.round(randomness.uniform(250, 300, shape), 1)
        temperature[0, 0, 0] = np.nan
        dataset = xr.Dataset(
            {
                "t": (("time", "lat", "lon"), temperature, {"units": "K", "grid_mapping": "crs"}),
                "p": (("time", "lat", "lon"), randomness.integers(0, 9, shape).astype("f4"), {"units": "mm"}),
                "crs": ((), np.int32(7), {"grid_mapping_name": "latitude_longitude"}),
            },
            coords={
                "time": np.datetime64("2001-01-01", "ns")
                + (steps * number + np.arange(steps)) * np.timedelta64(6, "h"),
                "lat": np.linspace(-50, 50, 6),
                "lon": np.linspace(0, 315, 8),
            },
            attrs={"title": "series", "history": f"file {number}"},
        )
        chunks = {"chunksizes": (2, 3, 8), "zlib": True, "shuffle": True}
        encoding: dict[str, dict[str, Any]] = {
            "t": {"dtype": "i2", "scale_factor": 0.1, "add_offset": 273.0, "_FillValue": -999, **chunks},
            "p": chunks,
            "time": {"units": f"hours since 200{number}-01-01", "dtype": "f8"},
        }
        path = folder / f"day_{number}.nc"
        dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding, unlimited_dims=["time"])
        files.append(str(path))
    return files


def build(files: Any, store: str | Path, **choices: Any) -> Any:
    """A store of files along time, or of a pattern."""
    dim = None if isinstance(files, FilePattern) else "time"
    return vz_beam.build(files, store, concat_dim=dim, progress=False, **choices)


def read_series(files: list[str]) -> xr.Dataset:
    """The values of the files, joined along time."""
    parts = [xr.open_dataset(file, engine="h5netcdf").load() for file in files]
    for part in parts:
        part.close()
    return xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact")


def assert_store_equals(store: str | Path, expected: xr.Dataset) -> None:
    """Every variable of ``expected`` reads equal from the store, through icechunk or xarray's kerchunk engine."""
    is_icechunk = str(store).endswith(".icechunk")
    engine = "vz_beam" if str(store).endswith(".zarr") else "kerchunk"
    with (
        xr.open_zarr(store_of(store), consolidated=False) if is_icechunk else xr.open_dataset(str(store), engine=engine)
    ) as ours:
        assert set(ours.variables) == set(expected.variables)
        for name in expected.variables:
            assert ours[name].dims == expected[name].dims
            np.testing.assert_array_equal(ours[name].values, expected[name].values, err_msg=str(name))
