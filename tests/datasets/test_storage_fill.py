"""What HDF5 puts in chunks never written is one thing, and ``_FillValue`` another, in every form of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import vz_beam

FILLS: dict[str, tuple[str, Any, Any]] = {
    "float": ("f4", None, None),
    "float_attribute": ("f4", None, -9),
    "float_storage": ("f4", 9.96921e36, None),
    "float_both": ("f4", -9, -9),
    "float_nan": ("f8", np.nan, np.nan),
    "float_nan_attribute": ("f8", None, np.nan),
    "short": ("i2", None, None),
    "short_attribute": ("i2", None, -9),
    "short_storage": ("i2", -9, None),
    "short_both": ("i2", -9, -9),
    "short_differing": ("i2", -5, 0),
    "big_endian": (">i4", -5, -9),
    "byte": ("u1", None, 255),
    "long": ("u8", 2**64 - 1, 2**64 - 1),
    "truth": ("?", True, None),
    "complex": ("c8", 1 + 1j, None),
    "bytes": ("S3", b"ab", None),
}
"""Type, storage fill, and ``_FillValue``."""


def write_by_h5py(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, (dtype, storage, attribute) in FILLS.items():
            dataset = file.create_dataset(name, (6,), dtype=dtype, chunks=(2,), fillvalue=storage)
            dataset[:3] = np.array([0, 1, 0]).astype(dtype)
            if attribute is not None:
                dataset.attrs["_FillValue"] = np.array(attribute, dtype)


def write_by_netcdf(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", 6)
        for name, (dtype, _, attribute) in FILLS.items():
            if dtype[-2:] not in ("c8", "S3") and dtype != "?":
                options: dict[str, Any] = {"fill_value": attribute, "chunksizes": (2,)}
                file.createVariable(name, dtype.strip(">"), ("x",), **options)[:3] = [0, 1, 0]
        names: Any = np.array(["a", ""], object)
        file.createVariable("names", str, ("x",), chunksizes=(2,))[:2] = names
        file.createVariable("filled_names", str, ("x",), chunksizes=(2,), fill_value="none")[:2] = names


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("form", ["json", "parquet"])
@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_zeros_stay_zeros_and_fills_stay_fills(tmp_path: Path, engine: str, form: str, mask: bool) -> None:
    path, store = tmp_path / "sample.nc", tmp_path / f"store.{form}"
    by_h5py = engine == "h5netcdf"
    (write_by_h5py if by_h5py else write_by_netcdf)(path)
    vz_beam.open_virtual_dataset(path).vz.to_kerchunk(store, format=form)
    choices: dict[str, Any] = {"phony_dims": "sort"} if by_h5py else {}
    with (
        xr.open_dataset(path, engine=engine, mask_and_scale=mask, **choices) as expected,
        xr.open_dataset(str(store), engine="kerchunk", mask_and_scale=mask) as ours,
    ):
        assert set(ours.variables) == set(expected.variables)
        for name in expected.variables:
            if "names" in str(name):
                assert ours[name].values.tolist() == expected[name].values.tolist(), name
                continue
            assert ours[name].dtype == expected[name].dtype, name
            np.testing.assert_array_equal(ours[name].values, expected[name].values, err_msg=str(name))
