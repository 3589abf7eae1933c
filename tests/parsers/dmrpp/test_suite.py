"""The laws of parsers, on DMR++ documents of HDF5 files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tests.parsers.dmrpp.documents import describe
from vz_beam.parsers.dmrpp import DMRPPParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite, Values

RANDOM = np.random.default_rng(5)


def _mixed(folder: Path) -> Path:
    path = folder / "mixed.h5"
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "mixed"
        file["plain"] = RANDOM.random((3, 4)).astype("f4")
        file["big"] = np.arange(6, dtype=">i4").reshape(2, 3)
        file["scalar"] = np.int64(7)
        file.create_dataset("packed", data=np.arange(70, dtype="i2").reshape(7, 10), chunks=(3, 4), compression=6)
        both = {"compression": 1, "shuffle": True, "fletcher32": True}
        file.create_dataset("all", data=RANDOM.random((9, 5)), chunks=(4, 5), **both)
        file["g/inner/u"] = np.arange(5, dtype="u1")
        file["packed"].attrs["scale_factor"] = 0.5
        holes = file.create_dataset("holes", (8, 8), "f8", chunks=(4, 4), fillvalue=-9.5)
        holes[4:, 4:] = 1
    return describe(path)


def _large(folder: Path) -> Path:
    path = folder / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=RANDOM.integers(0, 2**31, (4, 400, 500), "i4"), chunks=(1, 400, 500))
    return describe(path)


def _read(path: Path) -> Values:
    values = {}
    with h5py.File(path.with_name(path.name.removesuffix(".dmrpp"))) as file:
        file.visititems(lambda name, item: values.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return values


class TestDMRPPParser(ParserSuite):
    parser = DMRPPParser()
    cases = (ParserCase("mixed", _mixed, _read), ParserCase("large", _large, _read))
