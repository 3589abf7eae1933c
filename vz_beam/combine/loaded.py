"""Loaded variables: decoded values of many inputs joined into one array, checked, and encoded once."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numcodecs.vlen import VLenUTF8

from vz_beam.combine.canonical import canonical_text, is_cftime
from vz_beam.errors import CombineError
from vz_beam.manifests.metadata import ArrayMetadata, Codec

CHUNK_BYTES = 2**24
"""Loaded arrays are cut along their first dimension into chunks of at most 16 MiB, so that none is read whole
for one value; most coordinates stay one chunk, which opens with one read."""

TIME_ENCODING = ("units", "calendar", "dtype")


def join_values(pieces: Mapping[tuple[int, ...], xr.Variable], dims: Sequence[str | None]) -> xr.Variable:
    """One variable from pieces keyed by their rank along each of ``dims``.

    ``None`` stands for dimensions that the variable does not have, along which all keys are the same. Encoding and
    attributes are the first piece's.
    """
    if not dims:
        (variable,) = pieces.values()
        return variable
    rest: dict[int, dict[tuple[int, ...], xr.Variable]] = {}
    for key, variable in pieces.items():
        rest.setdefault(key[0], {})[key[1:]] = variable
    joined = [join_values(rest[rank], dims[1:]) for rank in sorted(rest)]
    first = joined[0]
    dim = dims[0]
    if dim is None or (len(joined) == 1 and dim in first.dims):
        return first
    if dim not in first.dims:
        joined = [xr.Variable((dim, *v.dims), v.values[np.newaxis], v.attrs, v.encoding) for v in joined]
    values = np.concatenate([variable.values for variable in joined], axis=joined[0].dims.index(dim))
    return xr.Variable(joined[0].dims, values, first.attrs, first.encoding)


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


class PositionCheck(NamedTuple):
    """What a coordinate says about the places of inputs."""

    problems: list[str]
    notes: list[str]


def check_positions(name: str, dim: str, pieces: Sequence[tuple[str, xr.Variable]]) -> PositionCheck:
    """Whether the pieces of a dimension coordinate, (label, values) in the order of their places, run one way.

    A piece that overlaps the one before or runs backwards is a problem, told with both files and their values. Where
    every input has one and the same single value, the coordinate tells inputs apart no more than their absence would:
    that is a note.
    """
    ranges = []
    for label, variable in pieces:
        values = variable.values.ravel()
        if values.size and (values.dtype.kind in "iufmM" or is_cftime(values)):
            ranges.append((label, values.min(), values.max(), bool(values[0] <= values[-1]), values.size))
    if len(ranges) < 2:
        return PositionCheck([], [])
    if all(size == 1 and low == ranges[0][1] for _, low, _, _, size in ranges):
        note = f"coordinate {name!r} is {ranges[0][1]} in all {len(ranges)} inputs, and cannot tell their order"
        return PositionCheck([], [note])
    directions = [rising for _, _, _, rising, size in ranges if size > 1]
    rising = directions[0] if directions else bool(ranges[0][1] <= ranges[-1][1])
    problems = []
    for (label, low, high, _, _), (other, other_low, other_high, _, _) in itertools.pairwise(ranges):
        if (high < other_low) if rising else (low > other_high):
            continue
        backwards = other_high < low if rising else other_low > high
        problems.append(
            f"coordinate {name!r} {'runs backwards' if backwards else 'overlaps'} along {dim!r}: {low} to {high} in "
            f"{label}, then {other_low} to {other_high} in {other} (give each file once, in the order of this "
            "coordinate, or say order_by='coordinate')"
        )
    return PositionCheck(problems, [])


def describe_difference(path: str, first: xr.Variable, second: xr.Variable) -> str:
    """The first place at which two loaded variables differ, with both values."""
    if first.dims != second.dims or first.shape != second.shape:
        return f"{first.dims} {first.shape} and {second.dims} {second.shape}"
    a, b = first.values.ravel(), second.values.ravel()
    for place, (left, right) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        if canonical_text(left) != canonical_text(right):
            at = tuple(int(i) for i in np.unravel_index(place, first.shape)) if first.ndim else ()
            return f"{canonical_text(a[place])} and {canonical_text(b[place])} at {path}{list(at)}"
    return f"types {first.dtype} and {second.dtype}"


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
