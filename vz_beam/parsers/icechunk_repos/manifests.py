"""The chunks of an array in a manifest of Icechunk, in columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vz_beam.errors import FormatError, InputError
from vz_beam.parsers.icechunk_repos.files import id_texts
from vz_beam.parsers.icechunk_repos.flatbuffer import FlatBuffer, Positions

_BLOCK = 2**17
"""Texts that are taken at a time: their bytes are gathered by numbers of eight times the size."""
_MOST_LOCATION_BYTES = 2**16
_INDEX, _INLINE, _OFFSET, _LENGTH, _CHUNK_ID, _LOCATION, _COMPRESSED = 0, 1, 2, 3, 4, 5, 8
_DICTIONARY = 2


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    """Some chunks of one array.

    Args:
        indexes: int64[n, dimensions], in the grid of chunks.
        offsets: uint64[n], bytes.
        lengths: uint64[n], bytes.
        location_ids: int64[n], counts into ``locations``; -1 where the bytes are in the manifest.
        locations: virtual URLs as they are, and native chunks as ``chunks/ID``.
        inlined: bytes by the number of the row.
    """

    indexes: NDArray[np.int64]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    location_ids: NDArray[np.int64]
    locations: Sequence[str]
    inlined: dict[int, bytes]


class Manifest:
    """One manifest, which may have the chunks of many arrays."""

    def __init__(self, buffer: FlatBuffer, name: str) -> None:
        self._buffer = buffer
        self._name = name
        arrays = buffer.tables(buffer.root, 1)
        nodes = buffer.rows(buffer.fields(arrays, 0), 8)
        self._arrays = {node.tobytes(): arrays[row : row + 1] for row, node in enumerate(nodes)}

    def chunks(self, node: bytes, ndim: int) -> ChunkColumns:
        """The chunks of one array, none where the manifest has not the array.

        Raises:
            FormatError: damaged columns.
        """
        buffer = self._buffer
        if node not in self._arrays:
            none = np.zeros(0, np.uint64)
            return ChunkColumns(np.zeros((0, ndim), np.int64), none, none, none.astype(np.int64), (), {})
        tables = buffer.tables(self._arrays[node], 1)
        starts = buffer.targets(buffer.fields(tables, _INDEX))
        if not (buffer.lengths(starts) == ndim).all():
            raise FormatError(f"{self._name}: chunks have indexes that are not {ndim} numbers")
        words = buffer.rows(starts + 4, 4 * ndim).reshape(-1, 4).view("<u4")
        indexes = words.reshape(len(tables), ndim).astype(np.int64)
        ids, locations = self._locations(tables)
        inline = buffer.targets(buffer.fields(tables, _INLINE))
        rows = np.flatnonzero(inline)
        lengths = buffer.lengths(inline)
        if not ((ids >= 0) ^ (inline > 0)).all():
            raise FormatError(f"{self._name}: chunks are at no place, or at two")
        inlined = {
            row: buffer.data(start + 4, length)
            for row, start, length in zip(rows.tolist(), inline[rows].tolist(), lengths[rows].tolist(), strict=True)
        }
        offsets, sizes = (buffer.field_numbers(tables, number, "<u8") for number in (_OFFSET, _LENGTH))
        return ChunkColumns(indexes, offsets, sizes, ids, locations, inlined)

    def _locations(self, tables: Positions) -> tuple[NDArray[np.int64], list[str]]:
        buffer = self._buffer
        ids = np.full(len(tables), -1, np.int64)
        names: list[str] = []
        for field, read in ((_CHUNK_ID, self._native), (_LOCATION, self._plain), (_COMPRESSED, self._compressed)):
            places = buffer.fields(tables, field)
            rows = np.flatnonzero(places)
            if not len(rows):
                continue
            if (ids[rows] >= 0).any():
                raise FormatError(f"{self._name}: chunks are at two places")
            found, new = read(places[rows])
            ids[rows] = found + len(names)
            names += new
        return ids, names

    def _native(self, places: Positions) -> tuple[NDArray[np.int64], list[str]]:
        texts = id_texts(self._buffer.rows(places, 12))
        ids, names = _distinct(pa.array(texts, pa.binary()))
        return ids, [f"chunks/{name.decode()}" for name in names]

    def _plain(self, places: Positions) -> tuple[NDArray[np.int64], list[str]]:
        ids, names = self._texts(places)
        return ids, [self._decoded(name) for name in names]

    def _compressed(self, places: Positions) -> tuple[NDArray[np.int64], list[str]]:
        decompress = self._decompressor()
        ids, names = self._texts(places)
        return ids, [self._decoded(decompress(name)) for name in names]

    def _texts(self, places: Positions) -> tuple[NDArray[np.int64], list[bytes]]:
        """The distinct byte vectors that the offsets at some places point at, and which is whose."""
        starts = self._buffer.targets(places)
        lengths = self._buffer.lengths(starts)
        if lengths.max() > _MOST_LOCATION_BYTES:
            raise FormatError(f"{self._name}: a location has {lengths.max():,} bytes")
        blocks = []
        for first in range(0, len(starts), _BLOCK):
            counts = lengths[first : first + _BLOCK]
            ends = np.concatenate([[0], np.cumsum(counts)])
            data = self._buffer.joined(starts[first : first + _BLOCK] + 4, counts)
            buffers = [None, pa.py_buffer(ends.astype(np.int64)), pa.py_buffer(data)]
            blocks.append(pa.Array.from_buffers(pa.large_binary(), len(counts), buffers))
        return _distinct(pa.chunked_array(blocks).combine_chunks())

    def _decoded(self, location: bytes) -> str:
        try:
            return location.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{self._name}: the location {location[:60]!r} is no UTF-8 ({error})") from error

    def _decompressor(self) -> Callable[[bytes], bytes]:
        """Of locations compressed with a dictionary that the manifest has."""
        try:
            zstandard = importlib.import_module("zstandard")
        except ImportError:
            raise InputError(
                f"{self._name}: its locations are compressed with a dictionary, and the package zstandard decompresses "
                "them. Way out: pip install 'vz-beam[icechunk]'"
            ) from None
        start, count = self._buffer.vector(self._buffer.root, _DICTIONARY)
        words: dict[str, Any] = {}
        if count:
            words["dict_data"] = zstandard.ZstdCompressionDict(self._buffer.data(start, count))
        decompressor = zstandard.ZstdDecompressor(**words)

        def decompress(data: bytes) -> bytes:
            try:
                return bytes(decompressor.decompress(data, max_output_size=_MOST_LOCATION_BYTES))
            except zstandard.ZstdError as error:
                raise FormatError(f"{self._name}: a compressed location is damaged: {error}") from error

        return decompress


def _distinct(values: pa.Array) -> tuple[NDArray[np.int64], list[bytes]]:
    encoded = values.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
