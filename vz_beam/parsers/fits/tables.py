"""The columns of tables: rows lie side by side, so that a column is a part of the bytes of whole rows.

Source: FITS standard 4.0, sections 7.2 (tables in text) and 7.3 (binary tables).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vz_beam.codecs.fits import FITS_COLUMN, FITS_VALUES
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.parsers.fits.headers import HDU
from vz_beam.parsers.fits.pixels import unsigned_integers

_BINARY = re.compile(r"^\s*(\d*)\s*([LXBIJKAEDCMPQ])")
_TEXT = re.compile(r"^\s*([AIFED])(\d+)(?:\.\d+)?")
_STORED = {"B": ">u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"}
_DESCRIPTORS = {"P": 8, "Q": 16}
CHUNK_BYTES = 2**22
"""Rows of a table are read in chunks of at most 4 MiB, of which one column takes its part."""
_MOST_FIELDS = 999


def table_columns(hdu: HDU, url: str) -> Iterator[tuple[str, ManifestArray | str]]:
    """Name and array of each column, or why it is none.

    Raises:
        FormatError: a header that is damaged.
    """
    header = hdu.header
    row_nbytes, rows = (*hdu.naxis, 0, 0)[:2]
    fields = header.get("TFIELDS", 0)
    if not isinstance(fields, int) or not 0 <= fields <= _MOST_FIELDS:
        raise FormatError(f"TFIELDS is {fields!r}")
    start, taken = 0, set()
    for number in range(1, fields + 1):
        name = str(header.get(f"TTYPE{number}", "") or f"col{number}").strip().replace("/", "_") or f"col{number}"
        while name in taken:
            name += "_2"
        taken.add(name)
        try:
            if hdu.kind == "TABLE":
                start, nbytes, column = _text_column(header, number)
            else:
                nbytes, column = _binary_column(header, number)
            if start + nbytes > row_nbytes:
                raise FormatError(f"its field ends at byte {start + nbytes:,} of rows of {row_nbytes:,} bytes")
            yield name, _column(hdu, url, column, row_nbytes, rows, start, nbytes)
        except UnsupportedError as error:
            nbytes = field_nbytes(header, number)
            yield name, str(error)
        start += nbytes


@dataclass(frozen=True, slots=True)
class _Column:
    """What a column is: shape in each row, type, codecs of its values, attributes."""

    inner: tuple[int, ...]
    dtype: np.dtype[Any]
    codecs: tuple[Codec, ...]
    attributes: dict[str, Any]


def field_form(header: Any, number: int) -> tuple[int, str]:
    """Repeat count and letter of a field of a binary table."""
    match = _BINARY.match(str(header.get(f"TFORM{number}", "")))
    if match is None:
        raise FormatError(f"TFORM{number} is {header.get(f'TFORM{number}')!r}")
    return int(match[1] or 1), match[2]


def field_nbytes(header: Any, number: int) -> int:
    """Bytes that a field takes in each row of a binary table."""
    repeat, kind = field_form(header, number)
    if kind in _DESCRIPTORS:
        return repeat * _DESCRIPTORS[kind]
    if kind == "X":
        return -(-repeat // 8)
    return repeat * (1 if kind in "LA" else np.dtype(_STORED[kind]).itemsize)


def _binary_column(header: Any, number: int) -> tuple[int, _Column]:
    repeat, kind = field_form(header, number)
    nbytes = field_nbytes(header, number)
    attributes = _attributes(header, number)
    if kind in _DESCRIPTORS:
        raise UnsupportedError(f"its values have a length of their own in each row (TFORM {kind})")
    inner: tuple[int, ...] = () if repeat == 1 else (repeat,)
    if kind == "A":
        inner, width = _texts(header, number, repeat)
        dtype = np.dtype(f"S{max(1, width)}")
        words = {"kind": "text", "stored": "", "dtype": dtype.str, "width": max(1, width)}
        return nbytes, _Column(inner, dtype, (Codec(FITS_VALUES, words),) if width else (), attributes)
    if kind == "L":
        words = {"kind": "logical", "stored": "|u1", "dtype": "|b1"}
        return nbytes, _Column(_dims(header, number, inner), np.dtype("?"), (Codec(FITS_VALUES, words),), attributes)
    if kind == "X":
        words = {"kind": "bits", "stored": "|u1", "dtype": "|b1", "width": repeat}
        return nbytes, _Column((repeat,), np.dtype("?"), (Codec(FITS_VALUES, words),), attributes)
    stored = np.dtype(_STORED[kind])
    dtype, codecs = _scaled(header, number, stored)
    null = header.get(f"TNULL{number}")
    if isinstance(null, int) and dtype.kind in "iu" and not codecs:
        attributes["_FillValue"] = null
    return nbytes, _Column(_dims(header, number, inner), dtype, codecs, attributes)


def _scaled(header: Any, number: int, stored: np.dtype[Any]) -> tuple[np.dtype[Any], tuple[Codec, ...]]:
    scale, zero = header.get(f"TSCAL{number}", 1), header.get(f"TZERO{number}", 0)
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in (scale, zero)):
        raise FormatError(f"TSCAL{number} is {scale!r} and TZERO{number} {zero!r}")
    if scale == 1 and zero == 0:
        return stored.newbyteorder("="), ()
    if (unsigned := unsigned_integers(stored, scale, zero)) is not None:
        return unsigned
    if stored.kind == "c":
        raise UnsupportedError("its complex values are scaled")
    dtype = np.dtype("f8")
    words = {"kind": "scaled", "stored": stored.str, "dtype": dtype.str, "scale": float(scale), "zero": float(zero)}
    return dtype, (Codec(FITS_VALUES, words),)


def _texts(header: Any, number: int, repeat: int) -> tuple[tuple[int, ...], int]:
    """Inner shape, and bytes of one text: the first of TDIM is the length of texts."""
    dims = _tdim(header, number)
    if len(dims) > 1 and math.prod(dims) == repeat:
        return tuple(reversed(dims[1:])), dims[0]
    return (), repeat


def _dims(header: Any, number: int, inner: tuple[int, ...]) -> tuple[int, ...]:
    dims = _tdim(header, number)
    return tuple(reversed(dims)) if dims and math.prod(dims) == math.prod(inner) else inner


def _tdim(header: Any, number: int) -> tuple[int, ...]:
    words = re.findall(r"\d+", str(header.get(f"TDIM{number}", "")))
    return tuple(map(int, words))


def _text_column(header: Any, number: int) -> tuple[int, int, _Column]:
    """Start, width and column of a table in text."""
    match = _TEXT.match(str(header.get(f"TFORM{number}", "")))
    begin = header.get(f"TBCOL{number}")
    if match is None or not isinstance(begin, int) or begin < 1:
        raise FormatError(f"TFORM{number} is {header.get(f'TFORM{number}')!r} and TBCOL{number} {begin!r}")
    kind, width = match[1], int(match[2])
    attributes = _attributes(header, number)
    null = header.get(f"TNULL{number}")
    if kind == "A":
        dtype = np.dtype(f"S{width}")
        words: dict[str, Any] = {"kind": "text", "stored": "", "dtype": dtype.str, "width": width}
    else:
        dtype = np.dtype("f8" if kind != "I" else "i2" if width < 5 else "i4" if width < 10 else "i8")
        words = {"kind": "number", "stored": "", "dtype": dtype.str, "width": width, "null": None}
        if null is not None:
            words["null"] = str(null)
    return begin - 1, width, _Column((), dtype, (Codec(FITS_VALUES, words),), attributes)


def _attributes(header: Any, number: int) -> dict[str, Any]:
    found = {}
    for word, name in (("TUNIT", "units"), ("TDISP", "display"), ("TCOMM", "comment"), ("TUCD", "ucd")):
        value = header.get(f"{word}{number}")
        if isinstance(value, str) and value.strip():
            found[name] = value.strip()
    return found


def _column(hdu: HDU, url: str, column: _Column, row_nbytes: int, rows: int, start: int, nbytes: int) -> ManifestArray:
    shape = (rows, *column.inner)
    is_whole = row_nbytes == nbytes or rows == 1  # then the column's own bytes follow each other
    per_row = nbytes if is_whole else row_nbytes
    step = _rows_in_chunk(rows, per_row)
    codecs = column.codecs
    if not is_whole:
        codecs = (*codecs, Codec(FITS_COLUMN, {"row_nbytes": row_nbytes, "start": start, "nbytes": nbytes}))
    big = not column.codecs and column.dtype.itemsize > 1 and column.dtype.kind not in "S"
    metadata = ArrayMetadata(
        shape=shape,
        dtype=column.dtype,
        chunk_shape=(step, *(max(1, length) for length in column.inner)),
        byte_order=None if column.dtype.itemsize == 1 or column.dtype.kind == "S" else "big" if big else "little",
        codecs=codecs,
        attributes=column.attributes,
        dimension_names=("row", *(f"field_{start}_axis_{axis}" for axis in range(len(column.inner)))),
    )
    grid = metadata.chunk_grid
    if not math.prod(shape) or not nbytes:
        return ManifestArray(metadata, ChunkManifest.empty(grid.grid_shape))
    begin = hdu.start + (start if is_whole and rows == 1 else 0)
    offsets = np.uint64(begin) + np.arange(grid.size, dtype=np.uint64) * np.uint64(step * per_row)
    ids = np.zeros(grid.grid_shape, np.int32)
    lengths = np.full(grid.grid_shape, step * per_row, np.uint64)
    return ManifestArray(metadata, ChunkManifest.from_columns((url,), ids, offsets.reshape(grid.grid_shape), lengths))


def _rows_in_chunk(rows: int, row_nbytes: int) -> int:
    """A number that divides the rows, so that no chunk is short: behind the last row are other bytes."""
    if rows * row_nbytes <= CHUNK_BYTES:
        return max(1, rows)
    most = max(1, CHUNK_BYTES // max(1, row_nbytes))
    best = next(part for part in range(min(most, rows), 0, -1) if rows % part == 0)
    return best if best * row_nbytes * 64 >= CHUNK_BYTES or rows * row_nbytes > 2**28 else rows
