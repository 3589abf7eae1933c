"""Images that are compressed in tiles: a binary table with a row, and a place in its heap, for each tile.

Source: FITS standard 4.0, section 10.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.fits import FITS_TILE, fits_tile_codecs
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.parsers.fits.headers import HDU
from vz_beam.parsers.fits.pixels import STORED, scaling
from vz_beam.parsers.fits.tables import field_form, field_nbytes
from vz_beam.storage.byte_source import ByteSource

_KNOWN = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS")
_SELF_TOLD = ("GZIP_1", "GZIP_2", "NOCOMPRESS")
"""Algorithms whose streams say how many pixels they hold, so that tiles at an edge may be smaller."""
_MOST_TILES = 2**26
_OWN = ("BSCALE", "BZERO", "BLANK", "ZBLANK")
_OWN_STARTS = ("ZIMAGE", "ZCMPTYPE", "ZBITPIX", "ZNAXIS", "ZTILE", "ZNAME", "ZVAL", "ZQUANTIZ", "ZDITHER")


def tiled_image(hdu: HDU, source: ByteSource, names: Callable[[Sequence[int]], tuple[str, ...]]) -> ManifestArray:
    """The image of a table of tiles.

    Raises:
        UnsupportedError: tiles that are scaled each in its own way, or that cannot be told apart.
        FormatError: a header or table that is damaged.
    """
    header = hdu.header
    fits_tile_codecs()
    compression = str(header.get("ZCMPTYPE", "")).strip()
    if compression not in _KNOWN:
        raise UnsupportedError(f"its tiles are compressed by {compression!r}")
    compression = "RICE_1" if compression == "RICE_ONE" else compression
    bits, count = header.get("ZBITPIX"), header.get("ZNAXIS")
    if bits not in STORED or not isinstance(count, int) or not 0 < count <= 99:
        raise FormatError(f"ZBITPIX is {bits!r} and ZNAXIS {count!r}")
    shape = tuple(_length(header, f"ZNAXIS{axis}") for axis in range(count, 0, -1))
    tile = tuple(
        min(length, _length(header, f"ZTILE{axis}", length if axis == 1 else 1))
        for axis, length in zip(range(count, 0, -1), shape, strict=True)
    )
    if not math.prod(shape):
        raise UnsupportedError("it has no pixels")
    stored = np.dtype(STORED[bits])
    columns = _columns(header)
    if stored.kind == "f" and compression not in _SELF_TOLD:
        raise UnsupportedError("its numbers are rounded with a scale of its own for each tile (ZSCALE)")
    if "ZSCALE" in columns or "ZZERO" in columns:
        raise UnsupportedError("its tiles have scales of their own (ZSCALE, ZZERO)")
    tiles = [-(-length // part) for length, part in zip(shape, tile, strict=True)]
    number = math.prod(tiles)
    uneven = [axis for axis, (length, part) in enumerate(zip(shape, tile, strict=True)) if length % part]
    if uneven and (compression not in _SELF_TOLD or uneven != [0]):
        raise UnsupportedError(f"its tiles of {tile} do not fit into {shape}, and those at the edge are not told apart")
    if number > _MOST_TILES or number > hdu.naxis[1]:
        raise FormatError(f"it should have {number:,} tiles, and its table has {hdu.naxis[1]:,} rows")
    lengths, offsets = _places(hdu, source, columns, number)
    dtype, codecs = _values(header, stored)
    tile_codec = Codec(
        FITS_TILE,
        {
            "compression": compression,
            "shape": list(tile),
            "stored": stored.str,
            "options": _options(header, stored),
        },
    )
    metadata = ArrayMetadata(
        shape=shape,
        dtype=dtype,
        chunk_shape=tile,
        byte_order=("little" if codecs else "big") if dtype.itemsize > 1 else None,
        codecs=(*codecs, tile_codec),
        attributes={k: v for k, v in hdu.attributes().items() if k not in _OWN and not k.startswith(_OWN_STARTS)},
        dimension_names=names(shape),
    )
    grid_shape = metadata.chunk_grid.grid_shape
    ids = np.where(lengths > 0, 0, MISSING).astype(np.int32).reshape(grid_shape)
    places = (offsets.reshape(grid_shape), lengths.reshape(grid_shape))
    return ManifestArray(metadata, ChunkManifest.from_columns((source.url,), ids, *places))


def _length(header: Any, key: str, otherwise: int | None = None) -> int:
    value = header.get(key, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**48:
        raise FormatError(f"{key} is {value!r}")
    return value if otherwise is None else max(1, value)


def _columns(header: Any) -> dict[str, tuple[int, int, str]]:
    """(number, start in a row, form) of each column by its name."""
    found, start = {}, 0
    for number in range(1, int(header.get("TFIELDS", 0)) + 1):
        _, kind = field_form(header, number)
        found[str(header.get(f"TTYPE{number}", "")).strip()] = (number, start, kind)
        start += field_nbytes(header, number)
    return found


def _places(
    hdu: HDU, source: ByteSource, columns: dict[str, tuple[int, int, str]], tiles: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Lengths and offsets of the compressed tiles, bytes; the table is read, which is metadata."""
    if "COMPRESSED_DATA" not in columns:
        raise FormatError("its table has no column COMPRESSED_DATA")
    row_nbytes, rows = hdu.naxis[:2]
    table = np.frombuffer(source.read(hdu.start, hdu.start + row_nbytes * rows), np.uint8).reshape(rows, row_nbytes)
    lengths, offsets = _descriptors(table, columns["COMPRESSED_DATA"])
    for other in ("GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA"):
        if other in columns and _descriptors(table, columns[other])[0][:tiles].any():
            raise UnsupportedError(f"some of its tiles are compressed in another way (column {other})")
    heap = hdu.header.get("THEAP", row_nbytes * rows)
    if not isinstance(heap, int) or heap < row_nbytes * rows:
        raise FormatError(f"THEAP is {heap!r}")
    kind = str(hdu.header.get(f"TFORM{columns['COMPRESSED_DATA'][0]}", ""))
    size = {"B": 1, "I": 2, "J": 4}.get(kind.partition("(")[0].strip()[-1:], 1)
    lengths, offsets = lengths[:tiles] * np.uint64(size), offsets[:tiles] + np.uint64(hdu.start + heap)
    if ((offsets + lengths) > hdu.start + hdu.nbytes).any():
        raise FormatError("one of its tiles lies beyond its heap")
    return lengths, offsets


