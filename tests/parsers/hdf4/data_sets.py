"""HDF4 files that pyhdf writes, and what it reads of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pyhdf.SD import SD, SDC

TYPES = {"i1": SDC.INT8, "u1": SDC.UINT8, "i2": SDC.INT16, "u2": SDC.UINT16, "i4": SDC.INT32, "u4": SDC.UINT32}
TYPES |= {"f4": SDC.FLOAT32, "f8": SDC.FLOAT64}


def write(path: Path, arrays: dict[str, Any], **words: Any) -> Path:
    """A file of data sets; ``words`` are those of :func:`add`."""
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    try:
        for name, array in arrays.items():
            add(file, name, np.asarray(array), **words)
    finally:
        file.end()
    return path


def add(
    file: Any,
    name: str,
    array: Any,
    *,
    compress: tuple[Any, ...] | None = None,
    dims: tuple[str, ...] = (),
    fill: Any = None,
    attributes: dict[str, Any] | None = None,
    unlimited: bool = False,
) -> None:
    """Adds a data set: compressed by the arguments of pyhdf's ``setcompress``."""
    shape = (SDC.UNLIMITED, *array.shape[1:]) if unlimited else array.shape
    data = file.create(name, TYPES[array.dtype.str[1:]], shape)
    for axis, dim in enumerate(dims):
        data.dim(axis).setname(dim)
    if fill is not None:
        data.setfillvalue(fill)
    if compress is not None:
        data.setcompress(*compress)
    for key, value in (attributes or {}).items():
        setattr(data, key, value)
    if array.size:
        data.set(array, start=[0] * array.ndim, count=list(array.shape))
    data.endaccess()


def read(path: Path) -> dict[str, Any]:
    """The values of all data sets by name, but for those without elements, which pyhdf cannot read."""
    file = SD(str(path), SDC.READ)
    try:
        sizes = {name: np.prod(np.atleast_1d(shape)) for name, (_, shape, *_) in file.datasets().items()}
        return {name: np.array(file.select(name).get()) for name, size in sizes.items() if size}
    finally:
        file.end()
