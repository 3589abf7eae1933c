"""The laws of parsers, on Zarr stores in zip files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import ZipStore

from tests.parsers.zarr.stores import read, write, zipped
from vz_beam.parsers.zipped_zarr import ZippedZarrParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite, Values


def _written(version: int, compression: int = zipfile.ZIP_STORED) -> Callable[[Path], Path]:
    return lambda folder: zipped(write(folder / "store.zarr", version), folder / "store.zip", compression)


def _large(folder: Path) -> Path:
    root = zarr.open_group(folder / "large.zarr", mode="w", zarr_format=2)
    array = root.create_array("v", shape=(600, 700), chunks=(600, 700), dtype="i4", compressors=None)
    array[:] = np.random.default_rng(0).integers(0, 99, (600, 700))
    return zipped(folder / "large.zarr", folder / "large.zip")


def _read(path: Path) -> Values:
    return read(ZipStore(path, mode="r"))


def _read_large(path: Path) -> Values:
    root: Any = zarr.open_group(ZipStore(path, mode="r"), mode="r")
    return {"v": root["v"][...]}


class TestZippedZarrParser(ParserSuite):
    parser = ZippedZarrParser()
    cases = (
        ParserCase("version 2", _written(2), _read),
        ParserCase("version 3", _written(3), _read),
        ParserCase("deflated", _written(2, zipfile.ZIP_DEFLATED), _read),
        ParserCase("large", _large, _read_large),
    )
