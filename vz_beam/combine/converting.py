"""Numbers that one input stores in one way, as another one stores them: packing, missing values and type.

Source: CF conventions 1.11, sections 2.5.1 and 8.1, as xarray reads and writes them.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vz_beam.combine.attributes import PACKING
from vz_beam.errors import RewriteError
from vz_beam.manifests.metadata import ArrayMetadata

_MISSING = frozenset(["_FillValue", "missing_value"])
_ROUNDING = 1e-6
"""Part of a packing's step by which arithmetic may be off beside the half step of rounding."""


def converted(values: NDArray[Any], own: ArrayMetadata, wanted: ArrayMetadata, name: str) -> NDArray[Any]:
    """The stored numbers of ``wanted`` that mean what ``values``, stored numbers of ``own``, mean.

    Packed numbers are rounded to the packing of ``wanted``, others to its type; what is missing stays missing.

    Args:
        values: own.dtype[any shape].
        own: of the input that they are from.
        wanted: of the combined array.
        name: of the array and input, for messages.

    Raises:
        RewriteError: numbers that ``wanted`` cannot say; the first is named.
    """
    mine, theirs = ({key: one.attributes[key] for key in PACKING if key in one.attributes} for one in (own, wanted))
    if mine == theirs and own.dtype == wanted.dtype:
        return values
    if not (mine.keys() | theirs.keys()) - _MISSING:
        return _cast(values, mine, theirs, wanted.dtype, name)
    meant = _decoded(values, mine)
    stored = _encoded(meant, theirs, wanted.dtype, name)
    _check(meant, _decoded(stored, theirs), theirs, wanted.dtype, name)
    return stored


def _cast(
    values: NDArray[Any], own: dict[str, Any], wanted: dict[str, Any], dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    """Numbers that are stored as they are, in another type, with other values for what is missing."""
    missing = _among(values, own)
    if values.dtype.kind == "f":
        missing |= np.isnan(values)
    plain = np.where(missing, values.dtype.type(0), values)
    with np.errstate(all="ignore"):
        result = plain.astype(dtype)
        lost = (result.astype(values.dtype) != plain) | (result != plain)  # neither alone sees every wrap and rounding
    if values.dtype.kind == dtype.kind == "f":
        lost = np.isinf(result) & ~np.isinf(plain)  # rounding is what the narrower type does
    lost |= _among(result, wanted) & ~missing
    if lost.any():
        raise _cannot(values[lost][0], f"{dtype} with {wanted or 'no value for missing data'}", name)
    return _with_missing(result, missing, wanted, name)


def _among(values: NDArray[Any], packing: dict[str, Any]) -> NDArray[np.bool_]:
    """Where the numbers are those that stand for missing data."""
    found = np.zeros(values.shape, np.bool_)
    for key in _MISSING & packing.keys():
        for one in np.ravel(packing[key]).tolist():
            found |= values == one
    return found


def _with_missing(stored: NDArray[Any], missing: NDArray[np.bool_], packing: dict[str, Any], name: str) -> NDArray[Any]:
    if not missing.any():
        return stored
    fill = packing.get("_FillValue", packing.get("missing_value"))
    if fill is None and stored.dtype.kind != "f":
        raise RewriteError(
            f"{name}: some values are missing, and most inputs have no _FillValue for their {stored.dtype}. "
            "Way out: mismatch='split', or leave the file out"
        )
    value = np.nan if fill is None else np.ravel(fill)[0]
    return np.where(missing, np.asarray(value).astype(stored.dtype), stored)


def _decoded(values: NDArray[Any], packing: dict[str, Any]) -> NDArray[Any]:
    """float64 or the numbers themselves, NaN where they are missing."""
    variable = xr.Variable((f"d{axis}" for axis in range(values.ndim)), values, _exact(packing))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xarray's remarks on attributes that the inputs have
        decoded = xr.conventions.decode_cf_variable("v", variable, decode_times=False, decode_timedelta=False)
    return np.asarray(decoded.values)


def _encoded(meant: NDArray[Any], packing: dict[str, Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    numbers = meant.astype(np.float64)
    missing = np.isnan(numbers)
    exact = _exact(packing)
    stored = (np.where(missing, 0.0, numbers) - exact.get("add_offset", 0.0)) / exact.get("scale_factor", 1.0)
    kind = _unsigned(dtype, packing)
    if kind.kind in "iu":
        stored = np.rint(stored)
        limits = np.iinfo(kind)
        if (odd := ((stored < limits.min) | (stored > limits.max)) & ~missing).any():
            raise _cannot(numbers[odd][0], f"{dtype} with {packing}", name)
        stored = np.where(missing, 0.0, stored)
    with np.errstate(over="ignore"):
        result = stored.astype(kind).view(dtype)
    return _with_missing(result, missing, packing, name)


def _check(meant: NDArray[Any], again: NDArray[Any], packing: dict[str, Any], dtype: np.dtype[Any], name: str) -> None:
    """What was stored reads as it was meant: within half a step, and missing where it was missing."""
    one, other = meant.astype(np.float64), again.astype(np.float64)
    step = abs(float(np.ravel(packing.get("scale_factor", 1))[0]))
    if dtype.kind == "f":
        allowed = np.abs(one) * 2 * float(np.finfo(dtype).eps) + step * float(np.finfo(dtype).tiny)
    else:
        allowed = np.full(one.shape, step / 2 * (1 + _ROUNDING)) if "scale_factor" in packing else np.zeros(one.shape)
        allowed = allowed + np.abs(one) * 4 * float(np.finfo(np.float64).eps)
    same = (np.abs(one - other) <= allowed) | (np.isnan(one) & np.isnan(other)) | (one == other)
    if not same.all():
        raise _cannot(one[~same][0], f"{dtype} as most inputs store it, where it would read as {other[~same][0]}", name)


def _exact(packing: dict[str, Any]) -> dict[str, Any]:
    """The packing with numbers of double precision, in which the inputs are compared."""
    doubles: dict[str, Any] = {
        key: np.float64(np.ravel(packing[key])[0]) for key in ("scale_factor", "add_offset") if key in packing
    }
    return {**packing, **doubles}


def _unsigned(dtype: np.dtype[Any], packing: dict[str, Any]) -> np.dtype[Any]:
    word = str(packing.get("_Unsigned", "")).lower()
    if dtype.kind == "i" and word == "true":
        return np.dtype(f"u{dtype.itemsize}")
    return np.dtype(f"i{dtype.itemsize}") if dtype.kind == "u" and word == "false" else dtype


def _cannot(value: Any, what: str, name: str) -> RewriteError:
    return RewriteError(
        f"{name}: the value {value} cannot be stored as {what}. Way out: mismatch='split', or leave the file out"
    )
