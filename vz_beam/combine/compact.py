"""References as few bytes, for their way between workers: columns of differences, compressed.

Chunks mostly follow each other in their file, and in the grid, and are about as long: what is left of offsets and
numbers are zeros and ones, and a reference of 20 bytes takes two or three.
"""

from __future__ import annotations

import bisect
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment
from vz_beam.combine.placing import ArrayReferences, InputReferences
from vz_beam.errors import CombineError
from vz_beam.manifests.chunk_grid import UnevenChunks
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest

_PIECE_BYTES = 2**28
"""Of a column that are compressed at once; Blosc takes at most 2**31 - 17."""
_LEVEL = 1
_SIZE = struct.Struct("<Q")
_VERSION = 1


class _Places(NamedTuple):
    """Where chunks lie, n of them in any order: columns as those of a fragment or a manifest."""

    locations: Sequence[str]
    ids: NDArray[np.int32]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.unsignedinteger[Any]]
    inlined: Mapping[int, bytes]


def packed_fragment(fragment: Fragment) -> bytes:
    """A fragment as bytes; equal ones give the same."""
    blocks = [*_packed_places(_Places(*_columns(fragment))), _packed(np.diff(fragment.numbers, prepend=np.int64(0)))]
    return _joined(blocks)


def unpacked_fragment(data: bytes) -> Fragment:
    """The fragment that :func:`packed_fragment` made bytes of.

    Raises:
        CombineError: other bytes.
    """
    *blocks, numbers = _blocks(data)
    places = _unpacked_places(blocks)
    steps = _unpacked(numbers).astype(np.int64)
    if len(steps) != len(places.ids):
        raise _damaged()
    return Fragment(
        tuple(places.locations), np.cumsum(steps), places.ids, places.offsets, places.lengths, places.inlined
    )


def packed_references(references: InputReferences) -> bytes:
    """What one input has, as bytes: the columns of all its arrays together."""
    heads: list[Any] = []
    table: dict[str, int] = {}
    parts: list[_Places] = []
    start = 0
    for array in references.arrays:
        manifest = array.manifest
        held = None
        if manifest is not None:
            held = [manifest.grid_shape, manifest.lengths.dtype.str]
            known = [table.setdefault(url, len(table)) for url in manifest.locations]
            ids = np.array([*known, INLINED, MISSING], np.int32)[manifest.location_ids.ravel()]
            inlined = {start + number: data for number, data in manifest.inlined.items()}
            columns = (manifest.offsets.ravel(), manifest.lengths.ravel().astype(np.uint64))
            parts.append(_Places(manifest.locations, ids, *columns, inlined))
            start += len(ids)
        uneven = [[axis, chunks.runs()] for axis, chunks in array.uneven.items()]
        heads.append([array.group, array.path, array.dims, array.shape, array.chunk_shape, held, uneven])
    ids, offsets, lengths = (
        np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)])
        for name, dtype in (("ids", np.int32), ("offsets", np.uint64), ("lengths", np.uint64))
    )
    together = {number: data for part in parts for number, data in part.inlined.items()}
    head = json.dumps([list(references.numbers.items()), references.label, heads]).encode()
    return _joined([head, *_packed_places(_Places(list(table), ids, offsets, lengths, together))])


def unpacked_references(data: bytes) -> InputReferences:
    """What :func:`packed_references` made bytes of.

    Raises:
        CombineError: other bytes.
    """
    head, *blocks = _blocks(data)
    numbers, label, heads = json.loads(head)
    places = _unpacked_places(blocks)
    inlined = sorted(places.inlined)
    start = 0
    arrays = []
    for group, path, dims, shape, chunk_shape, held, uneven in heads:
        manifest = None
        if held is not None:
            grid, dtype = held
            stop = start + math.prod(grid)
            own = inlined[bisect.bisect_left(inlined, start) : bisect.bisect_left(inlined, stop)]
            manifest = ChunkManifest.from_columns(
                *_used(places.locations, places.ids[start:stop].reshape(grid)),
                places.offsets[start:stop].reshape(grid),
                places.lengths[start:stop].astype(dtype).reshape(grid),
                {number - start: places.inlined[number] for number in own},
            )
            start = stop
        chunks = {axis: UnevenChunks.of_runs(runs) for axis, runs in uneven}
        about = (group, path, tuple(dims), tuple(shape), tuple(chunk_shape), manifest, chunks)
        arrays.append(ArrayReferences(*about))
    if start != len(places.ids):
        raise _damaged()
    return InputReferences(dict(numbers), label, tuple(arrays))


