"""Values of attributes as manifests hold them, whatever the format: text, and the fill value that CF means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vz_beam.errors import UnsupportedError


def text_of(data: bytes | str) -> str:
    """Bytes as text: UTF-8, or Latin-1 where they are not."""
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def with_cf_fill(attributes: dict[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """``attributes`` with a ``_FillValue`` that values of ``dtype`` can equal, or none.

    Raises:
        UnsupportedError: several numbers, of which a store would hold the first.
    """
    if "_FillValue" not in attributes:
        return attributes
    fill = attributes["_FillValue"]
    is_number = dtype.kind in "biufc"
    if fill is None or fill == [] or (is_number and isinstance(fill, str)):
        return {name: value for name, value in attributes.items() if name != "_FillValue"}
    is_complex = dtype.kind == "c" and isinstance(fill, list) and len(fill) == 2 and not isinstance(fill[0], list)
    if dtype.kind in "fc" and isinstance(fill, list) and not is_complex:
        raise UnsupportedError(f"its attribute _FillValue has {len(fill)} values, {fill}, and an array can have one")
    return {**attributes, "_FillValue": cf_fill_number(fill, dtype)}


def cf_fill_number(value: Any, dtype: np.dtype[Any]) -> Any:
    """The attribute ``_FillValue`` as the variable's type holds it; as it is where that type cannot.

    >>> cf_fill_number(-999.0, np.dtype("i2")), cf_fill_number(1e20, np.dtype("f4"))
    (-999, 1.0000000200408773e+20)
    """
    if isinstance(value, (str, list)) or value is None or dtype.kind not in "iuf":
        return value
    with np.errstate(over="ignore"):
        if dtype.kind == "f":
            return float(np.array(value, dtype=dtype))
    limits = np.iinfo(dtype)
    if math.isfinite(value) and int(value) == value and limits.min <= value <= limits.max:
        return int(value)
    return value
