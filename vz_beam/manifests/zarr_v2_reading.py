"""What Zarr v2 metadata documents of arrays say, as :class:`ArrayMetadata`: the way back from ``zarr_v2``.

Source: Zarr v2 specification; xarray's conventions for it, ``_ARRAY_DIMENSIONS`` and a fill value that means missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, ManifestError, UnsupportedError
from vz_beam.manifests.fill_value import decode_fill, encode_fill
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.zarr_v3 import ARRAY_TO_ARRAY, check_struct, has_byte_order, leaves

DIMENSIONS = "_ARRAY_DIMENSIONS"
"""The attribute in which xarray keeps the names of an array's dimensions."""
_FILL = "_FillValue"
_NEEDED = ("shape", "chunks", "dtype")
_OBJECT_CODECS = frozenset(["vlen-utf8", "vlen-bytes", "vlen-array", "json2", "pickle", "msgpack2", "categorize"])
"""Codecs that make bytes of Python objects: only the first of them is a plain text, and pickles run code."""
_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_STORED_AS = {"delta": "astype", "fixedscaleoffset": "astype", "quantize": "astype", "astype": "encode_dtype"}
"""Where a codec that acts on arrays says the data type that it stores."""
_MOST_ELEMENTS = 2**63 - 1


def from_v2(document: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> ArrayMetadata:
    """What a ``.zarray`` document and the ``.zattrs`` beside it say.

    The fill value is what missing chunks read as, and as readers of Zarr v2 have it, it means missing data as well: it
    becomes the attribute ``_FillValue``, in place of one that is there. ``null`` names none, and leaves that as it is.
    Dimensions are named by ``_ARRAY_DIMENSIONS``, which is no attribute any more; without it they have no names.

    Raises:
        UnsupportedError: Python objects other than texts, filters in an order that Zarr v3 cannot say.
        FormatError: a document that no array has.
    """
    try:
        return _metadata(document, dict(attributes or {}))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        if isinstance(error, ManifestError):
            raise FormatError(f"the array document is wrong: {error}") from error
        raise FormatError(f"the array document is wrong: {type(error).__name__}: {error}") from error


def separator_v2(document: Mapping[str, Any]) -> str:
    """What stands between the numbers in the keys of the array's chunks, ``"."`` or ``"/"``.

    Raises:
        FormatError: anything else.
    """
    separator = document.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise FormatError(f"dimension_separator is {separator!r}, which is neither '.' nor '/'")
    return str(separator)


def _metadata(document: Mapping[str, Any], attributes: dict[str, Any]) -> ArrayMetadata:
    absent = [name for name in _NEEDED if name not in document]
    if absent:
        raise FormatError(f"a Zarr v2 array document lacks {', '.join(absent)}; it has {sorted(document)}")
    if document.get("zarr_format", 2) != 2:
        raise FormatError(f"zarr_format is {document['zarr_format']!r} in a Zarr v2 array document")
    shape, chunk_shape = _lengths(document, "shape"), _lengths(document, "chunks")
    if not shape and chunk_shape == (1,):
        chunk_shape = ()  # as some writers have it for scalars
    if len(chunk_shape) == len(shape):  # kerchunk's chunks of a dimension of length 0 are of length 0
        chunk_shape = tuple(chunk or int(not length) for chunk, length in zip(chunk_shape, shape, strict=True))
    stored = _dtype(document["dtype"])
    serializer, codecs = _codecs(document, stored, len(shape))
    dtype: np.dtype[Any] = stored.newbyteorder("=") if stored.kind not in "OV" or stored.names else stored
    if stored.kind == "O":
        dtype = np.dtypes.StringDType() if serializer is not None and serializer.name == "vlen-utf8" else stored
    fill = _fill(document.get("fill_value"), dtype)
    names = attributes.pop(DIMENSIONS, None)
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise FormatError(f"{DIMENSIONS} is {names!r}, which is no list of names")
    if fill is not None and dtype.kind not in "VO":
        attributes[_FILL] = _plain_fill(fill, dtype)
    return ArrayMetadata(
        shape=shape,
        dtype=dtype,
        chunk_shape=chunk_shape,
        byte_order=_byte_order(stored, codecs),
        serializer=serializer,
        codecs=codecs,
        fill_value=fill,
        attributes=attributes,
        dimension_names=None if names is None else tuple(names),
    )


def _lengths(document: Mapping[str, Any], name: str) -> tuple[int, ...]:
    lengths = document[name]
    if not isinstance(lengths, Sequence) or isinstance(lengths, str):
        raise FormatError(f"{name} is {lengths!r}, which is no list of lengths")
    if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MOST_ELEMENTS for n in lengths):
        raise FormatError(f"{name} {lengths!r} has a length that is no whole number of elements")
    return tuple(lengths)


