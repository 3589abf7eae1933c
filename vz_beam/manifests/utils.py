"""Makers of array metadata under the names that VirtualiZarr's parsers import them by, hence the module's name."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, ManifestError, UnsupportedError
from vz_beam.manifests.fill_value import decode_fill
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.zarr_v3 import ARRAY_TO_ARRAY, check_struct, from_v3, has_byte_order, leaves

_SERIALIZERS = frozenset(["bytes", "vlen-utf8", "vlen-bytes", "sharding_indexed", "numcodecs.pcodec", "numcodecs.zfpy"])
"""Codecs from array to bytes."""
_SAME: Any = "default"


def create_v3_array_metadata(
    shape: Sequence[int] | int,
    data_type: Any,
    chunk_shape: Sequence[int] | int,
    chunk_key_encoding: Mapping[str, Any] | None = None,
    fill_value: Any = None,
    codecs: Iterable[Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
    dimension_names: Iterable[str] | None = None,
) -> ArrayMetadata:
    """The metadata of an array.

    Differs from VirtualiZarr's: the result is an :class:`ArrayMetadata`; ``fill_value=None`` stays "none", and does not
    become 0; a big-endian dtype becomes native at once, its order kept in ``byte_order``.

    Args:
        shape: elements.
        data_type: numpy dtype in stored byte order, or a zarr data type.
        chunk_shape: elements.
        chunk_key_encoding: taken for the sake of callers that name it: keys are made where a store is written.
        fill_value: what missing chunks read as, a scalar or its JSON value.
        codecs: dicts of name and configuration, or zarr codecs, in encoding order; those of one kind keep their order.
        attributes: as the file has them.
        dimension_names: one for each dimension.

    Raises:
        ManifestError: a fill value that the type does not hold.
        UnsupportedError: structs that Zarr v3 cannot hold, such as those of mixed byte orders.
    """
    native = data_type.to_native_dtype() if hasattr(data_type, "to_native_dtype") else data_type
    stored: np.dtype[Any] = np.dtype(native)
    byte_order = _byte_order(stored)
    dtype = stored.newbyteorder("=") if stored.kind not in "OT" else stored
    steps = [_codec(step) for step in codecs or ()]
    serializers = [step for step in steps if step.name in _SERIALIZERS]
    if len(serializers) > 1:
        raise UnsupportedError(f"codecs {[step.name for step in serializers]} would each make bytes of the array")
    serializer = serializers[0] if serializers else Codec("vlen-utf8") if dtype.kind == "T" else Codec("bytes")
    if serializer.name == "bytes" and "endian" in serializer.configuration:
        byte_order = str(getattr(serializer.configuration["endian"], "value", serializer.configuration["endian"]))
    before = [step for step in steps if step.name in ARRAY_TO_ARRAY]
    after = [step for step in steps if step.name not in ARRAY_TO_ARRAY | _SERIALIZERS]
    return ArrayMetadata(
        shape=_lengths(shape),
        dtype=dtype,
        chunk_shape=_lengths(chunk_shape),
        byte_order=byte_order,
        serializer=None if serializer.name == "bytes" else serializer,
        codecs=(*before, *after),
        fill_value=fill_value if isinstance(fill_value, (np.generic, bytes)) else _fill(fill_value, dtype),
        attributes=dict(attributes or {}),
        dimension_names=None if dimension_names is None else tuple(dimension_names),
    )


def copy_and_replace_metadata(
    old_metadata: Any,
    new_shape: Sequence[int] | None = None,
    new_chunks: Sequence[int] | None = None,
    new_dimension_names: Iterable[str] | None = _SAME,
    new_attributes: Mapping[str, Any] | None = None,
) -> ArrayMetadata:
    """The metadata with some parts replaced; ``new_dimension_names=None`` removes the names."""
    old = old_metadata if isinstance(old_metadata, ArrayMetadata) else from_v3(old_metadata)
    changes: dict[str, Any] = {}
    if new_shape is not None:
        changes["shape"] = tuple(new_shape)
    if new_chunks is not None:
        changes["chunk_shape"] = tuple(new_chunks)
    if new_dimension_names is not _SAME:
        changes["dimension_names"] = None if new_dimension_names is None else tuple(new_dimension_names)
    if new_attributes is not None:
        changes["attributes"] = dict(new_attributes)
    return replace(old, **changes)


def manifest_chunk_shape(metadata: Any) -> tuple[int, ...]:
    """The shape of what one entry of a manifest holds, elements: a chunk, or a shard where the array is sharded."""
    known = metadata if isinstance(metadata, ArrayMetadata) else from_v3(metadata)
    return known.chunk_shape


def ceildiv(a: int, b: int) -> int:
    """The quotient, rounded up.

    >>> ceildiv(7, 2)
    4
    """
    return -(-a // b)


def _byte_order(dtype: np.dtype[Any]) -> str | None:
    if dtype.names is not None:
        check_struct(dtype)
        fields = [field for field in leaves(dtype) if has_byte_order(field)]
        orders = {"big" if field.byteorder == ">" else "little" for field in fields}
        if len(orders) > 1:
            raise UnsupportedError(f"struct {dtype} mixes byte orders, and a Zarr v3 array has one")
        return orders.pop() if orders else None
    if not has_byte_order(dtype):
        return None
    return "big" if dtype.byteorder == ">" else "little"


def _lengths(lengths: Sequence[int] | int) -> tuple[int, ...]:
    return tuple(map(operator.index, lengths if isinstance(lengths, Iterable) else (lengths,)))


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    try:
        return decode_fill(value, dtype)
    except FormatError as error:  # it is an argument here, and no file
        raise ManifestError(str(error)) from error


def _codec(step: Any) -> Codec:
    if isinstance(step, Codec):
        return step
    if isinstance(step, str):
        return Codec(step)
    fields = step if isinstance(step, Mapping) else step.to_dict()
    return Codec(fields["name"], dict(fields.get("configuration") or {}))
