"""Zarr stores that zarr-python writes, and what it reads of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr

RANDOM = np.random.default_rng(4)


def write(folder: Path, version: Any = 2, **words: Any) -> Path:
    """A store of two arrays, one in a group, the larger one of several chunks with one missing."""
    root: Any = zarr.open_group(folder, mode="w", zarr_format=version, attributes={"title": "store"})
    names: dict[str, Any] = {"dimension_names": ("y", "x")} if version == 3 else {}
    array = root.create_array("t", shape=(7, 10), chunks=(3, 4), dtype="i4", fill_value=-1, **names, **words)
    array[:3, :4] = RANDOM.integers(0, 99, (3, 4))
    array[3:, 4:] = RANDOM.integers(0, 99, (4, 6))
    array.attrs["units"] = "K"
    inner = root.create_group("g").create_array("u", shape=(5,), chunks=(5,), dtype="f8", fill_value=0.0)
    inner[:] = RANDOM.random(5)
    return folder


def zipped(folder: Path, target: Path, compression: int = zipfile.ZIP_STORED, root: str = "") -> Path:
    """The store in a zip file."""
    with zipfile.ZipFile(target, "w", compression) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, root + str(path.relative_to(folder)))
    return target


def read(store: Any) -> dict[str, Any]:
    """The values of ``t`` and ``g/u``."""
    root: Any = zarr.open_group(store, mode="r")
    return {name: np.asarray(root[name][...]) for name in ("t", "g/u")}
