"""Loaded variables: decoded values of many inputs joined into one array, checked, and encoded once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numcodecs.vlen import VLenUTF8
from numpy.typing import NDArray

from vz_beam.combine.canonical import canonical_text, is_cftime
from vz_beam.errors import CombineError
from vz_beam.manifests.metadata import ArrayMetadata, Codec

CHUNK_BYTES = 2**24
"""Loaded arrays are cut along their first dimension into chunks of at most 16 MiB, so that none is read whole
for one value; most coordinates stay one chunk, which opens with one read."""

MOST_LISTED = 20
"""Cases of one kind that an error lists: an archive of thousands of files may have thousands."""
TIME_ENCODING = ("units", "calendar", "dtype")


def join_arrays(
    pieces: Mapping[tuple[int, ...], NDArray[Any]], dims: Sequence[str | None], own: Sequence[str]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """One array, and its dimensions, from pieces keyed by their rank along each of ``dims``.

    Args:
        pieces: of the dimensions ``own``.
        dims: ``None`` stands for those that the variable does not have, along which all keys are the same; those that
            are not in ``own`` come in front.
        own: dimensions of each piece.
    """
    counting = [axis for axis, dim in enumerate(dims) if dim is not None]
    ordered = [pieces[key] for key in sorted(pieces)]
    if not counting:
        return ordered[0], tuple(own)
    *_, last = counting
    dim = dims[last]
    assert dim is not None
    if dim not in own:
        ordered = [array[np.newaxis] for array in ordered]
    joined_dims = tuple(own) if dim in own else (dim, *own)
    along = joined_dims.index(dim)
    rest = [key[:last] for key in sorted(pieces)]
    if len(counting) == 1:
        return np.concatenate(ordered, axis=along), joined_dims
    runs: dict[tuple[int, ...], list[NDArray[Any]]] = {}
    for key, array in zip(rest, ordered, strict=True):
        runs.setdefault(key, []).append(array)
    joined = {key: np.concatenate(run, axis=along) for key, run in runs.items()}
    return join_arrays(joined, dims[:last], joined_dims)


def encode_values(
    name: str, variable: xr.Variable, clock: Mapping[str, Any] | None = None
) -> tuple[ArrayMetadata, dict[int, bytes], dict[str, Any]]:
    """Metadata, encoded chunks by number, and the time encoding used, of decoded values.

    Times keep the first input's units where these say every value exactly, else exact integers of a finer unit are
    written. Packing of the inputs is not repeated: decoded numbers are written as they are.

    Args:
        name: for messages.
        variable: decoded values.
        clock: units and calendar to use where ``variable`` holds the bounds of a time that was encoded before.

    Raises:
        CombineError: values of a type that no store can hold.
    """
    encoding = {key: variable.encoding[key] for key in TIME_ENCODING if key in variable.encoding}
    if "units" in encoding and variable.dtype.kind == "M":
        # what CF says where a file names none; xarray would take another, and numbers before 1582 would differ from
        # those of virtual bounds
        encoding.setdefault("calendar", "standard")
    is_time = variable.dtype.kind in "mM" or is_cftime(variable.values)
    if is_time:
        encoded = _encode_times(name, variable, {**encoding, **clock} if clock else encoding)
    else:
        encoded = xr.Variable(variable.dims, variable.values, variable.attrs)
    used = {key: encoded.attrs[key] for key in ("units", "calendar") if is_time and key in encoded.attrs}
    values, attributes = np.asarray(encoded.values), dict(encoded.attrs)
    if values.dtype.kind in "OUT":
        return *_encode_texts(name, values, attributes, variable.dims), used
    if values.dtype.kind not in "iufbcSV":
        raise CombineError(f"variable {name!r} holds {values.dtype} values, which no store can hold: drop it")
    order = None if values.dtype.itemsize == 1 or values.dtype.kind == "S" else "little"
    values = values.astype(values.dtype.newbyteorder("<"), order="C")  # np.ascontiguousarray gives scalars a dimension
    rows = max(1, CHUNK_BYTES // max(1, values[:1].nbytes)) if values.ndim else 1
    chunk_shape = tuple(max(1, n) for n in values.shape)
    if values.ndim and values.shape[0] > rows:
        chunk_shape = (rows, *chunk_shape[1:])
    metadata = ArrayMetadata(
        shape=values.shape,
        dtype=values.dtype.newbyteorder("="),
        chunk_shape=chunk_shape,
        byte_order=order,
        fill_value=attributes.get("_FillValue"),
        attributes=attributes,
        dimension_names=tuple(map(str, variable.dims)),
    )
    return metadata, _raw_chunks(values, chunk_shape), used


def describe_difference(path: str, first: NDArray[Any], second: NDArray[Any], tolerance: float = 0.0) -> str | None:
    """The first place at which two arrays differ, with both values; ``None`` where they do not.

    Numbers of other widths, not-a-number and times of other units are compared by what they mean. Numbers may be
    ``tolerance`` apart, times as many seconds.
    """
    if first.shape != second.shape:
        return f"shapes {first.shape} and {second.shape}"
    differ = np.flatnonzero(_differ(first.ravel(), second.ravel(), tolerance))
    if not len(differ):
        return None
    place = tuple(int(i) for i in np.unravel_index(differ[0], first.shape)) if first.ndim else ()
    return f"{canonical_text(first[place])} and {canonical_text(second[place])} at {path}{list(place)}"


def _differ(first: NDArray[Any], second: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
    kinds = {first.dtype.kind, second.dtype.kind}
    is_number, is_time = kinds <= set("iufbc"), kinds in ({"M"}, {"m"})
    if not (is_number or is_time):
        texts = [[canonical_text(value) for value in array.tolist()] for array in (first, second)]
        return np.array([a != b for a, b in zip(*texts, strict=True)], bool)
    nothing = (first != first) & (second != second)
    differ = np.asarray((first != second) & ~nothing)
    if not tolerance or not differ.any() or kinds & set("bc"):
        return differ
    places = np.flatnonzero(differ)
    if is_time:
        apart = np.abs((first[places] - second[places]) / np.timedelta64(1, "s"))
    else:
        one, other = (array[places].astype(np.float64) for array in (first, second))
        apart = np.abs(one - other) - 2 * np.spacing(np.abs(one))  # what the difference itself may be rounded by
    differ[places] = ~(apart <= tolerance)
    return differ


def _encode_times(name: str, variable: xr.Variable, encoding: dict[str, Any]) -> xr.Variable:
    attempts: list[dict[str, Any]] = [
        encoding,
        {key: encoding[key] for key in ("units", "calendar") if key in encoding},
    ]
    if "calendar" in encoding:
        attempts.append({"calendar": encoding["calendar"]})
    attempts.append({})
    for attempt in attempts:
        candidate = xr.Variable(variable.dims, variable.values, variable.attrs, {**attempt, "_FillValue": None})
        if np.any(variable.isnull().values):
            candidate.encoding.pop("_FillValue")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # xarray warns when it leaves the asked units; the check below decides
            try:
                encoded = xr.conventions.encode_cf_variable(candidate, name=name)
                decoded = xr.conventions.decode_cf_variable(name, encoded.copy(deep=False))
            except (ValueError, OverflowError):
                continue
        if decoded.dtype.kind == variable.dtype.kind and _equal(decoded.values, variable.values):
            return encoded
    raise CombineError(
        f"the values of {name!r} cannot be encoded exactly in any units of {encoding}: leave it virtual or drop it"
    )


def _equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.dtype.kind in "mM":
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.all(a == b))


def _encode_texts(
    name: str, values: np.ndarray[Any, Any], attributes: dict[str, Any], dims: Sequence[Any]
) -> tuple[ArrayMetadata, dict[int, bytes]]:
    flat = values.astype(object).ravel()
    texts = np.array(["" if text is None else text for text in flat], dtype=object)
    if bad := [text for text in texts if not isinstance(text, str)]:
        raise CombineError(f"variable {name!r} holds a {type(bad[0]).__name__} among its texts: drop or convert it")
    metadata = ArrayMetadata(
        shape=values.shape,
        dtype=np.dtypes.StringDType(),
        chunk_shape=tuple(max(1, n) for n in values.shape),
        byte_order=None,
        serializer=Codec("vlen-utf8"),
        fill_value="",
        attributes=attributes,
        dimension_names=tuple(map(str, dims)),
    )
    return metadata, {0: bytes(VLenUTF8().encode(texts))} if values.size else {}


def _raw_chunks(values: np.ndarray[Any, Any], chunk_shape: tuple[int, ...]) -> dict[int, bytes]:
    """Chunks along the first dimension; the last is padded to full length, as Zarr stores it."""
    if not values.size:
        return {}
    if not values.ndim or values.shape[0] == chunk_shape[0]:
        return {0: values.tobytes()}
    chunks = {}
    for number, start in enumerate(range(0, values.shape[0], chunk_shape[0])):
        part = values[start : start + chunk_shape[0]]
        padding = chunk_shape[0] - len(part)
        chunks[number] = part.tobytes() + bytes(padding * part[:1].nbytes)
    return chunks
