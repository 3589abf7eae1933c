"""The attribute ``_FillValue`` as a value of the array's type."""

from __future__ import annotations

from typing import Any

import numpy as np

from vz_beam.errors import FormatError
from vz_beam.manifests.fill_value import decode_fill, default_fill
from vz_beam.manifests.metadata import ArrayMetadata, plain_value


def cf_fill(metadata: ArrayMetadata) -> Any:
    """The attribute ``_FillValue`` as a scalar of the array's type; ``None`` where it is absent or does not fit.

    Structs and raw bytes have none: xarray 2026.9 cannot open an array of theirs that names one.

    >>> cf_fill(ArrayMetadata((2,), np.dtype("i1"), (2,), attributes={"_FillValue": 255}))
    np.int8(-1)
    """
    value, dtype = plain_value(metadata.attributes.get("_FillValue")), metadata.dtype
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if value is None or dtype.kind == "V":
        return None
    if dtype.kind in "iu":
        return integer_fill(value, dtype)
    if dtype.kind in "SUOT":
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if dtype.kind in "OT":
            return text
        data = text.encode("utf-8" if not isinstance(value, bytes) else "latin-1") if dtype.kind == "S" else text
        scalar = np.array(data)
        return scalar.astype(dtype)[()] if scalar.dtype.itemsize <= dtype.itemsize else None
    try:
        return decode_fill(value, dtype)
    except FormatError:
        return None


def shown_fill(metadata: ArrayMetadata) -> Any:
    """What a missing chunk reads as where the storage fill is undefined, and in Zarr v2: the CF fill, else 0."""
    fill = cf_fill(metadata)
    return default_fill(metadata.dtype) if fill is None else fill


def integer_fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """``value`` in ``dtype``, the bits kept where only the sign differs (``_Unsigned``); ``None``: it does not fit."""
    if isinstance(value, (str, bytes, list, tuple)) or not np.isfinite(value) or int(value) != value:
        return None
    number, bits = int(value), 8 * dtype.itemsize
    if not -(1 << (bits - 1)) <= number < 1 << bits:
        return None
    return np.array(number % (1 << bits), f"u{dtype.itemsize}").view(dtype)[()]
