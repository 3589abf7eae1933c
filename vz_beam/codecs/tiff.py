"""Strips and tiles of TIFF files, whatever their compression, predictor and number of bits; decoded by tifffile.

Source: TIFF 6.0; https://github.com/cgohlke/tifffile. The codec's configuration is the tags of the image, written as a
small TIFF file without pixels: what tifffile needs to decode a strip.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import io
import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.decoder_v2 import DecoderV2
from vz_beam.errors import FormatError, InputError

TIFF_ID = "vz_beam.tiff"
"""The codec's name in Zarr v2 and v3."""
PAGES = 64
"""Images of which what tifffile knows is kept, as an array is read chunk by chunk."""
TIFF_ERRORS = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
    AssertionError,
    OSError,
    struct.error,
)
"""What tifffile and imagecodecs raise of damage; errors of imagecodecs are RuntimeErrors."""


def tiff_library() -> Any:
    """The module tifffile.

    Raises:
        InputError: it is not installed, or imagecodecs is not.
    """
    try:
        importlib.import_module("imagecodecs")
        return importlib.import_module("tifffile")
    except ImportError as error:
        raise InputError(f"TIFF needs {error.name}. Way out: pip install 'vz-beam[tiff]'") from error


def decode_tiff(data: bytes, *, header: str, nbytes: int) -> NDArray[np.uint8]:
    """The pixels of one strip or tile, uint8[nbytes], little-endian; a short last strip is padded with zeros.

    Args:
        data: the encoded strip or tile.
        header: the tags of the image, a TIFF file in base64.
        nbytes: size of a whole chunk.

    Raises:
        FormatError: it cannot be decoded.
    """
    page = _page(header)
    try:
        segment = _segment(page, data)
    except TIFF_ERRORS as error:
        raise FormatError(
            f"a strip or tile of {len(data):,} bytes cannot be decoded ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    values = np.ascontiguousarray(segment, segment.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    if values.nbytes > nbytes:
        raise FormatError(f"a strip or tile decodes to {values.nbytes:,} bytes, and a chunk has {nbytes:,}")
    if values.nbytes < nbytes:
        values = np.concatenate([values, np.zeros(nbytes - values.nbytes, np.uint8)])
    return values


def _segment(page: Any, data: bytes) -> NDArray[Any]:
    """The decoded array: the first strip of the image, else its last one, which is shorter."""
    tables = page.jpegtables
    first: Exception | None = None
    for index in range(len(page.dataoffsets)):
        try:
            segment = page.decode(data, index, jpegtables=tables, _fullsize=page.is_tiled)[0]
        except TIFF_ERRORS as error:
            first = first or error
            continue
        if segment is not None:
            found: NDArray[Any] = segment
            return found
    raise first or FormatError("it holds nothing")


@lru_cache(maxsize=PAGES)
def _page(header: str) -> Any:
    try:
        data = base64.b64decode(header, validate=True)
        with tiff_library().TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            _ = page.decode  # made once, before threads ask for it
            return page
    except (binascii.Error, *TIFF_ERRORS) as error:
        raise FormatError(f"the codec {TIFF_ID!r} has a header that is no TIFF file: {error}") from error


class TiffV2(DecoderV2):
    """The codec for Zarr v2 and Kerchunk; its configuration is that of :func:`decode_tiff`."""

    codec_id = TIFF_ID
    decoder = staticmethod(decode_tiff)
