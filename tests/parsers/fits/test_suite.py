"""The laws of parsers, on FITS files that astropy writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from vz_beam.parsers.fits import FITSParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite, Values

RANDOM = np.random.default_rng(7)


def _written(*hdus: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "file.fits"
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
        return path

    return write


def _images(path: Path) -> Values:
    with fits.open(path) as file:
        return {hdu.name: np.array(hdu.data) for hdu in file[1:]}


def _columns(path: Path) -> Values:
    with fits.open(path) as file:
        return {f"{hdu.name}/{name}": np.array(hdu.data[name]) for hdu in file[1:] for name in hdu.columns.names}


IMAGES = (
    fits.ImageHDU(RANDOM.random((3, 4, 5)).astype("f4"), name="A"),
    fits.ImageHDU(np.arange(20, dtype="i2").reshape(4, 5), name="B"),
    fits.ImageHDU(np.arange(20, dtype="u2").reshape(4, 5), name="C"),
)
TABLE = fits.BinTableHDU.from_columns(
    [
        fits.Column("n", "J", array=np.arange(9)),
        fits.Column("v", "3D", array=RANDOM.random((9, 3))),
        fits.Column("b", "L", array=np.arange(9) % 2 == 0),
    ],
    name="T",
)
LARGE = fits.ImageHDU(RANDOM.integers(0, 99, (40, 600, 500)).astype("i2"), name="L")
TILES = fits.CompImageHDU(np.arange(2000, dtype="i4").reshape(40, 50), name="R", compression_type="RICE_1")


class TestFITSParser(ParserSuite):
    parser = FITSParser()
    cases = (
        ParserCase("images", _written(*IMAGES), _images),
        ParserCase("table", _written(TABLE), _columns),
        ParserCase("large", _written(LARGE), _images),
        ParserCase("tiles", _written(TILES), _images),
    )
