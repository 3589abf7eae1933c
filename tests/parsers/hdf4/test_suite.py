"""The laws of parsers, on HDF4 files that pyhdf writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyhdf.SD import SDC

from tests.parsers.hdf4.data_sets import read, write
from vz_beam.parsers.hdf4 import HDF4Parser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite

RANDOM = np.random.default_rng(2)
MIXED = {
    "t": RANDOM.integers(-99, 99, (4, 5)).astype("i2"),
    "u": RANDOM.random((3, 4, 5)).astype("f4"),
    "d": RANDOM.random(7),
}
LARGE = {"v": RANDOM.integers(0, 9, (700, 800)).astype("i4")}


def _written(arrays: dict[str, Any], **words: Any) -> Callable[[Path], Path]:
    return lambda folder: write(folder / "file.hdf", arrays, **words)


class TestHDF4Parser(ParserSuite):
    parser = HDF4Parser()
    cases = (
        ParserCase("contiguous", _written(MIXED), read),
        ParserCase("deflate", _written(MIXED, compress=(SDC.COMP_DEFLATE, 6)), read),
        ParserCase("large", _written(LARGE), read),
    )
