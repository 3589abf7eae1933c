"""Fill values as Zarr metadata says them in JSON: the same texts in Zarr v2 and v3.

Source: Zarr v3 core specification, "Fill value", and the data type extensions that zarr 3.1 writes.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError

_FLOAT_TEXTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def default_fill(dtype: np.dtype[Any]) -> Any:
    """What Zarr readers show where no fill value is named: zero, empty, or not-a-time.

    >>> int(default_fill(np.dtype("i2"))), str(default_fill(np.dtype("M8[s]")))
    (0, 'NaT')
    """
    if dtype.kind in "OT":
        return ""
    if dtype.kind in "Mm":
        return np.array("NaT", dtype)[()]
    return np.zeros((), dtype)[()]


def encode_fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """The JSON value of a fill value of ``dtype``; ``None`` stays ``None``.

    >>> encode_fill(np.float32("nan"), np.dtype("f4")), encode_fill(b"ab", np.dtype("S2"))
    ('NaN', 'YWI=')
    """
    if value is None:
        return None
    if dtype.kind in "OTU":
        return base64.standard_b64encode(value).decode() if isinstance(value, bytes) else str(value)
    scalar: NDArray[Any] = np.array(value, dtype)
    if dtype.kind == "b":
        return bool(scalar)
    if dtype.kind in "iu":
        return int(scalar)
    if dtype.kind == "f":
        return _encode_float(float(scalar))
    if dtype.kind == "c":
        return [_encode_float(float(scalar.real)), _encode_float(float(scalar.imag))]
    if dtype.kind in "Mm":
        return int(scalar.view(np.int64))
    data = scalar.tobytes().rstrip(b"\0") if dtype.kind == "S" else scalar.tobytes()
    return base64.standard_b64encode(data).decode()


def decode_fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """The numpy scalar of ``dtype`` (``str`` for strings) that a JSON value says; ``None`` stays ``None``.

    Raises:
        FormatError: a value that ``dtype`` cannot hold.

    >>> decode_fill("-Infinity", np.dtype("f8"))
    np.float64(-inf)
    """
    if value is None:
        return None
    try:
        return _decode(value, dtype)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise FormatError(f"fill value {value!r} is none of data type {dtype}") from error


def _decode(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "OT":
        return str(value)
    if dtype.kind == "U":
        return np.array(str(value), dtype)[()]
    if dtype.kind == "f" and isinstance(value, str) and value.startswith("0x"):
        return np.frombuffer(bytes.fromhex(value[2:]), dtype.newbyteorder(">")).astype(dtype)[0]
    if dtype.kind == "f":
        return np.array(_decode_float(value), dtype)[()]
    if dtype.kind == "c":
        parts = value if isinstance(value, (list, tuple)) else (value, 0.0)
        return np.array(complex(_decode_float(parts[0]), _decode_float(parts[1])), dtype)[()]
    if dtype.kind in "Mm":
        number = value if isinstance(value, int) else int(np.array(value, dtype).view(np.int64))
        return np.array(number, np.int64).view(dtype)[()]
    if dtype.kind in "iu":
        if int(value) != value:
            raise ValueError("not a whole number")
        return np.array(int(value), dtype)[()]
    if dtype.kind == "b":
        return np.array(bool(value))[()]
    data = bytes(value) if isinstance(value, list) else base64.b64decode(value, validate=True)
    if dtype.kind == "S":
        return np.array(data, dtype)[()]
    if data and len(data) != dtype.itemsize:
        raise ValueError(f"{len(data)} bytes")
    return np.frombuffer(data, dtype)[0] if data else np.zeros((), dtype)[()]


def _encode_float(number: float) -> float | str:
    if np.isfinite(number):
        return number
    return "NaN" if np.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _decode_float(value: Any) -> float:
    return _FLOAT_TEXTS[value] if isinstance(value, str) and value in _FLOAT_TEXTS else float(value)
