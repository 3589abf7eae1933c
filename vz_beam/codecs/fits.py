"""Values of FITS files that no codec of Zarr gives: scaled ones, columns of tables, compressed tiles.

Source: FITS standard 4.0, sections 4.4.2.5 (BSCALE, BZERO, BLANK), 7 (tables), 10 (compressed data).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.decoder_v2 import DecoderV2
from vz_beam.errors import FormatError, InputError

FITS_VALUES, FITS_COLUMN, FITS_TILE = "vz_beam.fits_values", "vz_beam.fits_column", "vz_beam.fits_tile"
"""The names of the codecs in Zarr v2 and v3."""


def decode_fits_column(data: bytes, *, row_nbytes: int, start: int, nbytes: int) -> NDArray[np.uint8]:
    """The bytes of one column, uint8[rows * nbytes], of whole rows of a table.

    >>> decode_fits_column(b"aabbbccddd", row_nbytes=5, start=2, nbytes=3).tobytes()
    b'bbbddd'
    """
    if len(data) % row_nbytes:
        raise FormatError(f"{len(data):,} bytes are no whole rows of a table, which have {row_nbytes:,}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, row_nbytes)
    return np.ascontiguousarray(rows[:, start : start + nbytes]).reshape(-1)


def decode_fits_values(
    data: bytes,
    *,
    kind: str,
    stored: str,
    dtype: str,
    scale: float = 1.0,
    zero: float = 0.0,
    blank: int | None = None,
    width: int = 0,
    null: str | None = None,
) -> NDArray[np.uint8]:
    """Values in little-endian bytes, uint8[n], as astropy gives them.

    Args:
        data: the values as the file has them.
        kind: ``"unsigned"`` integers with an offset, ``"scaled"`` numbers, ``"logical"`` T and F, ``"bits"``,
            ``"text"`` padded with spaces, or ``"number"`` written as text.
        stored: numpy dtype of the values in the file, big-endian.
        dtype: numpy dtype of the values that are given.
        scale: factor, of scaled values.
        zero: what is added then.
        blank: the integer that stands for no value, which becomes NaN.
        width: of one text or run of bits: bytes of the text, or number of bits.
        null: the text that stands for no number, which becomes 0.
    """
    target = np.dtype(dtype).newbyteorder("<")
    if kind == "bits":
        runs = np.frombuffer(data, np.uint8).reshape(-1, -(-width // 8))
        return np.ascontiguousarray(np.unpackbits(runs, axis=1)[:, :width]).reshape(-1)
    if kind in ("text", "number"):
        texts = np.frombuffer(data, f"S{width}")
        if kind == "text":
            stripped = np.char.rstrip(texts, b" \0").astype(target)
            return np.frombuffer(stripped.tobytes(), np.uint8)
        return _numbers(texts, target, null).view(np.uint8)
    values = np.frombuffer(data, stored)
    if kind == "logical":
        return np.frombuffer((values == ord("T")).astype(target).tobytes(), np.uint8)
    if kind == "unsigned":
        size = values.itemsize  # adding half of the range is turning the first bit, also from unsigned bytes to signed
        turned = np.frombuffer(data, f">u{size}") ^ np.array(1 << (8 * size - 1), f"u{size}")
        return np.frombuffer(turned.astype(f"<u{size}").tobytes(), np.uint8)
    scaled = values.astype(target)
    if scale != 1:
        np.multiply(scaled, scale, scaled)
    if zero != 0:
        scaled += zero
    if blank is not None:
        scaled[values == blank] = np.nan
    return scaled.view(np.uint8)


def _numbers(texts: NDArray[Any], target: np.dtype[Any], null: str | None) -> NDArray[Any]:
    plain: Any = np.char.strip(texts)
    if null is not None:
        plain = np.where(plain == null.strip().encode(), b"0", plain)
    plain = np.where(plain == b"", b"0", plain)
    plain = np.char.replace(np.char.upper(plain), b"D", b"E")
    try:
        return np.ascontiguousarray(plain.astype(target))
    except (ValueError, OverflowError) as error:
        raise FormatError(f"a table in text holds what is no number: {error}") from error


def decode_fits_tile(
    data: bytes,
    *,
    compression: str,
    shape: Sequence[int],
    stored: str,
    options: dict[str, Any],
) -> NDArray[np.uint8]:
    """The pixels of one compressed tile in big-endian bytes, uint8[n]; a smaller tile at an edge is padded with zeros.

    Args:
        data: the compressed tile.
        compression: ``ZCMPTYPE``.
        shape: of a whole tile, elements.
        stored: numpy dtype of the pixels.
        options: what the header says of the algorithm: ``blocksize``, ``bytepix``, ``scale``, ``smooth``.
    """
    codecs = fits_tile_codecs()
    dtype, count = np.dtype(stored), math.prod(shape)
    try:
        pixels = _decompressed(codecs, data, compression, shape, dtype, options)
    except Exception as error:  # compiled code, which has errors of its own
        raise FormatError(f"a tile of {len(data):,} bytes cannot be decoded by {compression}: {error}") from error
    if pixels.size > count:
        raise FormatError(f"a tile decodes to {pixels.size:,} pixels, and should to {count:,}")
    values = np.zeros(count, dtype)
    values[: pixels.size] = pixels.reshape(-1)
    return values.view(np.uint8)


def _decompressed(
    codecs: Any, data: bytes, compression: str, shape: Sequence[int], dtype: np.dtype[Any], options: dict[str, Any]
) -> NDArray[Any]:
    count = math.prod(shape)
    stream = np.frombuffer(data, ">i2" if compression == "PLIO_1" else np.uint8)
    if compression == "RICE_1":
        pixels = codecs.Rice1(blocksize=options["blocksize"], bytepix=options["bytepix"], tilesize=count).decode(stream)
    elif compression == "PLIO_1":
        pixels = codecs.PLIO1(tilesize=count).decode(stream)
    elif compression == "HCOMPRESS_1":
        nx, ny = shape[-2:]
        words = {"scale": options["scale"], "smooth": options["smooth"], "bytepix": options["bytepix"]}
        pixels = codecs.HCompress1(**words, nx=nx, ny=ny).decode(stream)
    else:
        plain = stream if compression == "NOCOMPRESS" else np.frombuffer(codecs.Gzip1().decode(stream), np.uint8)
        if compression == "GZIP_2":  # first the first bytes of all pixels
            plain = np.ascontiguousarray(plain.reshape(dtype.itemsize, -1).T).reshape(-1)
        return np.frombuffer(plain.tobytes(), dtype)
    return np.asarray(pixels).astype(dtype)


def fits_tile_codecs() -> Any:
    """Astropy's algorithms of compressed tiles.

    Raises:
        InputError: astropy is not installed.
    """
    try:
        return importlib.import_module("astropy.io.fits.hdu.compressed._codecs")
    except ImportError as error:
        raise InputError(f"FITS needs {error.name}. Way out: pip install 'vz-beam[fits]'") from error


class FitsValuesV2(DecoderV2):
    """Scaled values and the like, for Zarr v2 and Kerchunk; configured as :func:`decode_fits_values`."""

    codec_id = FITS_VALUES
    decoder = staticmethod(decode_fits_values)


class FitsColumnV2(DecoderV2):
    """A column of a table, for Zarr v2 and Kerchunk; configured as :func:`decode_fits_column`."""

    codec_id = FITS_COLUMN
    decoder = staticmethod(decode_fits_column)


class FitsTileV2(DecoderV2):
    """A compressed tile, for Zarr v2 and Kerchunk; configured as :func:`decode_fits_tile`."""

    codec_id = FITS_TILE
    decoder = staticmethod(decode_fits_tile)
