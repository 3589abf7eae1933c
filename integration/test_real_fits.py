"""All real FITS files: every image and column has the values that astropy gives, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import vz_beam
from integration.real_data import ROOT, series
from vz_beam.errors import VzBeamError
from vz_beam.parsers.fits import FITSParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

pytestmark = pytest.mark.filterwarnings("ignore")  # astropy warns of what it mends
_REFUSED = (".gz", "not_actually_fits.fits", "header_with_time.fits")  # the last says SIMPLE = F


def files_of(*folders: str) -> list[Path]:
    """The FITS files of folders of real data."""
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*"))]
    return [path for path in found if path.name.endswith((".fits", ".fts", ".fits.gz"))]


@pytest.mark.parametrize("path", files_of("fits", "broken", "suspect"), ids=lambda path: path.name)
def test_every_image_and_column_has_the_values_that_astropy_gives(path: Path) -> None:
    source = open_source(str(path))
    if path.name.endswith(_REFUSED):
        with pytest.raises(VzBeamError, match=path.name):
            FITSParser(unsupported="skip").parse(source)
        return
    group = FITSParser(unsupported="skip").parse(source)
    compared = 0
    with fits.open(path) as file, SourcePool() as pool:
        places = _names(file)
        for name, array in group.arrays.items():
            _assert_same(read_values({name: array}, pool)[name], file[places[name]].data)
            compared += 1
        for name, table in group.groups.items():
            data = file[places[name]].data
            for column, array in table.arrays.items():
                if column in file[places[name]].columns.names:
                    _assert_same(read_values({column: array}, pool)[column], data[column])
                    compared += 1
    assert compared or group.skipped or not any(hdu.data is not None for hdu in fits.open(path))


def _names(file: Any) -> dict[str, int]:
    places: dict[str, int] = {}
    for number, hdu in enumerate(file):
        first = hdu.name if hdu.name not in ("", "COMPRESSED_IMAGE") else f"HDU_{number}" if number else "PRIMARY"
        name, count = first, 1
        while name in places:
            count += 1
            name = f"{first}_{count}"
        places[name] = number
    return places


def _assert_same(ours: Any, theirs: Any) -> None:
    expected = np.asarray(theirs)
    if expected.dtype.kind in "US":
        expected = np.char.rstrip(expected.astype("S"), b" \0")
    np.testing.assert_array_equal(ours, expected.reshape(ours.shape) if ours.size == expected.size else expected)


def test_the_two_eit_images_are_one_store(tmp_path: Path) -> None:
    files = series("sunpy_eit")
    if not files:
        pytest.skip("the real data are not there")
    vz_beam.build(files, tmp_path / "store.parquet", concat_dim="time", progress=False)
    with xr.open_dataset(str(tmp_path / "store.parquet"), engine="kerchunk") as ours:
        expected = np.stack([fits.getdata(file) for file in files])
        np.testing.assert_array_equal(ours["PRIMARY"].values, expected)
