"""Strings of variable length, above all those that were not written."""

from __future__ import annotations

from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import stored_values


@pytest.mark.parametrize("fill", ["missing", "größe", "", None])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    ("written", "options"), [(2, {}), (3, {"compression": "gzip"}), (0, {}), (0, {"chunks": None})]
)
def test_strings_that_were_not_written_are_the_storage_fill(
    hdf5: Hdf5File, fill: str | None, libver: str, written: int, options: dict[str, Any]
) -> None:
    with hdf5.write(libver=libver) as file:
        choices = {"chunks": (2,), "dtype": h5py.string_dtype(), "fillvalue": fill, **options}
        dataset = file.create_dataset("v", (7,), **choices)
        for row in range(written):
            dataset[row] = f"row {row}"
        dataset.attrs["_FillValue"] = "of the attribute"
    with h5py.File(hdf5.path, "r+") as file:  # libhdf5 cannot read them where it cannot write
        expected = [text.decode() for text in file["v"][()]]
    assert expected == [f"row {row}" for row in range(written)] + [fill or ""] * (7 - written)
    group = hdf5.parse()
    assert stored_values(ManifestStore(group))["v"].tolist() == expected
    assert group.arrays["v"].metadata.fill_value == (fill or "")


@pytest.mark.parametrize("fill", ["missing", None])
def test_strings_of_netcdf_are_filled_as_netcdf_reads_them(hdf5: Hdf5File, fill: str | None) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("t", None)
        file.createDimension("x", 5)
        file.createVariable("t", "i4", ("t",))[:] = [1, 2, 3, 4]
        for name, dimension in (("along_t", "t"), ("along_x", "x")):
            options: dict[str, Any] = {"chunksizes": (2,), "fill_value": fill}
            file.createVariable(name, str, (dimension,), **options)[:2] = np.array(["a", "ü"], object)
        file.createVariable("alone", str, ())[0] = "one"
    found = stored_values(ManifestStore(hdf5.parse()))
    with netCDF4.Dataset(hdf5.path) as file:
        for name in ("along_t", "along_x"):
            assert found[name].tolist() == file[name][:].tolist()
        assert found["alone"][()] == file["alone"][...]
