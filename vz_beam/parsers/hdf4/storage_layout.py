"""How the bytes of a data set are stored: in one piece, in blocks, compressed, in chunks.

Source: HDF4 Specification, chapter 10, "Extended tags"; chunked elements: "Chunked data elements".
"""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.hdf4 import HUFFMAN_ID, NBIT_ID, RLE_ID
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.chunk_manifest import MISSING
from vz_beam.manifests.metadata import Codec
from vz_beam.parsers.hdf4.directory import CHUNKED, COMPRESSED, EXTERNAL, LINKED, Directory, Element
from vz_beam.parsers.hdf4.records import VDATA, read_vdata

_COMPRESSED_TAG, _CHUNK_TAG = 40, 61
_NONE, _RLE, _NBIT, _SKPHUFF, _DEFLATE, _SZIP = 0, 1, 2, 3, 4, 5
_MOST_CHUNKS = 2**24
_MOST_PIECES = 2**20


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the chunks of an array are.

    Args:
        chunk_shape: elements.
        codecs: in encoding order.
        ids: int32[grid], 0 or ``MISSING``.
        offsets: uint64[grid], bytes.
        lengths: uint64[grid], bytes.
        fill: bytes of one element that missing chunks read as; ``None`` where the file does not say.
    """

    chunk_shape: tuple[int, ...]
    codecs: tuple[Codec, ...]
    ids: NDArray[np.int32]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    fill: bytes | None = None


def nothing_stored(shape: tuple[int, ...]) -> Stored:
    """Of an array that was never written."""
    chunk = tuple(max(1, length) for length in shape)
    grid = tuple(-(-length // part) for length, part in zip(shape, chunk, strict=True))
    zeros = np.zeros(grid, np.uint64)
    return Stored(chunk, (), np.full(grid, MISSING, np.int32), zeros, zeros)


def logical_nbytes(directory: Directory, element: Element) -> int | None:
    """How many bytes of values an element holds when they are decoded; ``None`` where only its shape says it."""
    if not element.is_special:
        return element.nbytes
    header = directory.special(element)
    (kind,) = struct.unpack_from(">H", header.ljust(2, b"\0"))
    if kind == LINKED and len(header) >= 6:
        return int(struct.unpack_from(">i", header, 2)[0])
    if kind == COMPRESSED and len(header) >= 8:
        return int(struct.unpack_from(">i", header, 4)[0])
    return None


def stored_at(directory: Directory, element: Element, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored:
    """Where the array of an element is.

    Raises:
        UnsupportedError: a way of storing that references cannot express.
        FormatError: a damaged description.
    """
    if not element.is_special:
        return _in_pieces(directory, [(element.start, element.nbytes)], shape, dtype)
    header = directory.special(element)
    if len(header) < 2:
        raise directory.damaged(f"the description of element {element.ref} has {len(header)} bytes")
    (kind,) = struct.unpack_from(">H", header)
    if kind == LINKED:
        return _in_pieces(directory, directory.pieces(element), shape, dtype)
    if kind == COMPRESSED:
        return _compressed(directory, element, header, shape, dtype)
    if kind == CHUNKED:
        return _chunked(directory, header, shape, dtype)
    if kind == EXTERNAL:
        raise UnsupportedError("its values are in another file (an external element)")
    raise UnsupportedError(f"its values are stored in the way {kind}, which is not known here")


def _in_pieces(
    directory: Directory, pieces: list[tuple[int, int]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Stored:
    """Uncompressed values in runs of bytes: one chunk, or chunks of so many rows as no run cuts."""
    total = math.prod(shape) * dtype.itemsize
    pieces = [piece for piece in pieces if piece[1]]
    held = sum(nbytes for _, nbytes in pieces)
    if not pieces or not total:
        return nothing_stored(shape)
    for start, nbytes in pieces:
        _check_inside(directory, start, nbytes)
    if len(pieces) == 1 and held >= total:
        return _one_chunk(shape, (), pieces[0][0], total)
    row = math.prod(shape[1:]) * dtype.itemsize
    if held < total and held % row:
        raise UnsupportedError(f"{held:,} of its {total:,} bytes were written, which are no whole rows")
    ends = list(itertools.accumulate(nbytes for _, nbytes in pieces))
    unit = math.gcd(*[end for end in ends if end < min(held, total)], min(held, total), total)
    if unit % row or total // unit > _MOST_PIECES:
        raise UnsupportedError(f"its values are in {len(pieces):,} blocks, whose ends cut its rows")
    count = total // unit
    offsets, lengths = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    ids = np.full(count, MISSING, np.int32)
    number = 0
    for start, nbytes in pieces:
        for place in range(start, start + nbytes - unit + 1, unit):
            if number < count:
                ids[number], offsets[number], lengths[number] = 0, place, unit
                number += 1
    chunk = (unit // row, *(max(1, length) for length in shape[1:]))
    grid = (count, *(1 for _ in shape[1:]))
    return Stored(chunk, (), ids.reshape(grid), offsets.reshape(grid), lengths.reshape(grid))


def _one_chunk(shape: tuple[int, ...], codecs: tuple[Codec, ...], start: int, nbytes: int) -> Stored:
    chunk = tuple(max(1, length) for length in shape)
    grid = (1,) * len(shape)
    places = (np.full(grid, start, np.uint64), np.full(grid, nbytes, np.uint64))
    return Stored(chunk, codecs, np.zeros(grid, np.int32), *places)


def _check_inside(directory: Directory, start: int, nbytes: int) -> None:
    if start + nbytes > directory.size:
        raise FormatError(
            f"its values go on to byte {start + nbytes:,}, and the file has {directory.size:,}: it is cut short"
        )


def _compressed(
    directory: Directory, element: Element, header: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Stored:
    codecs, start, nbytes = _stream(directory, header, dtype, math.prod(shape) * dtype.itemsize)
    return nothing_stored(shape) if not nbytes else _one_chunk(shape, codecs, start, nbytes)


def _stream(
    directory: Directory, header: bytes, dtype: np.dtype[Any], nbytes: int
) -> tuple[tuple[Codec, ...], int, int]:
    """Codecs, start and length of a compressed element, by its description; ``nbytes`` are decoded."""
    if len(header) < 14:
        raise directory.damaged(f"the description of compressed values has {len(header)} bytes")
    _, _, _, ref, _, coder = struct.unpack_from(">HHiHHH", header)
    codecs = _codecs(directory, coder, header[14:], dtype, nbytes)
    data = directory.get(_COMPRESSED_TAG, ref)
    if data is None:
        return codecs, 0, 0
    pieces = directory.pieces(data)
    if len(pieces) > 1:
        raise UnsupportedError(f"its compressed values are in {len(pieces):,} blocks, and no reference joins them")
    start, length = pieces[0] if pieces else (0, 0)
    _check_inside(directory, start, length)
    return codecs, start, length


def _codecs(directory: Directory, coder: int, words: bytes, dtype: np.dtype[Any], nbytes: int) -> tuple[Codec, ...]:
    try:
        if coder == _NONE:
            return ()
        if coder == _RLE:
            return (Codec(RLE_ID, {"nbytes": nbytes}),)
        if coder == _DEFLATE:
            (level,) = struct.unpack_from(">H", words)
            return (Codec("numcodecs.zlib", {"level": min(level, 9)}),)
        if coder == _SKPHUFF:
            (skip,) = struct.unpack_from(">I", words)
            return (Codec(HUFFMAN_ID, {"nbytes": nbytes, "skip": skip}),)
        if coder == _NBIT:
            _, sign, ones, first, bits = struct.unpack_from(">iHHii", words)
            about = {"count": nbytes // dtype.itemsize, "size": dtype.itemsize, "first": first, "bits": bits}
            return (Codec(NBIT_ID, {**about, "sign": bool(sign), "ones": bool(ones)}),)
    except struct.error:
        raise directory.damaged("the description of compressed values ends too early") from None
    name = "szip" if coder == _SZIP else f"coder {coder}"
    raise UnsupportedError(f"it is compressed by {name}, which is not decoded here")


def _chunked(directory: Directory, header: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored:
    try:
        _, _, _, _, _, _, tag, ref, _, _, rank = struct.unpack_from(">iBIiiiHHHHi", header, 2)
        place = 2 + struct.calcsize(">iBIiiiHHHHi")
        if rank != len(shape) or rank > 32:
            raise directory.damaged(f"chunks of {rank} dimensions make an array of {len(shape)}")
        dims = [struct.unpack_from(">Iii", header, place + 12 * axis) for axis in range(rank)]
        place += 12 * rank
        (fill_nbytes,) = struct.unpack_from(">i", header, place)
        fill = header[place + 4 : place + 4 + max(0, fill_nbytes)]
    except struct.error:
        raise directory.damaged("the description of chunks ends too early") from None
    chunk = tuple(length for _, _, length in dims)
    if min(chunk, default=1) < 1:
        raise directory.damaged(f"chunks of the shape {chunk}")
    grid = tuple(-(-length // part) for length, part in zip(shape, chunk, strict=True))
    if math.prod(grid) > _MOST_CHUNKS:
        raise directory.damaged(f"{math.prod(grid):,} chunks")
    nbytes = math.prod(chunk) * dtype.itemsize
    ids = np.full(grid, MISSING, np.int32)
    offsets, lengths = np.zeros(grid, np.uint64), np.zeros(grid, np.uint64)
    codecs: tuple[Codec, ...] | None = None
    for origin, chunk_tag, chunk_ref in _chunk_table(directory, tag, ref, rank):
        found = directory.get(chunk_tag, chunk_ref)
        if found is None:
            continue
        if any(place >= length for place, length in zip(origin, grid, strict=True)):
            continue  # an array that was made smaller, or chunks ahead of an unlimited dimension
        own: tuple[Codec, ...] = ()
        if found.is_special:
            description = directory.special(found)
            if description[:2] == struct.pack(">H", COMPRESSED):
                own, start, length = _stream(directory, description, dtype, nbytes)
            else:
                pieces = directory.pieces(found)
                if len(pieces) != 1:
                    raise UnsupportedError("one of its chunks is in several blocks, and no reference joins them")
                start, length = pieces[0]
        else:
            start, length = found.start, found.nbytes
            _check_inside(directory, start, length)
        if not length:
            continue
        if codecs is not None and own != codecs:
            raise UnsupportedError("its chunks are compressed in several ways")
        codecs = own
        if not own and length < nbytes:
            raise FormatError(f"one of its chunks has {length:,} bytes, and should have {nbytes:,}")
        ids[origin], offsets[origin], lengths[origin] = 0, start, length if own else nbytes
    known_fill = fill[: dtype.itemsize] if len(fill) >= dtype.itemsize else None
    return Stored(chunk, codecs or (), ids, offsets, lengths, known_fill)


def _chunk_table(directory: Directory, tag: int, ref: int, rank: int) -> list[tuple[tuple[int, ...], int, int]]:
    """(place in the grid, tag, number) of each chunk that was written."""
    header, rows = directory.get(tag, ref), directory.get(VDATA, ref)
    if header is None or rows is None:
        return []
    table = read_vdata(directory, header)
    size = 4 * rank + 4
    if table.record_nbytes != size or table.records < 0:
        raise directory.damaged(f"a table of chunks has records of {table.record_nbytes} bytes, and should of {size}")
    data = directory.data(rows)
    if len(data) < size * table.records:
        raise directory.damaged("a table of chunks ends too early")
    form = f">{rank}iHH"
    return [
        (tuple(row[:rank]), row[rank] & 0x3FFF, row[rank + 1])
        for row in struct.iter_unpack(form, data[: size * table.records])
        if min(row[:rank], default=0) >= 0
    ]
