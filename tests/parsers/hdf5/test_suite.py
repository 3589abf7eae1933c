from __future__ import annotations

from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import netCDF4
import numpy as np
from numpy.typing import NDArray

from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite
from vz_beam.testing.sample_files import write_daily_files


def write_daily(folder: Path) -> Path:
    return write_daily_files(folder, 1)[0]


def write_by_netcdf4(folder: Path) -> Path:
    path = folder / "by-netcdf4.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", 5)
        file.createVariable("time", "f8", ("time",))[:] = [1.0, 2.0, 3.0]
        file.createVariable("x", ">i2", ("x",), endian="big")[:] = np.arange(5)
        file.createVariable("t", "f4", ("time", "x"), zlib=True, fletcher32=True)[:] = np.arange(15).reshape(3, 5)
        file.createVariable("name", str, ("x",))[:] = np.array(["a", "", "ä", "dd", "e"], dtype=object)
        group = file.createGroup("g")
        group.createVariable("s", "i4", ("x",), zlib=False, contiguous=True)[:] = np.arange(5)
    return path


def write_big_chunks(folder: Path) -> Path:
    path = folder / "big-chunks.h5"
    noise = np.random.default_rng(1).integers(0, 2**31, (4, 400, 400), dtype=np.int32)
    with h5py.File(path, "w") as file:
        file.create_dataset("chunked", data=noise, chunks=(1, 400, 400), compression="gzip", shuffle=True)
        file["contiguous"] = noise[0]
    return path


def write_virtual(folder: Path) -> Path:
    path = folder / "virtual.h5"
    noise = np.random.default_rng(2).integers(0, 2**31, (3, 300, 300), dtype=np.int32)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((4, 300, 300), "i4")
        for number in range(3):
            file.create_dataset(f"source{number}", data=noise[number], chunks=(150, 300), compression="gzip")
            layout[number] = h5py.VirtualSource(".", f"source{number}", (300, 300), "i4")
        file.create_virtual_dataset("virtual", layout, fillvalue=-1)
    return path


def read_h5netcdf(path: Path) -> dict[str, NDArray[Any]]:
    with h5netcdf.File(path, "r") as file:
        return {name: variable[...] for name, variable in file.variables.items()}


def read_netcdf4(path: Path) -> dict[str, NDArray[Any]]:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        values = {name: variable[...] for name, variable in file.variables.items()}
        return {**values, "g/s": file["g/s"][...]}


def read_h5py(path: Path) -> dict[str, NDArray[Any]]:
    with h5py.File(path) as file:
        return {name: file[name][...] for name in file}


class TestHDFParser(ParserSuite):
    parser = HDFParser()
    cases = (
        ParserCase("daily", write_daily, read_h5netcdf),
        ParserCase("by_netcdf4", write_by_netcdf4, read_netcdf4),
        ParserCase("big_chunks", write_big_chunks, read_h5py),
        ParserCase("virtual", write_virtual, read_h5py),
    )
