"""Values of loaded variables beside those of a store: read decoded, and encoded as the store has them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr

from vz_beam.combine.canonical import canonical_text, is_cftime
from vz_beam.combine.schema import join_path
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata

if TYPE_CHECKING:
    from icechunk import IcechunkStore

_ENCODING = ("units", "calendar", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")


def decoded_variables(
    store: IcechunkStore, group: str, stored: Mapping[str, ArrayMetadata], like: Mapping[str, xr.Variable]
) -> tuple[dict[str, xr.Variable], dict[str, xr.Variable]]:
    """Variables of a group as they are stored, and decoded as those of the same names in ``like`` were.

    ``like`` may be decoded or not, as ``decode_times`` said; the values are read.
    """
    raw = {}
    for name in like:
        metadata = stored[name]
        values = np.asarray(zarr.open_array(store, path=join_path(group, name), mode="r")[...])
        names = metadata.dimension_names or tuple(f"dim_{axis}" for axis in range(metadata.ndim))
        values = values.astype(object) if values.dtype.kind == "T" else values
        raw[name] = xr.Variable(names, values, dict(metadata.attributes))
    return raw, {name: _decoded(name, raw[name], like[name]) for name in like}


def _decoded(name: str, raw: xr.Variable, like: xr.Variable) -> xr.Variable:
    cftime = is_cftime(like.values) if like.dtype.kind == "O" else False
    times: Any = xr.coders.CFDatetimeCoder(use_cftime=True) if cftime else like.dtype.kind == "M"
    variable = raw.copy(deep=False)
    decoded: xr.Variable = xr.conventions.decode_cf_variable(
        name, variable, decode_times=times, decode_timedelta=like.dtype.kind == "m"
    ).load()
    return decoded


def encoded_as_stored(
    name: str, variable: xr.Variable, raw: xr.Variable, decoded: xr.Variable, source: str
) -> np.ndarray[Any, Any]:
    """The values of ``variable`` in the units, packing and type of the store's array.

    Args:
        name: for messages.
        variable: decoded values.
        raw: the store's variable as it is stored.
        decoded: the same, decoded.
        source: of ``variable``, for messages.

    Raises:
        UnsupportedError: values that the store's encoding cannot say exactly.
    """
    encoding = {key: decoded.encoding[key] for key in _ENCODING if key in decoded.encoding}
    if raw.dtype.kind not in "OTU":
        encoding["dtype"] = raw.dtype
    candidate = xr.Variable(variable.dims, variable.values, {}, encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xarray warns where it leaves the asked units; the check below decides
        try:
            values = np.asarray(xr.conventions.encode_cf_variable(candidate, name=name).values)
            if raw.dtype.kind in "OTU":
                texts = np.array(["" if text is None else text for text in values.ravel()], object)
                return texts.astype(np.dtypes.StringDType()).reshape(values.shape)
            stored = values.astype(raw.dtype)
            back = _decoded(name, xr.Variable(variable.dims, stored, raw.attrs, raw.encoding), variable)
        except (ValueError, OverflowError, TypeError) as error:
            raise _inexact(name, variable, raw, source, str(error)) from error
    same = _same(back.values.ravel(), variable.values.ravel())
    if not same.all():
        place = int(np.argmin(same))
        was, reads = (_shown(one.values.ravel()[place]) for one in (variable, back))
        raise _inexact(name, variable, raw, source, f"{was} would read as {reads}")
    return stored


def _same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    equal = np.asarray(a == b)
    if a.dtype.kind in "fcmM" and b.dtype.kind in "fcmM":
        equal = equal | (np.asarray(a != a) & np.asarray(b != b))
    return equal


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, np.datetime64 | np.timedelta64) else canonical_text(value)


def _inexact(name: str, variable: xr.Variable, raw: xr.Variable, source: str, why: str) -> UnsupportedError:
    words = {key: raw.attrs[key] for key in _ENCODING if key in raw.attrs}
    return UnsupportedError(
        f"{name!r} of {source} cannot be said exactly as the store says it, in {raw.dtype} with {words}: {why}. Way "
        f"out: write the store's first dataset with an encoding that can, such as dataset[{name!r}].encoding['units']"
    )
