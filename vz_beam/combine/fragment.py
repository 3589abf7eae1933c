"""References of one array, or of one shard of it, by their chunk numbers in the whole array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import OverlapError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest


class ShardKey(NamedTuple):
    """A shard: the chunks ``[number * chunks_per_shard, (number + 1) * chunks_per_shard)`` of the array at ``path``."""

    path: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """Some references of one array.

    Args:
        locations: the distinct URLs.
        numbers: int64[n], C-order chunk numbers in the whole array, ascending.
        location_ids: int32[n], places in ``locations``, or ``INLINED``.
        offsets: uint64[n], bytes.
        lengths: uint32[n] or uint64[n], bytes.
        inlined: encoded bytes of the inlined chunks, by chunk number.
    """

    locations: tuple[str, ...]
    numbers: NDArray[np.int64]
    location_ids: NDArray[np.int32]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.unsignedinteger[Any]]
    inlined: Mapping[int, bytes] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Fragment:
        """A fragment without references: the zero of merging."""
        return cls((), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint64), np.empty(0, np.uint32), {})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fragment):
            return NotImplemented
        return (
            self.locations == other.locations
            and self.inlined == other.inlined
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in ("numbers", "location_ids", "offsets", "lengths")
            )
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: slice | NDArray[Any]) -> Fragment:
        """Some rows, with the locations that they use in order of first use."""
        ids = self.location_ids[rows]
        used, first = np.unique(ids[ids >= 0], return_index=True)
        order = used[np.argsort(first)]
        table = np.empty(len(self.locations) + 2, np.int32)
        table[order] = np.arange(len(order), dtype=np.int32)
        table[INLINED], table[MISSING] = INLINED, MISSING
        numbers = self.numbers[rows]
        inlined = {n: self.inlined[n] for n in numbers[ids == INLINED].tolist()} if self.inlined else {}
        return Fragment(
            tuple(self.locations[i] for i in order),
            numbers,
            table[ids],
            self.offsets[rows],
            self.lengths[rows],
            inlined,
        )

    def moved(self, numbers: NDArray[np.int64]) -> Fragment:
        """The same references at other chunk numbers, int64[n], ascending."""
        inlined = {}
        if self.inlined:
            table = dict(zip(self.numbers.tolist(), numbers.tolist(), strict=True))
            inlined = {table[number]: data for number, data in self.inlined.items()}
        return replace(self, numbers=numbers, inlined=inlined)


def fragment_of(manifest: ChunkManifest, grid_shape: tuple[int, ...], start: tuple[int, ...]) -> Fragment:
    """The references of ``manifest``, placed with its first chunk at ``start`` of a grid of ``grid_shape`` chunks.

    >>> fragment_of(ChunkManifest.single((1, 2), "a", 0, 4), (3, 2), (1, 0)).numbers.tolist()
    [2, 3]
    """
    here = manifest.location_ids.ravel() != MISSING
    rows = np.flatnonzero(here)
    places = np.unravel_index(rows, manifest.grid_shape) if manifest.grid_shape else ()
    numbers = np.zeros(len(rows), np.int64)
    for place, first, length in zip(places, start, grid_shape, strict=True):
        numbers *= length
        numbers += place
        numbers += first
    fragment = Fragment(
        manifest.locations,
        rows,
        manifest.location_ids.ravel()[rows],
        manifest.offsets.ravel()[rows],
        manifest.lengths.ravel()[rows],
        manifest.inlined,
    )
    return fragment.moved(numbers).take(slice(None))


def split_by_shard(path: str, fragment: Fragment, chunks_per_shard: int) -> Iterator[tuple[ShardKey, Fragment]]:
    """The fragment cut where shards begin; shards without references are left out."""
    if not len(fragment):
        return
    shards = fragment.numbers // chunks_per_shard
    if shards[0] == shards[-1]:
        yield ShardKey(path, int(shards[0])), fragment
        return
    starts = np.flatnonzero(np.diff(shards, prepend=-1))
    for start, stop in zip(starts, np.append(starts[1:], len(shards)), strict=True):
        yield ShardKey(path, int(shards[start])), fragment.take(slice(int(start), int(stop)))


def merge_fragments(fragments: Iterable[Fragment], path: str = "") -> Fragment:
    """All references in one fragment, whatever the order and grouping of the inputs.

    The same reference twice is one reference, so that a repeated step changes nothing.

    Raises:
        OverlapError: two different references for one chunk of the array at ``path``; names both.
    """
    parts = [fragment for fragment in fragments if len(fragment)]
    if not parts:
        return Fragment.empty()
    if len(parts) == 1:
        return parts[0]
    table: dict[str, int] = {}
    ids = []
    inlined: dict[int, bytes] = {}
    for part in parts:
        known = np.array([table.setdefault(url, len(table)) for url in part.locations] + [INLINED, MISSING], np.int32)
        ids.append(known[part.location_ids])
        for number, data in part.inlined.items():
            if inlined.setdefault(number, data) != data:
                raise OverlapError(f"chunk number {number} of {path!r} has two different inlined values")
    merged = Fragment(
        tuple(table),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate(ids),
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        inlined,
    )
    order = np.argsort(merged.numbers, kind="stable")
    repeats = merged.numbers[order][1:] == merged.numbers[order][:-1]
    if repeats.any():
        first, second = order[:-1][repeats], order[1:][repeats]
        columns = (merged.location_ids, merged.offsets, merged.lengths)
        differ = np.logical_or.reduce([column[first] != column[second] for column in columns])
        if differ.any():
            raise _overlap(merged, int(first[differ][0]), int(second[differ][0]), path)
        order = order[np.append(True, ~repeats)]
    return merged.take(order)


def _overlap(merged: Fragment, first: int, second: int, path: str) -> OverlapError:
    places = sorted(_place(merged, row) for row in (first, second))
    return OverlapError(
        f"chunk number {int(merged.numbers[first])} of {path!r} has two different values: {places[0]} and {places[1]}. "
        "Two inputs stand at one place of the pattern: give each file a position of its own"
    )


def _place(fragment: Fragment, row: int) -> str:
    location = int(fragment.location_ids[row])
    if location == INLINED:
        return f"{len(fragment.inlined[int(fragment.numbers[row])])} inlined bytes"
    start = int(fragment.offsets[row])
    return f"bytes {start} to {start + int(fragment.lengths[row])} of {fragment.locations[location]}"