def _descriptors(
    table: NDArray[np.uint8], column: tuple[int, int, str]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    _, start, kind = column
    stored = {"P": ">u4", "Q": ">u8"}.get(kind)
    if stored is None:
        raise FormatError(f"a column of compressed tiles has the form {kind!r}")
    size = np.dtype(stored).itemsize
    pairs = np.ascontiguousarray(table[:, start : start + 2 * size]).view(stored).astype(np.uint64)
    return pairs[:, 0], pairs[:, 1]


def _values(header: Any, stored: np.dtype[Any]) -> tuple[np.dtype[Any], tuple[Codec, ...]]:
    """As of an image that is not compressed; ``ZBLANK`` or ``BLANK`` stand for no value."""
    known = {key: header[key] for key in ("BSCALE", "BZERO") if key in header}
    blank = header.get("ZBLANK", header.get("BLANK"))
    if blank is not None:
        known["BLANK"] = blank
    return scaling(known, stored)


def _options(header: Any, stored: np.dtype[Any]) -> dict[str, Any]:
    said = {}
    for number in range(1, 20):
        name = header.get(f"ZNAME{number}")
        if isinstance(name, str):
            said[name.strip().upper()] = header.get(f"ZVAL{number}")
    options: dict[str, Any] = {"blocksize": 32, "bytepix": 4, "scale": 0, "smooth": False}
    for key, name in (("blocksize", "BLOCKSIZE"), ("bytepix", "BYTEPIX"), ("scale", "SCALE")):
        if isinstance(said.get(name), (int, float)):
            options[key] = int(said[name])
    options["smooth"] = bool(said.get("SMOOTH", 0))
    return options
