"""Small files with the names and shapes that the recipes in ``pipelines/feedstocks`` ask for, and their values."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import eccodes
import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.transform import from_origin

RANDOM = np.random.default_rng(7)


def oisst(root: Path) -> NDArray[Any]:
    """Four days of a packed variable; the decoded values of ``sst``."""
    found = []
    for number in range(4):
        day = datetime.date(1981, 9, 1) + datetime.timedelta(days=number)
        values = np.round(RANDOM.uniform(-1, 30, (1, 1, 6, 8)), 2)
        coords = {"time": [np.datetime64(day, "ns")], "zlev": [0.0], "lat": np.arange(6.0), "lon": np.arange(8.0)}
        dataset = xr.Dataset({"sst": (("time", "zlev", "lat", "lon"), values)}, coords, {"history": f"made {number}"})
        path = root / f"{day:%Y%m}" / f"oisst-avhrr-v02r01.{day:%Y%m%d}.nc"
        path.parent.mkdir(parents=True, exist_ok=True)
        packed: Any = {
            "dtype": "i2",
            "scale_factor": 0.01,
            "_FillValue": -999,
            "chunksizes": (1, 1, 6, 8),
            "zlib": True,
        }
        dataset.to_netcdf(path, engine="h5netcdf", encoding={"sst": packed}, unlimited_dims=["time"])
        found.append(values)
    return np.concatenate(found)


def cmip(root: Path) -> NDArray[Any]:
    """Three members of three periods; the values of ``tas`` by member, time, lat, lon."""
    found = []
    for member in ("r1i1p1f1", "r2i1p1f1", "r3i1p1f1"):
        parts = []
        for place, period in enumerate(("185001-186912", "187001-188912", "189001-190912")):
            values = RANDOM.normal(280, 5, (4, 3, 5)).astype("f4")
            times = 1000 * place + 30 * np.arange(4)
            coords = {
                "time": ("time", times, {"units": "days since 1850-01-01", "calendar": "noleap"}),
                "lat": np.arange(3.0),
                "lon": np.arange(5.0),
            }
            attributes = {"variant_label": member, "tracking_id": f"{member}-{period}"}
            dataset = xr.Dataset({"tas": (("time", "lat", "lon"), values)}, coords, attributes)
            path = root / member / "Amon/tas/gn" / f"tas_Amon_MPI-ESM1-2-LR_historical_{member}_gn_{period}.nc"
            path.parent.mkdir(parents=True, exist_ok=True)
            encoding: Any = {"tas": {"chunksizes": (1, 3, 5), "zlib": True, "shuffle": True}}
            dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding, unlimited_dims=["time"])
            parts.append(values)
        found.append(np.concatenate(parts))
    return np.stack(found)


def forecast(root: Path) -> NDArray[Any]:
    """Three parameters at four steps; the values of ``t`` by step and point."""
    root.mkdir(parents=True)
    found = []
    for name in ("r", "t", "z"):
        for step in (0, 6, 12, 24):
            handle = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib1")
            for key, value in (("shortName", name), ("dataDate", 20200922), ("dataTime", 1200), ("step", step)):
                eccodes.codes_set(handle, key, value)
            count = eccodes.codes_get(handle, "numberOfPoints")
            eccodes.codes_set_values(handle, RANDOM.uniform(200, 300, count))
            (root / f"{name}_{step}.grib1").write_bytes(eccodes.codes_get_message(handle))
            if name == "t":
                found.append(eccodes.codes_get_values(handle))
            eccodes.codes_release(handle)
    return np.stack(found)


def mosaic(root: Path) -> NDArray[Any]:
    """Two years of tiles in two rows and three columns; the values of ``image`` by year, row, column."""
    root.mkdir(parents=True)
    whole = RANDOM.integers(0, 250, (2, 32, 48)).astype("u1")
    for place, year in enumerate((2019, 2020)):
        for row in range(2):
            for column in range(3):
                tile = whole[place, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
                transform = from_origin(500000 + 480 * column, 4000000 - 480 * row, 30, 30)
                shape: Any = {"height": 16, "width": 16, "count": 1, "dtype": "uint8"}
                tiled: Any = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
                path = root / f"cover_{year}_{row}_{column}.tif"
                with rasterio.open(
                    path, "w", driver="GTiff", crs="EPSG:32633", transform=transform, **shape, **tiled
                ) as file:
                    file.write(tile, 1)
    return whole
