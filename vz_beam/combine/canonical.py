"""One text for each value that means the same, so that schemas can be compared, merged and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def is_cftime(values: np.ndarray[Any, Any]) -> bool:
    """Whether an array of objects holds times of calendars that numpy lacks."""
    return values.dtype.kind == "O" and bool(values.size) and hasattr(values.flat[0], "calendar")


def canonical_text(value: Any) -> str:
    """A text that is equal for values that are equal as numbers, lists or trimmed text.

    >>> canonical_text(np.float32(0.5)) == canonical_text(0.5), canonical_text(1) == canonical_text(1.0)
    (True, True)
    >>> canonical_text(float("nan")), canonical_text(" K "), canonical_text([1, "a"])
    ('nan', "'K'", "[1, 'a']")
    """
    if type(value) is str:  # most of them
        return repr(value.strip())
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.tobytes() if value.dtype.kind == "V" else value.item()
    if isinstance(value, str):
        return repr(value.strip())
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, float):
        return (
            repr(int(value))
            if value.is_integer() and abs(value) < 2**53
            else "nan"
            if math.isnan(value)
            else repr(value)
        )
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {canonical_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        if len(value) == 1:  # netCDF does not tell a number from a list of one number
            return canonical_text(value[0])
        return "[" + ", ".join(map(canonical_text, value)) + "]"
    return repr(value)
