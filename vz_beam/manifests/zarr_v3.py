"""Zarr v3 metadata documents of arrays and groups, from and to :class:`ArrayMetadata`.

Source: Zarr v3 core specification, "Array metadata"; data type names as zarr 3.1 writes them.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, ManifestError, ManifestTypeError, UnsupportedError, UnsupportedGridError
from vz_beam.manifests.cf_fill import integer_fill, shown_fill
from vz_beam.manifests.chunk_grid import UnevenChunks
from vz_beam.manifests.fill_value import decode_fill, encode_fill
from vz_beam.manifests.metadata import ArrayMetadata, Attributes, Codec, plain_value

ARRAY_TO_ARRAY = frozenset(
    ["transpose", "bitround", "scale_offset", "cast_value"]
    + [f"numcodecs.{name}" for name in ("astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize")]
)
"""Codecs that act before the array becomes bytes. They stand first in ``ArrayMetadata.codecs``."""

_PLAIN_KINDS = "biufc"
_NUMPY_TIME = {"M": "numpy.datetime64", "m": "numpy.timedelta64"}


def to_v3(metadata: ArrayMetadata) -> dict[str, Any]:
    """The ``zarr.json`` document of an array.

    An undefined fill value becomes the CF fill, else the type's default, since v3 must name one. The attribute
    ``_FillValue`` is written as xarray's Zarr backend reads it from v3: floats and complex numbers in base64, integers
    in the array's type, and left out for types of which xarray 2026.9 refuses to read one.

    Raises:
        UnsupportedError: a data type that v3 has no name for.
    """
    dtype = metadata.dtype
    before = [codec.to_json() for codec in metadata.codecs if codec.name in ARRAY_TO_ARRAY]
    after = [codec.to_json() for codec in metadata.codecs if codec.name not in ARRAY_TO_ARRAY]
    fill = shown_fill(metadata) if metadata.fill_value is None else metadata.fill_value
    document: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(metadata.shape),
        "data_type": _data_type(dtype, metadata),
        "chunk_grid": _grid_document(metadata),
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": encode_fill(fill, dtype),
        "codecs": [*before, _serializer(metadata), *after],
        "attributes": _attributes_to_v3(metadata.attributes, dtype),
    }
    if metadata.dimension_names is not None:
        document["dimension_names"] = list(metadata.dimension_names)
    return document


def group_v3(attributes: Attributes) -> dict[str, Any]:
    """The ``zarr.json`` document of a group."""
    plain = {name: plain_value(value) for name, value in attributes.items()}
    return {"zarr_format": 3, "node_type": "group", "attributes": plain}


def from_v3(document: Mapping[str, Any] | Any) -> ArrayMetadata:
    """What a ``zarr.json`` document of an array says; zarr's own ``ArrayV3Metadata`` is taken as well.

    Raises:
        UnsupportedError: data types, chunk grids or storage transformers that are not known.
        FormatError: a document without what every array has.
        ManifestTypeError: something else than a document.
    """
    if not isinstance(document, Mapping):
        if not hasattr(document, "to_dict"):
            raise ManifestTypeError(
                f"the metadata of an array is an ArrayMetadata, zarr's ArrayV3Metadata or a dict, not a "
                f"{type(document).__name__}"
            )
        document = document.to_dict()
    absent = [name for name in ("shape", "data_type", "chunk_grid", "codecs") if name not in document]
    if absent:
        raise FormatError(f"a Zarr v3 array document lacks {', '.join(absent)}; it has {sorted(document)}")
    if document.get("storage_transformers"):
        raise UnsupportedError(f"storage transformers {document['storage_transformers']} are not known")
    dtype = _numpy_dtype(document["data_type"])
    before, serializer, after = _split(document["codecs"])
    order = serializer.configuration.get("endian") if serializer.name == "bytes" else None
    shape = tuple(document["shape"])
    chunk_shape, uneven = _chunks(document["chunk_grid"], shape)
    names = document.get("dimension_names")
    if names is not None and any(name is None for name in names):
        all_unnamed = all(name is None for name in names)
        names = None if all_unnamed else [f"dim_{i}" if name is None else name for i, name in enumerate(names)]
    return ArrayMetadata(
        shape=shape,
        dtype=dtype,
        chunk_shape=chunk_shape,
        byte_order=getattr(order, "value", order),
        serializer=None if serializer.name == "bytes" else serializer,
        codecs=(*before, *after),
        fill_value=decode_fill(document.get("fill_value"), dtype),
        attributes=_attributes_from_v3(document.get("attributes") or {}, dtype),
        dimension_names=None if names is None else tuple(names),
        uneven_chunks=uneven,
    )


def has_byte_order(dtype: np.dtype[Any]) -> bool:
    """Whether ``endian`` means something for elements of ``dtype``: not for bytes, texts of bytes, or structs."""
    return dtype.kind in "iufcUMm" and dtype.itemsize > 1


def _grid_document(metadata: ArrayMetadata) -> dict[str, Any]:
    """The ``chunk_grid`` of a document.

    Source: https://github.com/zarr-developers/zarr-extensions/tree/main/chunk-grids/rectilinear. Axes with chunks of
    one length are written as runs too, since Icechunk 2.3 refuses the number that may stand for them.
    """
    if not metadata.uneven_chunks:
        return {"name": "regular", "configuration": {"chunk_shape": list(metadata.chunk_shape)}}
    runs = [
        metadata.uneven_chunks[axis].runs() if axis in metadata.uneven_chunks else [[length, max(count, 1)]]
        for axis, (length, count) in enumerate(zip(metadata.chunk_shape, metadata.chunk_grid.grid_shape, strict=True))
    ]
    return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": runs}}


def _chunks(grid: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[tuple[int, ...], dict[int, UnevenChunks]]:
    """The chunk shape of a document's grid, and the lengths along the axes where chunks are not of one length."""
    words = grid.get("configuration") or {}
    if grid.get("name") == "regular":
        return tuple(words["chunk_shape"]), {}
    if grid.get("name") != "rectilinear" or words.get("kind") != "inline":
        raise UnsupportedGridError(
            f"chunk grid {grid.get('name')!r} {words.get('kind', '')}: only 'regular' and 'rectilinear' (inline) ones "
            "can be referenced"
        )
    axes = words.get("chunk_shapes")
    if not isinstance(axes, (list, tuple)) or len(axes) != len(shape):
        raise FormatError(f"a rectilinear chunk grid says {str(axes)[:200]}, and the array has {len(shape)} axes")
    chunk_shape, uneven = [], {}
    for axis, (runs, length) in enumerate(zip(axes, shape, strict=True)):
        if isinstance(runs, int) or _is_one_run(runs, length):
            chunk_shape.append(runs if isinstance(runs, int) else runs[0][0])
            continue
        try:
            chunks = UnevenChunks.of_runs(runs, length)
        except (ManifestError, TypeError, ValueError) as error:
            raise FormatError(f"the rectilinear chunk grid along axis {axis}: {error}") from error
        if chunks.stop < length:
            raise FormatError(f"chunks along axis {axis} end at {chunks.stop}, and the array at {length}")
        chunk_shape.append(chunks.longest)
        if (chunks.lengths != chunks.longest).any():
            uneven[axis] = chunks
    return tuple(chunk_shape), uneven