def _dtype(text: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(text if isinstance(text, str) else _fields(text))
    except (TypeError, ValueError, SyntaxError) as error:
        raise FormatError(f"dtype {text!r} is none of numpy's") from error
    if dtype.names is not None:
        check_struct(dtype)
    elif dtype.subdtype is not None or (dtype.kind not in "OV" and not dtype.itemsize):
        raise UnsupportedError(f"data type {text!r}")
    return dtype


def _fields(fields: Any) -> list[tuple[Any, ...]]:
    if not isinstance(fields, list) or not fields:
        raise TypeError("no list of fields")
    return [(str(name), _dtype(kind), *(tuple(map(int, shape)) for shape in rest)) for name, kind, *rest in fields]


def _byte_order(stored: np.dtype[Any], codecs: Sequence[Codec]) -> str | None:
    """The order of the bytes that the last codec on arrays leaves."""
    for codec in reversed(codecs):
        if codec.name not in ARRAY_TO_ARRAY or codec.name == "transpose":
            continue
        name = codec.name.removeprefix("numcodecs.")
        if name == "packbits":
            return None
        if name in _STORED_AS:
            kind = codec.configuration.get(_STORED_AS[name]) or codec.configuration.get("dtype")
            stored = _dtype(kind)
        break
    fields = leaves(stored) if stored.names is not None else [stored]
    orders = {"big" if field.byteorder == ">" else "little" for field in fields if has_byte_order(field)}
    if len(orders) > 1:
        raise UnsupportedError(f"struct {stored} mixes byte orders, and an array has one here")
    return orders.pop() if orders else None


def _codecs(document: Mapping[str, Any], stored: np.dtype[Any], ndim: int) -> tuple[Codec | None, tuple[Codec, ...]]:
    """The serializer where it is not plain bytes, and the codecs in encoding order."""
    steps = [*(document.get("filters") or ()), document.get("compressor")]
    configurations = [dict(step) for step in steps if step is not None]
    if any(not isinstance(step.get("id"), str) for step in configurations):
        raise FormatError(f"a filter or compressor has no id: {configurations}")
    serializer = None
    if stored.kind == "O":
        first = configurations.pop(0)["id"] if configurations else "no object codec"
        if first not in ("vlen-utf8", "vlen-bytes"):
            raise UnsupportedError(
                f"Python objects encoded by {first!r}: only texts and bytes of 'vlen-utf8' and 'vlen-bytes' are read"
            )
        serializer = Codec(first)
    if odd := [step["id"] for step in configurations if step["id"] in _OBJECT_CODECS]:
        raise UnsupportedError(f"filter {odd[0]!r} on data of type {stored}")
    codecs = [_codec(step, stored) for step in configurations]
    on_arrays = [codec.name in ARRAY_TO_ARRAY for codec in codecs]
    if on_arrays != sorted(on_arrays, reverse=True):
        raise UnsupportedError(f"filters {[step['id'] for step in configurations]}: one on arrays follows one on bytes")
    order = document.get("order", "C")
    if order not in ("C", "F"):
        raise FormatError(f"order is {order!r}, which is neither 'C' nor 'F'")
    if order == "F" and ndim > 1:
        codecs.insert(0, Codec("transpose", {"order": list(range(ndim))[::-1]}))
    return serializer, tuple(codecs)


def _codec(step: dict[str, Any], stored: np.dtype[Any]) -> Codec:
    name, step = step["id"], {word: value for word, value in step.items() if word != "id"}
    if name == "gzip":
        return Codec(name, step)
    if name == "zstd":
        return Codec(name, {"level": 1, "checksum": False, **step})
    if name == "blosc":
        shuffle = step.get("shuffle", 1)
        if shuffle == -1:  # numcodecs: by the size of an element
            shuffle = 2 if stored.itemsize == 1 else 1
        known = {"typesize": max(stored.itemsize, 1), "cname": "lz4", "clevel": 5, "blocksize": 0, **step}
        return Codec(name, {**known, "shuffle": shuffle if isinstance(shuffle, str) else _SHUFFLES[int(shuffle)]})
    if name.startswith(("vz_beam.", "imagecodecs_")):
        return Codec(name, step)
    return Codec(f"numcodecs.{name}", step)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "OT":
        return value if isinstance(value, str) else None  # other writers have a 0 there, which is no text
    return decode_fill(value, dtype)


def _plain_fill(fill: Any, dtype: np.dtype[Any]) -> Any:
    """The fill value as attributes have it: JSON's own numbers, and texts."""
    if dtype.kind in "biufT":
        return fill.item() if isinstance(fill, np.generic) else fill
    if dtype.kind == "c":
        return [fill.real.item(), fill.imag.item()]
    if dtype.kind == "S":
        return bytes(fill).decode("latin-1")
    return encode_fill(fill, dtype)
