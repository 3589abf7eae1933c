"""HDF5 files that hold what references express beside what they cannot: object references, ragged arrays, pairs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import h5py
import numpy as np

BAD = ("links", "pairs", "ragged")
"""Variables of the root group that references cannot express; ``below/ragged`` is another one."""


def write_mixed_file(path: Path, number: int = 0, bad: Collection[str] = BAD) -> str:
    """File ``number`` of a series: ``t(time)``, those of ``BAD`` that are named, and a group ``below``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["time"] = np.arange(4) + 4 * number
        file["time"].make_scale("time")
        file["t"] = np.arange(4) + number / 8
        file["t"].dims[0].attach_scale(file["time"])
        file["below/good"] = np.arange(3.0)
        file.create_dataset("below/ragged", (2,), dtype=h5py.vlen_dtype("f8"))
        if "links" in bad:
            file.create_dataset("links", (2,), dtype=h5py.ref_dtype)
        if "pairs" in bad:
            file.create_dataset("pairs", (2,), dtype=np.dtype([("n", "i4"), ("name", h5py.string_dtype())]))
        if "ragged" in bad:
            file.create_dataset("ragged", (4,), dtype=h5py.vlen_dtype("i4"))
            file["ragged"].dims[0].attach_scale(file["time"])
    return str(path)


def write_mixed_series(folder: Path, count: int = 3) -> list[str]:
    """Files ``part_0.h5`` and so on, with all that references cannot express."""
    return [write_mixed_file(folder / f"part_{number}.h5", number) for number in range(count)]


def series_values(count: int = 3) -> list[float]:
    """The values of ``t`` in the whole series."""
    return [value for number in range(count) for value in (np.arange(4) + number / 8).tolist()]
