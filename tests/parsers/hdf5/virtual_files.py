"""Files with virtual datasets, and with what these are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from numpy.typing import NDArray

from tests.parsers.hdf5.conftest import Folder

UNLIMITED = h5s.UNLIMITED
Part = tuple[Any, str, Any]
"""Selection in the virtual dataset, name of the file, selection in the source."""


def values(shape: tuple[int, ...], start: int = 1) -> NDArray[np.int32]:
    return (np.arange(np.prod(shape), dtype="i4") + start).reshape(shape)


def write_source(folder: Folder, name: str, data: NDArray[Any], **choices: Any) -> None:
    with h5py.File(folder / name, "w") as file:
        file.create_dataset("d", data=data, **choices)


def write_virtual(folder: Folder, shape: tuple[int, ...], *parts: Part, dtype: str = "i4", fill: int = -1) -> None:
    """``main.h5`` with the virtual dataset ``v`` of the dataset ``d`` in each file of ``parts``."""
    layout = h5py.VirtualLayout(shape, dtype)
    for where, name, what in parts:
        with h5py.File(folder / name) as file:
            source = h5py.VirtualSource(name, "d", file["d"].shape, file["d"].dtype)
        layout[where] = source if what is None else source[what]
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=fill)


def block(shape: tuple[int, ...], limits: tuple[int, ...], *selection: tuple[int, ...]) -> h5s.SpaceID:
    space = h5s.create_simple(shape, limits)
    start, count, *rest = selection
    space.select_hyperslab(start, count, *rest)
    return space


def write_mappings(
    path: Path, shape: tuple[int, ...], limits: tuple[int, ...], *mappings: tuple[Any, bytes, bytes, Any]
) -> None:
    with h5py.File(path, "w") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_fill_value(np.array(-1, "i4"))
        for virtual, name, dataset, source in mappings:
            plist.set_virtual(virtual, name, dataset, source)
        h5d.create(file.id, b"v", h5t.STD_I32LE, h5s.create_simple(shape, limits), plist)


def series(name: bytes, dataset: bytes = b"d", limit: int = UNLIMITED) -> tuple[Any, bytes, bytes, Any]:
    source = block((4,), (4,), (0,), (1,), (1,), (4,))
    return block((2, 4), (limit, 4), (0, 0), (UNLIMITED, 1), (1, 1), (1, 4)), name, dataset, source


def growing(rows: int) -> dict[str, Any]:
    return {"data": values((rows,), 100 * rows), "maxshape": (None,), "chunks": (2,)}
