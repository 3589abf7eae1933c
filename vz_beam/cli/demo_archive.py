"""A small archive of netCDF-4 files, as a weather service might publish it: a file a month, packed and compressed.

Source: NetCDF User's Guide, "NetCDF-4 format"; HDF5 dimension scales; CF conventions 1.11, sections 4.4 and 8.1.
"""

from __future__ import annotations

import calendar
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

YEAR = 2023
LATITUDES, LONGITUDES = 36, 72
SCALE_FACTOR, ADD_OFFSET, FILL_VALUE = 0.01, 273.15, -32768
"""Of the packed temperature: hundredths of a kelvin around the freezing point fit into 16 bits."""
_CRS = {
    "grid_mapping_name": "latitude_longitude",
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}


def write_archive(folder: Path) -> list[Path]:
    """Writes twelve files, the same bytes at each call; gives their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for month in range(1, 13):
        path = folder / f"weather_{YEAR}-{month:02}.nc"
        with h5py.File(path, "w") as file:
            _write_month(file, month)
        paths.append(path)
    return paths


def _write_month(file: h5py.File, month: int) -> None:
    days = calendar.monthrange(YEAR, month)[1]
    latitude = np.linspace(-87.5, 87.5, LATITUDES)
    longitude = np.arange(LONGITUDES) * 5.0
    file.attrs["title"] = "Made-up weather"
    file.attrs["Conventions"] = "CF-1.11"
    scales = {
        # each month counts from its own first day, as many archives do: numbers alone would not say the time
        "time": _scale(file, "time", np.arange(days, dtype="f8"), units=f"days since {YEAR}-{month:02}-01", axis="T"),
        "lat": _scale(file, "lat", latitude, units="degrees_north", standard_name="latitude"),
        "lon": _scale(file, "lon", longitude, units="degrees_east", standard_name="longitude"),
    }
    file["time"].attrs["calendar"] = "standard"
    temperature, rain = _weather(month, days, latitude, longitude)
    packed = _variable(file, "t2m", temperature, scales, fillvalue=FILL_VALUE)
    packed.attrs.update({"long_name": "air temperature at 2 m", "units": "K", "grid_mapping": "crs"})
    packed.attrs.update({"scale_factor": SCALE_FACTOR, "add_offset": ADD_OFFSET})
    packed.attrs["_FillValue"] = np.array([FILL_VALUE], "i2")
    wet = _variable(file, "precipitation", rain, scales)
    wet.attrs.update({"long_name": "precipitation", "units": "mm day-1", "grid_mapping": "crs"})
    crs = file.create_dataset("crs", data=np.int32(0))
    crs.attrs.update(_CRS)


def _weather(
    month: int, days: int, latitude: NDArray[Any], longitude: NDArray[Any]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Packed temperature with gaps, and precipitation: [days, latitude, longitude]."""
    random = np.random.default_rng([YEAR, month])
    season = np.cos((month - 7) / 6 * np.pi) * np.sin(np.radians(latitude))
    kelvin = 300 - 45 * np.sin(np.radians(latitude)) ** 2 + 12 * season
    field = kelvin[:, None] + 3 * np.sin(np.radians(longitude)) + random.normal(0, 1, (days, LATITUDES, LONGITUDES))
    packed = np.round((field - ADD_OFFSET) / SCALE_FACTOR).astype("i2")
    packed[random.random(packed.shape) < 0.002] = FILL_VALUE  # stations that were silent
    rain = np.round(random.gamma(0.4, 6.0, packed.shape), 1).astype("f4")
    return packed, rain


def _scale(file: h5py.File, name: str, values: NDArray[Any], **attributes: str) -> h5py.Dataset:
    scale = file.create_dataset(name, data=values)
    scale.make_scale(name)
    scale.attrs.update(attributes)
    return scale


def _variable(
    file: h5py.File, name: str, values: NDArray[Any], scales: dict[str, h5py.Dataset], **options: Any
) -> h5py.Dataset:
    chunks = (1, *values.shape[1:])
    variable = file.create_dataset(name, data=values, chunks=chunks, shuffle=True, compression="gzip", **options)
    for axis, scale in enumerate(scales.values()):
        variable.dims[axis].attach_scale(scale)
    return variable