def _is_one_run(runs: Any, size: int) -> bool:
    """Whether all chunks along an axis of ``size`` elements are said in one run, which may be of very many."""
    match runs:
        case [[int(length), int(count)]]:
            return length > 0 and length * count >= size
        case _:
            return False


def _serializer(metadata: ArrayMetadata) -> dict[str, Any]:
    if metadata.serializer is not None:
        return metadata.serializer.to_json()
    if not has_byte_order(metadata.dtype):
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": metadata.byte_order or "little"}}


def _split(codecs: Any) -> tuple[list[Codec], Codec, list[Codec]]:
    steps = [_codec(step) for step in codecs]
    count = next((i for i, step in enumerate(steps) if step.name not in ARRAY_TO_ARRAY), len(steps))
    if count == len(steps):
        raise FormatError(f"codecs {[step.name for step in steps]} never make bytes of the array")
    return steps[:count], steps[count], steps[count + 1 :]


def _codec(step: Any) -> Codec:
    if isinstance(step, str):
        return Codec(step)
    if not isinstance(step, Mapping):
        step = step.to_dict()
    return Codec(step["name"], dict(step.get("configuration") or {}))


def _data_type(dtype: np.dtype[Any], metadata: ArrayMetadata) -> Any:
    """The ``data_type`` of the document; ``metadata`` says how objects and structs are stored."""
    if dtype.kind in _PLAIN_KINDS and dtype.itemsize <= 16 and dtype.name != "longdouble":
        return dtype.name
    if dtype.kind in _NUMPY_TIME:
        unit, factor = np.datetime_data(dtype)
        return {"name": _NUMPY_TIME[dtype.kind], "configuration": {"unit": unit, "scale_factor": factor}}
    if dtype.kind == "T":
        return "string"
    if dtype.kind == "O" and metadata.serializer is not None:
        return "variable_length_bytes" if metadata.serializer.name == "vlen-bytes" else "string"
    if dtype.kind in "SU":
        name = "null_terminated_bytes" if dtype.kind == "S" else "fixed_length_utf32"
        return {"name": name, "configuration": {"length_bytes": dtype.itemsize}}
    if dtype.names is not None:
        check_struct(dtype)
        if metadata.byte_order == "big" or any(field.byteorder == ">" for field in leaves(dtype)):
            raise UnsupportedError(f"struct {dtype} in big-endian byte order: Zarr v3 reads structs as little-endian")
        fields = [[name, _data_type(dtype[name], metadata)] for name in dtype.names]
        return {"name": "structured", "configuration": {"fields": fields}}
    if dtype.kind == "V" and dtype.subdtype is None:
        return {"name": "raw_bytes", "configuration": {"length_bytes": dtype.itemsize}}
    raise UnsupportedError(f"data type {dtype} has no name in Zarr v3")


