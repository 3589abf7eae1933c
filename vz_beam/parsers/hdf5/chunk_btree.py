"""Chunk indexes that are version 1 B-trees, decoded by numpy: a level at a time, all datasets of a file together.

Source: HDF5 file format specification 3.0, section III.A.1, "Disk Format: Level 1A1 - Version 1 B-trees".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError, TruncatedFileError
from vz_beam.storage.byte_source import ByteSource

_USUAL_ENTRIES = 64
"""Twice the K that all files have unless their writer changed it; nodes of more entries are read again."""
_SIGNATURE = int.from_bytes(b"TREE", "little")
_OF_CHUNKS = 1
"""The node type of chunk indexes."""
_HEAD_BYTES = 24


@dataclass(frozen=True, slots=True)
class ChunkTree:
    """One B-tree: the dataset at ``path`` of ``rank`` dimensions, and the address of the root."""

    path: str
    rank: int
    root: int


@dataclass(frozen=True, slots=True)
class ChunkRecords:
    """The chunks of one B-tree, one row each, in the order of the tree.

    ``starts`` uint64[n, rank], elements; ``addresses`` uint64[n]; ``lengths`` uint32[n], bytes; ``masks`` uint32[n],
    bit ``i`` set where filter ``i`` was skipped.
    """

    starts: NDArray[np.uint64]
    addresses: NDArray[np.uint64]
    lengths: NDArray[np.uint32]
    masks: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Level:
    """Nodes to be read: their addresses uint64[n], the tree of each int64[n], its level int64[n], -1 if unknown."""

    addresses: NDArray[np.uint64]
    trees: NDArray[np.int64]
    levels: NDArray[np.int64]


def chunk_records(source: ByteSource, base: int, trees: Sequence[ChunkTree]) -> list[ChunkRecords]:
    """The chunks of each tree.

    Args:
        source: of the file.
        base: what is added to addresses, bytes.
        trees: of the file.

    Raises:
        FormatError: a node that is none, names dataset and address; TruncatedFileError where it is behind the end.
    """
    result: dict[int, ChunkRecords] = {}
    for rank in {tree.rank for tree in trees}:
        numbers = [number for number, tree in enumerate(trees) if tree.rank == rank]
        found = _Reader(source, base, rank, [trees[number] for number in numbers]).records()
        result.update(zip(numbers, found, strict=True))
    return [result[number] for number in range(len(trees))]


class _Reader:
    """Reads the trees of all datasets of one rank, whose nodes have the same form."""

    def __init__(self, source: ByteSource, base: int, rank: int, trees: Sequence[ChunkTree]) -> None:
        self.source = source
        self.base = base
        self.rank = rank
        self.trees = trees
        self.entry = np.dtype(
            # the last of the starts counts bytes inside an element, and is always 0
            [("length", "<u4"), ("mask", "<u4"), ("start", "<u8", (rank + 1,)), ("child", "<u8")]
        )

    def records(self) -> list[ChunkRecords]:
        """The chunks of each tree."""
        count = len(self.trees)
        roots = np.array([tree.root for tree in self.trees], np.uint64)
        level = _Level(roots, np.arange(count), np.full(count, -1))
        leaves: list[NDArray[Any]] = []
        owners: list[NDArray[np.int64]] = []
        while len(level.addresses):
            self._check_distinct(level)
            nodes = self._nodes(level.addresses)
            self._check(level, nodes)
            used = np.arange(nodes.dtype["entries"].shape[0]) < nodes["used"][:, np.newaxis]
            is_leaf = nodes["level"] == 0
            inner, outer = used & ~is_leaf[:, np.newaxis], used & is_leaf[:, np.newaxis]
            leaves.append(nodes["entries"][outer])
            owners.append(np.repeat(level.trees, outer.sum(axis=1)))
            counts = inner.sum(axis=1)
            level = _Level(
                nodes["entries"]["child"][inner],
                np.repeat(level.trees, counts),
                np.repeat(nodes["level"].astype(np.int64) - 1, counts),
            )
        entries = leaves[0] if len(leaves) == 1 else np.concatenate(leaves)
        if count == 1:
            return [self._records(entries)]
        owner = np.concatenate(owners)
        return [self._records(entries[owner == number]) for number in range(count)]

    def _records(self, entries: NDArray[Any]) -> ChunkRecords:
        return ChunkRecords(entries["start"][:, : self.rank], entries["child"], entries["length"], entries["mask"])

    def _nodes(self, addresses: NDArray[np.uint64]) -> NDArray[Any]:
        """The nodes at ``addresses``, each with as many entries as the fullest has, at least."""
        capacity = _USUAL_ENTRIES
        while True:
            nodes = self._read(addresses, capacity)
            most = int(nodes["used"].max())
            # nodes do not overlap: more bytes than the file has are those of damaged ones, which are found later
            nbytes = len(addresses) * (_HEAD_BYTES + most * self.entry.itemsize)
            if most <= capacity or nbytes > self.source.size() or (nodes["signature"] != _SIGNATURE).any():
                return nodes
            capacity = most

    def _read(self, addresses: NDArray[np.uint64], capacity: int) -> NDArray[Any]:
        form = np.dtype(
            [
                *(("signature", "<u4"), ("type", "u1"), ("level", "u1"), ("used", "<u2"), ("siblings", "<u8", (2,))),
                ("entries", self.entry, (capacity,)),
            ]
        )
        end = self.source.size()
        starts = [address + self.base for address in addresses.tolist()]
        # a node of fewer entries may be the last thing in the file
        ranges = [(start, max(min(start + form.itemsize, end), start + _HEAD_BYTES)) for start in starts]
        data = b"".join(piece.ljust(form.itemsize, b"\0") for piece in self.source.read_many(ranges))
        nodes = np.frombuffer(data, form)
        beyond = np.array(starts, np.uint64) + (nodes["used"] * np.uint64(self.entry.itemsize) + np.uint64(_HEAD_BYTES))
        if (nodes["used"] <= capacity).all() and (beyond > end).any():
            raise TruncatedFileError(
                f"{self.source.url}: a node of a chunk index ends at byte {int(beyond.max())}, and the file has {end}. "
                "Way out: fetch the file again, or leave it out"
            )
        return nodes

    def _check(self, level: _Level, nodes: NDArray[Any]) -> None:
        known = level.levels >= 0
        bad = (nodes["signature"] != _SIGNATURE) | (nodes["type"] != _OF_CHUNKS)
        bad |= known & (nodes["level"] != level.levels)
        if bad.any():
            row = int(np.argmax(bad))
            wanted = f" of level {level.levels[row]}" if known[row] else ""
            raise self._damage(level, row, f"no node{wanted} of a chunk index")
        full = nodes["used"] > nodes.dtype["entries"].shape[0]
        if full.any():
            row = int(np.argmax(full))
            raise self._damage(
                level, row, f"a node that claims {nodes['used'][row]} entries, more than there is room for"
            )

    def _check_distinct(self, level: _Level) -> None:
        """Raise where a tree lists one node twice: a damaged one of few nodes could stand for billions.

        Two trees may have the same nodes: those of one dataset under two names.
        """
        if len(level.addresses) == 1:
            return
        order = np.lexsort((level.addresses, level.trees))
        addresses, trees = level.addresses[order], level.trees[order]
        repeats = (addresses[1:] == addresses[:-1]) & (trees[1:] == trees[:-1])
        if repeats.any():
            raise self._damage(level, int(order[1:][repeats][0]), "a node of a chunk index that is listed already")

    def _damage(self, level: _Level, row: int, what: str) -> FormatError:
        return FormatError(
            f"{self.source.url}: the chunk index of {self.trees[int(level.trees[row])].path!r} is damaged: at byte "
            f"{int(level.addresses[row]) + self.base} is {what}. Way out: fetch the file again, or leave the variable "
            "out (drop_variables)"
        )
