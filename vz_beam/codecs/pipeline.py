"""One chunk to bytes and back, by numcodecs, as the array's metadata says."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import numcodecs.registry
import numpy as np
from numcodecs.compat import ensure_bytes
from numcodecs.vlen import VLenUTF8
from numpy.typing import NDArray

from vz_beam.codecs.fits import FitsColumnV2, FitsTileV2, FitsValuesV2
from vz_beam.codecs.grib import GribV2
from vz_beam.codecs.hdf4 import Hdf4NbitV2, Hdf4RleV2, Hdf4SkphuffV2
from vz_beam.codecs.hdf5_filter import Hdf5FilterV2
from vz_beam.codecs.inflate import InflateV2
from vz_beam.codecs.lzf import LzfV2
from vz_beam.codecs.tiff import TiffV2
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.axis_order import stored_order, without_transpose
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.zarr_v2 import array_filters, stored_dtype
from vz_beam.manifests.zarr_v3 import ARRAY_TO_ARRAY

for codec in (
    *(FitsColumnV2, FitsTileV2, FitsValuesV2),
    GribV2,
    *(Hdf4NbitV2, Hdf4RleV2, Hdf4SkphuffV2),
    Hdf5FilterV2,
    InflateV2,
    LzfV2,
    TiffV2,
):
    numcodecs.registry.register_codec(codec)  # entry points are there only where the package is installed


def encode_chunk(metadata: ArrayMetadata, array: NDArray[Any]) -> bytes:
    """The bytes of one chunk; a chunk at the edge, smaller than the others, is padded with the fill value.

    Args:
        metadata: of the array.
        array: metadata.dtype[at most chunk_shape].
    """
    order = stored_order(metadata)
    array = _padded(metadata, array).transpose(order)
    metadata = _stored(metadata)
    _check_bytes_only(metadata)
    strings = metadata.serializer is not None
    data: Any
    if strings:
        data = VLenUTF8().encode(np.ascontiguousarray(array.astype(object)))
    else:
        data = np.ascontiguousarray(array, dtype=stored_dtype(metadata)).reshape(-1).view(np.uint8)
    for configuration in array_filters(metadata)[1 if strings else 0 :]:
        data = numcodecs.registry.get_codec(configuration).encode(data)
    return bytes(ensure_bytes(data))


def decode_chunk(metadata: ArrayMetadata, data: bytes) -> NDArray[Any]:
    """The values of one chunk, metadata.dtype[chunk_shape] in native byte order.

    Raises:
        UnsupportedError: codecs that do not act on bytes.
        FormatError: a chunk of texts that has another number of them, or of characters that do not exist.
    """
    order = stored_order(metadata)
    metadata = _stored(metadata)
    _check_bytes_only(metadata)
    strings = metadata.serializer is not None
    decoded: Any = data
    for configuration in reversed(array_filters(metadata)[1 if strings else 0 :]):
        decoded = numcodecs.registry.get_codec(configuration).decode(decoded)
    if strings:
        encoded = ensure_bytes(decoded)
        # The count that stands first is believed by the decoder, which takes memory for so many texts.
        if int.from_bytes(encoded[:4], "little") != math.prod(metadata.chunk_shape):
            raise FormatError(f"a chunk of texts does not hold the {math.prod(metadata.chunk_shape):,} of its shape")
        texts: NDArray[Any] = VLenUTF8().decode(encoded)
        return texts.astype(metadata.dtype).reshape(metadata.chunk_shape).transpose(np.argsort(order))
    values: NDArray[Any] = np.frombuffer(ensure_bytes(decoded), dtype=stored_dtype(metadata))
    if values.dtype.kind == "U" and (values.view(values.dtype.byteorder + "u4") > sys.maxunicode).any():
        raise FormatError("a chunk of texts holds numbers that are no characters")
    # A copy where the order is native too, so that the values can be changed.
    return values.astype(metadata.dtype).reshape(metadata.chunk_shape).transpose(np.argsort(order))


def _stored(metadata: ArrayMetadata) -> ArrayMetadata:
    """The metadata of the array with its axes as the bytes hold them, which needs no ``transpose``."""
    codecs = without_transpose(metadata)
    if codecs == metadata.codecs:
        return metadata
    chunk_shape = tuple(metadata.chunk_shape[axis] for axis in stored_order(metadata))
    return replace(metadata.with_shape(chunk_shape, chunk_shape), codecs=codecs)


def _check_bytes_only(metadata: ArrayMetadata) -> None:
    serializer: Codec | None = metadata.serializer
    if serializer is not None and serializer.name != "vlen-utf8":
        raise UnsupportedError(f"chunks of serializer {serializer.name!r} can be neither decoded nor encoded here")
    names = [codec.name for codec in metadata.codecs if codec.name in ARRAY_TO_ARRAY]
    if names:
        raise UnsupportedError(f"chunks with the codecs {names} can be neither decoded nor encoded here")


def _padded(metadata: ArrayMetadata, array: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(array)
    if array.shape == metadata.chunk_shape:
        return array
    fill = metadata.fill_value
    if metadata.serializer is not None:
        padded: NDArray[Any] = np.full(metadata.chunk_shape, fill or "", dtype=object)
    else:
        empty = np.zeros((), metadata.dtype)
        padded = np.full(metadata.chunk_shape, empty if fill is None else fill, dtype=metadata.dtype)
    padded[tuple(slice(0, length) for length in array.shape)] = array
    return padded
