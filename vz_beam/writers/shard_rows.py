"""The chunks of one shard in rows, one for each chunk: what every Kerchunk writer writes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import StoreError, UnsupportedError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.storage.urls import scheme_of
from vz_beam.writers.fill_chunk import fill_chunk
from vz_beam.writers.store_summary import ShardReceipt


@dataclass(frozen=True, slots=True, eq=False)
class ShardRows:
    """A shard's chunks in C order.

    Args:
        key: the shard.
        start: number of its first chunk in the whole array.
        locations: the distinct URLs, in order of first use.
        location_ids: int32[n], places in ``locations``, ``INLINED`` or ``MISSING``.
        offsets: int64[n], bytes; 0 where there is no location.
        lengths: int64[n], bytes; 0 where there is no location.
        inlined: encoded bytes of the inlined chunks, by row.
        placed: number of references that inputs gave.
    """

    key: ShardKey
    start: int
    locations: tuple[str, ...]
    location_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    inlined: Mapping[int, bytes]
    placed: int

    def receipt(self, data: bytes) -> ShardReceipt:
        """What was written, in a file of ``data``."""
        missing = int(np.count_nonzero(self.location_ids == MISSING))
        return ShardReceipt(
            key=self.key,
            rows=len(self.location_ids) - missing,
            missing=missing,
            inlined=len(self.inlined),
            nbytes=len(data),
            checksum=zlib.crc32(data),
            virtual_nbytes=int(self.lengths.sum()),
            protocols=tuple(sorted({scheme_of(url) or "file" for url in self.locations})),
            placed=self.placed,
        )


def chunks_in_shard(layout: Layout, key: ShardKey) -> int:
    """Number of chunks that the shard holds; the last shard of an array is short."""
    size = layout.arrays[key.path].metadata.chunk_grid.size
    return max(0, min(layout.chunks_per_shard, size - key.number * layout.chunks_per_shard))


def shard_rows(layout: Layout, key: ShardKey, fragment: Fragment, *, says_fill: bool = False) -> ShardRows:
    """The rows of one shard: the fragment's references, the layout's own chunks, and fill chunks where needed.

    Args:
        layout: of the store.
        key: the shard.
        fragment: all references of the shard.
        says_fill: whether the format says what a missing chunk reads as, as Zarr v3 does, and needs no fill chunks.

    Raises:
        StoreError: a shard or chunk that the layout does not know, or a chunk said twice.
        UnsupportedError: an empty reference, or a fill chunk that cannot be inlined.
    """
    array = layout.arrays.get(key.path)
    if array is None:
        raise StoreError(f"shard {key.number} of {key.path!r}: the layout has the arrays {sorted(layout.arrays)}")
    count, start = chunks_in_shard(layout, key), key.number * layout.chunks_per_shard
    return _rows(array, key, fragment, start, count, says_fill)


def array_rows(array: ArrayLayout, path: str, fragment: Fragment) -> ShardRows:
    """The rows of a whole array as one shard."""
    return _rows(array, ShardKey(path, 0), fragment, 0, array.metadata.chunk_grid.size, says_fill=False)


def _rows(array: ArrayLayout, key: ShardKey, fragment: Fragment, start: int, count: int, says_fill: bool) -> ShardRows:
    rows = fragment.numbers - start
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise StoreError(
            f"shard {key.number} of {key.path!r} holds the chunks {start} to {start + count}, and chunk "
            f"{int(fragment.numbers[(rows < 0) | (rows >= count)][0])} was given"
        )
    _refuse_empty(key, fragment)
    ids = np.full(count, MISSING, np.int32)
    offsets = np.zeros(count, np.int64)
    lengths = np.zeros(count, np.int64)
    locations, ids[rows] = _in_order_of_use(fragment)
    here = fragment.location_ids >= 0
    offsets[rows] = np.where(here, fragment.offsets, 0)
    lengths[rows] = np.where(here, fragment.lengths, 0)
    inlined = {number - start: data for number, data in fragment.inlined.items()}
    for number, data in _own_chunks(array.chunks, start, count):
        row = number - start
        if ids[row] != MISSING:
            raise StoreError(f"chunk {number} of {key.path!r} is loaded, and a reference to it was given as well")
        ids[row], inlined[row] = INLINED, data
    missing = np.flatnonzero(ids == MISSING)
    if len(missing) and not says_fill and (filler := fill_chunk(array.metadata, key.path)) is not None:
        ids[missing] = INLINED
        inlined.update(dict.fromkeys(missing.tolist(), filler))
    return ShardRows(key, start, locations, ids, offsets, lengths, inlined, len(fragment))


def _own_chunks(chunks: Mapping[int, bytes], start: int, count: int) -> list[tuple[int, bytes]]:
    if len(chunks) > count:
        return [(number, chunks[number]) for number in range(start, start + count) if number in chunks]
    return sorted((number, data) for number, data in chunks.items() if start <= number < start + count)


def _refuse_empty(key: ShardKey, fragment: Fragment) -> None:
    """A reference of offset and length 0 means the whole file to every reader of Kerchunk references, and to others."""
    empty = np.flatnonzero((fragment.location_ids >= 0) & (fragment.lengths == 0))
    if len(empty):
        row = int(empty[0])
        raise UnsupportedError(
            f"variable {key.path!r}: chunk {int(fragment.numbers[row])} has 0 bytes at {int(fragment.offsets[row])} of "
            f"{fragment.locations[int(fragment.location_ids[row])]}, and references cannot say an empty chunk. "
            f"Way out: drop the variable (drop_variables=[{key.path!r}])"
        )


def _in_order_of_use(fragment: Fragment) -> tuple[tuple[str, ...], NDArray[Any]]:
    """The used locations in order of first use, and the ids that count into them: equal input, equal bytes."""
    ids, count = fragment.location_ids, len(fragment.locations)
    unused = len(ids)
    first = np.full(count + 2, unused, np.int64)
    # The last of repeated assignments stays; written backwards, that is the first use.
    first[ids[::-1]] = np.arange(unused - 1, -1, -1)
    order = np.argsort(first[:count], kind="stable")
    order = order[first[order] < unused]
    table = np.empty(count + 2, np.int32)
    table[order] = np.arange(len(order), dtype=np.int32)
    table[INLINED], table[MISSING] = INLINED, MISSING
    return tuple(fragment.locations[place] for place in order.tolist()), table[ids]
