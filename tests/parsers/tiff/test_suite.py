"""The laws of parsers, on TIFF files that tifffile writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from vz_beam.parsers.tiff import TIFFParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite, Values

RANDOM = np.random.default_rng(7)
GRAY = RANDOM.integers(0, 2**16, (70, 50)).astype("u2")
LARGE = RANDOM.integers(0, 2**16, (3, 700, 600)).astype("u2")


def _written(array: Any, **words: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "image.tif"
        tifffile.imwrite(path, array, metadata=None, **words)
        return path

    return write


def _read(path: Path) -> Values:
    return {"image": tifffile.imread(path)}


class TestTIFFParser(ParserSuite):
    parser = TIFFParser()
    cases = (
        ParserCase("strips", _written(GRAY, rowsperstrip=10), _read),
        ParserCase("deflated tiles", _written(GRAY, tile=(32, 16), compression="zlib"), _read),
        ParserCase(
            "big-endian BigTIFF, LZW, predictor",
            _written(GRAY, byteorder=">", bigtiff=True, compression="lzw", predictor=True, rowsperstrip=16),
            _read,
        ),
        ParserCase("large planes", _written(LARGE, planarconfig="separate", photometric="minisblack"), _read),
    )