def check_struct(dtype: np.dtype[Any]) -> None:
    """Raise where a struct has what Zarr cannot say: padding between fields, or fields that are arrays."""
    assert dtype.names is not None
    position = 0
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]  # type: ignore[index]
        if field.subdtype is not None:
            raise UnsupportedError(f"struct {dtype}: field {name!r} is an array, which Zarr structs cannot hold")
        if offset != position:
            raise UnsupportedError(f"struct {dtype}: field {name!r} starts at byte {offset}, not {position} (padding)")
        if field.names is not None:
            check_struct(field)
        position += field.itemsize
    if position != dtype.itemsize:
        raise UnsupportedError(f"struct {dtype} has {dtype.itemsize - position} bytes of padding at its end")


def leaves(dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    """The types of all fields of a struct, those of structs within it included."""
    if dtype.names is None:
        return [dtype]
    return [leaf for name in dtype.names for leaf in leaves(dtype[name])]


def _numpy_dtype(data_type: Any) -> np.dtype[Any]:
    if isinstance(data_type, Mapping):
        name, config = data_type["name"], data_type.get("configuration") or {}
    else:
        name, config = str(data_type), {}
    if name in ("string", "variable_length_utf8"):
        return np.dtypes.StringDType()
    if name in ("bytes", "variable_length_bytes"):
        return np.dtype(object)
    if name == "fixed_length_utf32":
        return np.dtype(f"U{config['length_bytes'] // 4}")
    if name in ("null_terminated_bytes", "raw_bytes"):
        return np.dtype(f"{'S' if name[0] == 'n' else 'V'}{config['length_bytes']}")
    if name.startswith("r") and name[1:].isdecimal():
        return np.dtype(f"V{int(name[1:]) // 8}")
    if name in _NUMPY_TIME.values():
        code = "M8" if name == "numpy.datetime64" else "m8"
        return np.dtype(f"{code}[{config.get('scale_factor', 1)}{config['unit']}]")
    if name in ("struct", "structured"):
        return np.dtype([_struct_field(field) for field in config["fields"]])
    try:
        return np.dtype(name)
    except TypeError as error:
        raise UnsupportedError(f"Zarr v3 data type {name!r} is not known") from error


def _struct_field(field: Any) -> tuple[str, np.dtype[Any]]:
    if isinstance(field, Mapping):
        return field["name"], _numpy_dtype(field["data_type"])
    return field[0], _numpy_dtype(field[1])


def _attributes_to_v3(attributes: Attributes, dtype: np.dtype[Any]) -> dict[str, Any]:
    plain = {name: plain_value(value) for name, value in attributes.items()}
    if "_FillValue" in plain:
        fill = plain.pop("_FillValue")
        if isinstance(fill, (list, tuple)) and len(fill) == 1:
            fill = fill[0]
        if dtype.kind in "fc":
            number = complex(decode_fill(fill, np.dtype("c16")))
            texts = [base64.standard_b64encode(struct.pack("<d", part)).decode() for part in (number.real, number.imag)]
            plain["_FillValue"] = texts[0] if dtype.kind == "f" else texts
        elif dtype.kind in "iub":
            bits = integer_fill(fill, dtype) if dtype.kind in "iu" else None
            plain["_FillValue"] = fill if bits is None else int(bits)
    return plain


def _attributes_from_v3(attributes: Attributes, dtype: np.dtype[Any]) -> dict[str, Any]:
    plain = dict(attributes)
    fill = plain.get("_FillValue")
    if dtype.kind == "f" and isinstance(fill, str):
        plain["_FillValue"] = _number(fill)
    elif dtype.kind == "c" and isinstance(fill, (list, tuple)) and all(isinstance(part, str) for part in fill):
        plain["_FillValue"] = [_number(part) for part in fill]
    return plain


def _number(text: str) -> Any:
    """The number in xarray's base64 text, or the text itself where it is none."""
    try:
        return struct.unpack("<d", base64.b64decode(text, validate=True))[0]
    except (binascii.Error, struct.error):
        return text