def _used(locations: Sequence[str], ids: NDArray[np.int32]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The locations that ``ids`` use, in order of first use, and the ids among them."""
    if len(locations) <= 1:
        return tuple(locations), ids
    used, first = np.unique(ids[ids >= 0], return_index=True)
    order = used[np.argsort(first)]
    table = np.empty(len(locations) + 2, np.int32)
    table[order] = np.arange(len(order), dtype=np.int32)
    table[INLINED], table[MISSING] = INLINED, MISSING
    return tuple(locations[i] for i in order), table[ids]


def _columns(fragment: Fragment) -> tuple[Any, ...]:
    return fragment.locations, fragment.location_ids, fragment.offsets, fragment.lengths, fragment.inlined


def _packed_places(places: _Places) -> list[bytes]:
    ids, offsets, lengths = places.ids, places.offsets, places.lengths
    # the first chunk is as if after nothing; sums and differences wrap around, and back
    ends = np.concatenate([np.zeros(1, np.uint64), (offsets + lengths.astype(np.uint64))[:-1]])[: len(offsets)]
    numbers = sorted(places.inlined)
    sizes = np.array([len(places.inlined[number]) for number in numbers], np.int64)
    return [
        _packed(np.frombuffer(json.dumps(list(places.locations)).encode(), np.uint8)),
        _packed(np.diff(ids.astype(np.int64), prepend=np.int64(0))),
        _packed((offsets - ends).view(np.int64)),
        _packed(lengths),
        _packed(np.stack([np.array(numbers, np.int64), sizes])),
        b"".join(places.inlined[number] for number in numbers),
    ]


def _unpacked_places(blocks: Sequence[bytes]) -> _Places:
    locations, ids, jumps, lengths, inlined, raw = blocks
    counts = _unpacked(lengths)
    steps = _unpacked(jumps).astype(np.int64).view(np.uint64)
    places = np.cumsum(_unpacked(ids).astype(np.int64)).astype(np.int32)
    if not len(counts) == len(steps) == len(places):
        raise _damaged()
    # offset[n] = jump[n] + offset[n - 1] + length[n - 1]
    before = np.concatenate([np.zeros(1, np.uint64), counts.astype(np.uint64)[:-1]])[: len(counts)]
    numbers, sizes = _unpacked(inlined).astype(np.int64).reshape(2, -1).tolist()
    ends = np.cumsum(np.array(sizes, np.int64)).tolist()
    found = {n: raw[end - size : end] for n, size, end in zip(numbers, sizes, ends, strict=True)}
    return _Places(
        json.loads(_unpacked(locations).tobytes()), places, np.cumsum(steps + before, dtype=np.uint64), counts, found
    )


def _packed(column: NDArray[Any]) -> bytes:
    """A column of integers with its type, in the narrowest type that holds it."""
    narrow = column.astype(_narrowest(column)).ravel()
    kept = np.dtype(column.dtype).str.encode()
    pieces = [f"{kept.decode()} {narrow.dtype.str} {len(narrow)}".encode()]
    several = max(1, _PIECE_BYTES // narrow.dtype.itemsize)
    for start in range(0, len(narrow), several):
        piece = narrow[start : start + several]
        pieces.append(blosc.compress(piece, b"zstd", _LEVEL, blosc.SHUFFLE))
    return _joined(pieces)


def _unpacked(data: bytes) -> NDArray[Any]:
    head, *pieces = _blocks(data)
    kept, narrow, count = head.decode().split(" ")
    found = [np.frombuffer(blosc.decompress(piece), narrow) for piece in pieces]
    column: NDArray[Any] = found[0] if len(found) == 1 else np.concatenate([np.empty(0, narrow), *found])
    if len(column) != int(count):
        raise _damaged()
    return column.astype(kept)


def _narrowest(column: NDArray[Any]) -> np.dtype[Any]:
    if not column.size:
        return np.dtype("u1")
    low, high = int(column.min()), int(column.max())
    for name in ("u1", "i1", "u2", "i2", "u4", "i4", "u8"):
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return np.dtype(f"<{name}")
    return np.dtype("<i8")


def _joined(blocks: Sequence[bytes]) -> bytes:
    """Blocks of any length as one."""
    sizes = b"".join(_SIZE.pack(len(block)) for block in blocks)
    return bytes([_VERSION]) + _SIZE.pack(len(blocks)) + sizes + b"".join(blocks)


def _blocks(data: bytes) -> Iterator[bytes]:
    if len(data) < 1 + _SIZE.size or data[0] != _VERSION:
        raise _damaged()
    (count,) = _SIZE.unpack_from(data, 1)
    start = 1 + _SIZE.size * (count + 1)
    if start > len(data):
        raise _damaged()
    found = []
    for number in range(count):
        (size,) = _SIZE.unpack_from(data, 1 + _SIZE.size * (number + 1))
        found.append(data[start : start + size])
        start += size
    if start != len(data):
        raise _damaged()
    return iter(found)


def _damaged() -> CombineError:
    return CombineError("references that came from another worker are damaged. Way out: run again")
