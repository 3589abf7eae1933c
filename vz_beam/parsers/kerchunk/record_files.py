"""One record file of Kerchunk's Parquet references as columns.

Source: https://fsspec.github.io/kerchunk/spec.html, "Parquet references"; how rows are read, fsspec's
LazyReferenceMapper.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vz_beam.errors import FormatError, IncompleteStoreError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.storage.parquet_tables import table_of

_NEEDED = ("path", "offset", "size")
_RAW = "raw"
_BASE64 = b"base64:"
_EXACT = 2.0**53
"""Whole numbers below it are exact as float64, which pandas makes of integers beside nulls."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """The chunks of a record file.

    Args:
        urls: the distinct ones, as the file has them.
        ids: int32[n], places in ``urls``, ``INLINED`` or ``MISSING``.
        offsets: uint64[n], bytes; 0 where there is no URL.
        lengths: uint64[n], bytes; 0 where there is no URL. Where offset and length are 0, the whole file is meant.
        inlined: bytes by row.
    """

    urls: list[str]
    ids: NDArray[np.int32]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    inlined: dict[int, bytes]


def read_records(data: bytes, url: str, count: int, record_size: int) -> Records:
    """The first ``count`` rows of a record file; writers pad with rows behind them, up to ``record_size``.

    Args:
        data: the whole file.
        url: of it, for messages.
        count: chunks that are in it.
        record_size: what the store says, chunks.

    Raises:
        IncompleteStoreError: a file that is cut, or has fewer rows than chunks: other readers show fill values there.
        FormatError: no such columns, or columns of other types.
    """
    table = _table(data, url)
    if table.num_rows < count:
        raise IncompleteStoreError(
            f"record file {url} has {table.num_rows:,} rows for {count:,} chunks, so references are lost. "
            "Way out: write the store again"
        )
    if table.num_rows > record_size:
        raise FormatError(
            f"record file {url} has {table.num_rows:,} rows, and record_size in .zmetadata is {record_size:,}: "
            "no chunk can be told from another. Way out: write the store again"
        )
    table = table.slice(0, count)
    urls, ids = _paths(table["path"], url)
    inlined = _inlined(table[_RAW], url) if _RAW in table.column_names else {}
    ids[list(inlined)] = INLINED
    here = ids >= 0
    offsets, lengths = (_integers(table[name], here, name, url) for name in ("offset", "size"))
    return Records(urls, ids, offsets, lengths, inlined)


def _table(data: bytes, url: str) -> Any:
    if not data:
        raise IncompleteStoreError(f"record file {url} is empty (0 bytes). Way out: write the store again")
    try:
        names = pq.read_schema(pa.BufferReader(data)).names
        if absent := [name for name in _NEEDED if name not in names]:
            raise FormatError(f"record file {url} has no column {absent[0]!r}; its columns are {names}")
        table = table_of(data, [name for name in (*_NEEDED, _RAW) if name in names], dictionaries=["path"])
        table.validate(full=True)  # places in dictionaries and text are not checked before
        return table
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise IncompleteStoreError(
            f"record file {url} is damaged or cut short ({str(error)[:200]}). Way out: write the store again"
        ) from None


def _paths(column: Any, url: str) -> tuple[list[str], NDArray[np.int32]]:
    """The distinct URLs that are used, and where each row's is among them, ``MISSING`` where it is null."""
    kind = column.type
    if pa.types.is_null(kind):
        return [], np.full(len(column), MISSING, np.int32)
    if pa.types.is_dictionary(kind):
        encoded = _one(column.unify_dictionaries())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        encoded = _one(column.cast(pa.large_string())).dictionary_encode()
    else:
        raise FormatError(f"column 'path' of record file {url} is of type {kind}, and should be text")
    names = encoded.dictionary.to_pylist()
    ids = encoded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int32)
    used = np.zeros(len(names) + 1, np.bool_)
    used[ids] = True  # MISSING is the last place
    known: dict[str, int] = {}
    table = np.full(len(names) + 1, MISSING, np.int32)
    for place in np.flatnonzero(used[:-1]).tolist():
        name = names[place]
        if name is None:
            continue
        if not isinstance(name, str):
            raise FormatError(f"column 'path' of record file {url} holds {name!r}, and should be text")
        table[place] = known.setdefault(name, len(known))
    return list(known), table[ids]


def _inlined(column: Any, url: str) -> dict[int, bytes]:
    rows = np.flatnonzero(_one(column.is_valid()).to_numpy(zero_copy_only=False))
    if not len(rows):
        return {}
    found = {}
    for row, value in zip(rows.tolist(), column.take(pa.array(rows)).to_pylist(), strict=True):
        if not isinstance(value, (bytes, str)):
            raise FormatError(f"column 'raw' of record file {url} is of type {column.type}, and should be bytes")
        found[row] = _decoded(value if isinstance(value, bytes) else value.encode())
    return found


def _decoded(raw: bytes) -> bytes:
    """The bytes that readers show: fsspec decodes base64 that is marked as in JSON."""
    if not raw.startswith(_BASE64):
        return raw
    try:
        return base64.b64decode(raw[len(_BASE64) :], validate=True)
    except binascii.Error:
        return raw


def _integers(column: Any, here: NDArray[np.bool_], name: str, url: str) -> NDArray[np.uint64]:
    """uint64[n], bytes: the column where ``here``, 0 elsewhere."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise FormatError(f"column {name!r} of record file {url} is of type {kind}, and should be whole numbers")
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.uint64)
    filled = _one(column).fill_null(0) if column.null_count else _one(column)
    numbers = np.where(here, filled.to_numpy(zero_copy_only=False), 0)
    if numbers.dtype.kind == "f":
        numbers = np.where(np.isnan(numbers), 0, numbers)
        odd = (numbers != np.floor(numbers)) | (np.abs(numbers) >= _EXACT)
    else:
        odd = numbers > np.iinfo(np.int64).max if numbers.dtype.kind == "u" else np.zeros(0, np.bool_)
    if odd.any() or (len(numbers) and numbers.min() < 0):
        wrong = numbers[odd][0] if odd.any() else numbers.min()
        raise FormatError(f"column {name!r} of record file {url} holds {wrong}, which is no number of bytes")
    return numbers.astype(np.uint64)


def _one(column: Any) -> Any:
    """A column as one array."""
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)
