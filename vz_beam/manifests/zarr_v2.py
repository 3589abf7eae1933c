"""Zarr v2 metadata documents of arrays, as Kerchunk references need them.

Source: Zarr v2 specification; how xarray and zarr read ``fill_value`` was measured (xarray 2026.9, zarr 3.1.6):
xarray takes it as ``_FillValue`` and masks it, so the storage fill may not stand there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vz_beam.errors import UnsupportedError, UnsupportedGridError
from vz_beam.manifests.axis_order import is_fortran_order, without_transpose
from vz_beam.manifests.cf_fill import cf_fill, shown_fill
from vz_beam.manifests.fill_value import encode_fill
from vz_beam.manifests.metadata import ArrayMetadata, Codec, plain_value
from vz_beam.manifests.zarr_v3 import check_struct, leaves

_SAME_IN_NUMCODECS = frozenset(["gzip", "zstd", "bz2", "zlib", "lz4", "lzma", "shuffle", "fletcher32"])
"""Codecs whose v3 configuration is numcodecs' own."""
_VLEN = frozenset(["vlen-utf8", "vlen-bytes"])
_BLOSC_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_WAY_OUT = (
    "Way out: drop the variable (drop_variables=[...]), load it instead (loadable_variables=[...]), or write to a "
    "Zarr v3 store, such as Icechunk (ds.vz.to_icechunk)"
)


def to_v2(metadata: ArrayMetadata, path: str = "") -> dict[str, Any]:
    """The ``.zarray`` document of the array at ``path``: all codecs in ``filters``, in encoding order.

    ``fill_value`` is the CF fill (:func:`vz_beam.manifests.cf_fill.cf_fill`), or ``None``; the storage fill is never
    named.

    A ``transpose`` of the whole order is said by ``"order": "F"``.

    Raises:
        UnsupportedError: what v2 cannot say: sharding, ``crc32c``, other transposes, types without a v2 name, chunks
            that are not all of one shape.
    """
    if metadata.uneven_chunks:
        raise UnsupportedGridError(
            f"array {path!r} cannot be said in Zarr v2: it has chunks of {metadata.chunk_grid.shown} elements, a "
            "rectilinear grid, which only Zarr v3 knows. Way out: write an Icechunk (.icechunk) or Zarr store (.zarr), "
            "or write the chunks anew that do not fit a regular grid (mismatch='rewrite')"
        )
    try:
        fortran = is_fortran_order(metadata)
        filters = array_filters(replace(metadata, codecs=without_transpose(metadata)) if fortran else metadata)
        dtype = _dtype_text(metadata)
    except UnsupportedError as error:
        raise UnsupportedError(f"array {path!r} cannot be said in Zarr v2: {error}. {_WAY_OUT}") from error
    return {
        "zarr_format": 2,
        "shape": list(metadata.shape),
        "chunks": list(metadata.chunk_shape),
        "dtype": dtype,
        "compressor": None,
        "filters": filters or None,
        "fill_value": encode_fill(cf_fill(metadata), metadata.dtype),
        "order": "F" if fortran else "C",
        "dimension_separator": ".",
    }


def attributes_v2(metadata: ArrayMetadata) -> dict[str, Any]:
    """The ``.zattrs`` document of an array: its attributes and ``_ARRAY_DIMENSIONS``.

    Numbers stay numbers. NaN and infinity are written as the bare words that ``json`` of Python reads
    and writes: as texts they would reach the user as texts (measured with xarray 2026.9).
    """
    names = metadata.dimension_names
    if names is None:
        # Phony names hold the length, since one dimension of a dataset has one length.
        names = tuple(f"phony_dim_{axis}_{length}" for axis, length in enumerate(metadata.shape))
    plain = {name: plain_value(value) for name, value in metadata.attributes.items()}
    return {**plain, "_ARRAY_DIMENSIONS": list(names)}


def shows_storage_fill(metadata: ArrayMetadata) -> bool:
    """Whether a missing chunk reads as the storage fill; true where the storage fill is undefined."""
    stored, shown = metadata.fill_value, shown_fill(metadata)
    if stored is None:
        return True
    if metadata.dtype.kind in "OT":
        return str(stored) == str(shown)
    if metadata.dtype.names is not None and any(field.kind in "SU" for field in leaves(metadata.dtype)):
        return False  # zarr 3.1 shows the text "0" in fields of text (measured)
    if metadata.dtype.kind in "SUb":
        return bool(np.array(stored, metadata.dtype) == np.array(shown, metadata.dtype))
    same = np.array(stored, metadata.dtype), np.array(shown, metadata.dtype)
    if same[0].tobytes() == same[1].tobytes():
        return True
    return metadata.dtype.kind != "V" and bool(np.array_equal(*same, equal_nan=metadata.dtype.kind in "fcMm"))


def stored_dtype(metadata: ArrayMetadata) -> np.dtype[Any]:
    """The dtype of the stored elements, byte order included."""
    if metadata.byte_order is None or metadata.dtype.kind in "OT":
        return metadata.dtype
    return metadata.dtype.newbyteorder("<" if metadata.byte_order == "little" else ">")


def array_filters(metadata: ArrayMetadata) -> list[dict[str, Any]]:
    """All codecs of the array in the words of numcodecs, in encoding order."""
    steps = [_filter(codec) for codec in metadata.codecs]
    serializer = metadata.serializer
    if serializer is None:
        if metadata.dtype.kind in "OT":
            raise UnsupportedError(f"data type {metadata.dtype} without a serializer such as 'vlen-utf8'")
        return steps
    if serializer.name in _VLEN:
        return [{"id": serializer.name}, *steps]
    return [_filter(serializer), *steps]


def _filter(codec: Codec) -> dict[str, Any]:
    name, configuration = codec.name, dict(codec.configuration)
    if name in _SAME_IN_NUMCODECS or name.startswith(("vz_beam.", "imagecodecs_")):
        return {"id": name, **configuration}
    if name.startswith("numcodecs."):
        return {"id": name.removeprefix("numcodecs."), **configuration}
    if name == "blosc":
        configuration.pop("typesize", None)
        shuffle = configuration.get("shuffle", 1)
        configuration["shuffle"] = _BLOSC_SHUFFLES.get(shuffle, shuffle)
        return {"id": "blosc", **configuration}
    raise UnsupportedError(f"codec {name!r} has no counterpart among the filters of Zarr v2")


def _dtype_text(metadata: ArrayMetadata) -> Any:
    if metadata.dtype.kind in "OT":
        return "|O"
    return _struct_text(stored_dtype(metadata))


def _struct_text(dtype: np.dtype[Any]) -> Any:
    if dtype.names is None:
        if dtype.subdtype is not None or (dtype.kind in "fc" and dtype.itemsize not in (2, 4, 8, 16)):
            raise UnsupportedError(f"data type {dtype}")
        return dtype.str
    check_struct(dtype)
    if any(dtype[name].names is not None for name in dtype.names):
        raise UnsupportedError(f"struct {dtype} within a struct, which zarr 3.1 does not read from Zarr v2")
    return [[name, _struct_text(dtype[name])] for name in dtype.names]
