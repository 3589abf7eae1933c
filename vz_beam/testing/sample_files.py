"""Small netCDF-4 files, as h5py writes them, for tests and the demo."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable. {:10d}"


@dataclass(frozen=True, slots=True)
class SampleVariable:
    """One variable of a sample file.

    Args:
        dimensions: names, in order.
        values: what is written.
        attributes: of the variable; ``_FillValue`` becomes the storage fill too, as netCDF does it.
        storage: keywords of :meth:`h5py.Group.create_dataset`: ``chunks``, ``compression``, ``shuffle`` and so on.
    """

    dimensions: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=dict)


def write_netcdf4(
    path: str | os.PathLike[str],
    dimensions: Mapping[str, int | None],
    variables: Mapping[str, SampleVariable],
    attributes: Mapping[str, Any] | None = None,
) -> Path:
    """A netCDF-4 file of one group; gives its path.

    Args:
        path: of the file, which is replaced where it is there.
        dimensions: lengths by name; ``None`` is an unlimited dimension, as long as its variables.
        variables: by name. One that has the name of its only dimension is a coordinate.
        attributes: of the file.
    """
    path = Path(path)
    with h5py.File(path, "w", track_order=True) as file:
        for name, value in (attributes or {}).items():
            file.attrs[name] = value
        lengths = {name: _length(name, dimensions, variables) for name in dimensions}
        for name, variable in variables.items():
            _write_variable(file, name, variable, dimensions)
        for number, (name, length) in enumerate(lengths.items()):
            if name not in file:
                limit = (None,) if dimensions[name] is None else None
                chunks = (1024,) if dimensions[name] is None else None
                file.create_dataset(name, (length,), dtype=">f4", maxshape=limit, chunks=chunks)
                file[name].make_scale(_NOT_A_VARIABLE.format(length))
            else:
                file[name].make_scale(name)
            file[name].attrs["_Netcdf4Dimid"] = np.int32(number)
        for name, variable in variables.items():
            if variable.dimensions != (name,):
                for axis, dimension in enumerate(variable.dimensions):
                    file[name].dims[axis].attach_scale(file[dimension])
    return path


def write_daily_files(
    folder: str | os.PathLike[str],
    days: int,
    *,
    steps: int = 4,
    shape: tuple[int, int] = (12, 16),
    chunk_shape: tuple[int, int, int] = (1, 6, 8),
    names: Sequence[str] = ("air_temperature", "wind_speed"),
    units: str = "hours since 2020-01-01",
) -> list[Path]:
    """An archive of one netCDF-4 file a day, ``day-0001.nc`` and on; gives the paths in order.

    Args:
        folder: made where it is not there.
        days: number of files.
        steps: times in each file, evenly over its day.
        shape: elements along latitude and longitude.
        chunk_shape: elements along time, latitude and longitude.
        names: of the variables, float32, compressed by zlib with shuffle.
        units: of the time coordinate, whose values run on over all files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write_day(folder / f"day-{day + 1:04d}.nc", day, steps, shape, chunk_shape, names, units)
        for day in range(days)
    ]


def daily_values(name: str, hours: NDArray[np.floating[Any]], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The values of a variable of :func:`write_daily_files`, float32[hours.size, *shape]: smooth, and each its own."""
    seed = sum(name.encode()) % 97
    latitude = np.linspace(-1, 1, shape[0])[None, :, None]
    longitude = np.linspace(0, 2 * np.pi, shape[1], endpoint=False)[None, None, :]
    phase = 2 * np.pi * hours[:, None, None] / 24
    values: NDArray[np.float64] = (
        280 + seed / 10 + hours[:, None, None] / 100 - 30 * latitude**2 + 5 * np.cos(longitude + phase)
    )
    return np.asarray(values, dtype=np.float32)


def _write_day(
    path: Path,
    day: int,
    steps: int,
    shape: tuple[int, int],
    chunk_shape: tuple[int, int, int],
    names: Sequence[str],
    units: str,
) -> Path:
    hours = 24.0 * day + np.arange(steps) * (24 / steps)
    storage = {"chunks": chunk_shape, "compression": "gzip", "compression_opts": 4, "shuffle": True}
    variables = {
        "time": SampleVariable(
            ("time",),
            hours,
            {"units": units, "calendar": "standard", "standard_name": "time"},
            {"chunks": (512,)},
        ),
        "lat": SampleVariable(("lat",), np.linspace(-90, 90, shape[0]), {"units": "degrees_north"}),
        "lon": SampleVariable(("lon",), np.linspace(0, 360, shape[1], endpoint=False), {"units": "degrees_east"}),
    }
    for name in names:
        attributes = {"_FillValue": np.float32(-999), "units": "1", "long_name": name.replace("_", " ")}
        values = daily_values(name, hours, shape)
        variables[name] = SampleVariable(("time", "lat", "lon"), values, attributes, storage)
    dimensions = {"time": None, "lat": shape[0], "lon": shape[1]}
    return write_netcdf4(path, dimensions, variables, {"Conventions": "CF-1.8", "title": "a sample of vz_beam"})


def _write_variable(file: h5py.File, name: str, variable: SampleVariable, dimensions: Mapping[str, int | None]) -> None:
    values = np.asarray(variable.values)
    storage = dict(variable.storage)
    if storage.get("chunks") is not None:
        limits = tuple(
            None if dimensions[dimension] is None else length
            for dimension, length in zip(variable.dimensions, values.shape, strict=True)
        )
        storage.setdefault("maxshape", limits)
    if "_FillValue" in variable.attributes:
        storage.setdefault("fillvalue", variable.attributes["_FillValue"])
    dataset = file.create_dataset(name, data=values, track_order=True, **storage)
    for key, value in variable.attributes.items():
        dataset.attrs[key] = value


def _length(name: str, dimensions: Mapping[str, int | None], variables: Mapping[str, SampleVariable]) -> int:
    fixed = dimensions[name]
    if fixed is not None:
        return fixed
    return max(
        (
            np.shape(variable.values)[variable.dimensions.index(name)]
            for variable in variables.values()
            if name in variable.dimensions
        ),
        default=0,
    )
