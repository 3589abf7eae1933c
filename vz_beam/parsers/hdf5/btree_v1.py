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
from vz_beam.parsers.hdf5.index_reading import ChunkIndex, ChunkRecords, Reading

_USUAL_ENTRIES = 64
"""Twice the K that all files have unless their writer changed it; nodes of more entries are read again."""
_SIGNATURE = int.from_bytes(b"TREE", "little")
_OF_CHUNKS = 1
"""The node type of chunk indexes."""
_HEAD_BYTES = 24


@dataclass(frozen=True, slots=True)
class _Level:
    """Nodes to be read: their addresses uint64[n], the tree of each int64[n], its level int64[n], -1 if unknown."""

    addresses: NDArray[np.uint64]
    trees: NDArray[np.int64]
    levels: NDArray[np.int64]


def btree_v1_records(trees: Sequence[ChunkIndex], end: int) -> Reading[list[ChunkRecords]]:
    """The chunks of each tree, all of datasets of one rank: their nodes have the same form.

    Args:
        trees: of one file.
        end: the address behind the last byte of the file.

    Raises:
        FormatError: a node that is none, names dataset and address; TruncatedFileError where it is behind the end.
    """
    return _Reader(trees, end).records()


class _Reader:
    """Reads trees whose nodes have the same form."""

    def __init__(self, trees: Sequence[ChunkIndex], end: int) -> None:
        self.trees = trees
        self.end = end
        self.rank = trees[0].rank
        self.entry = np.dtype(
            # the last of the starts counts bytes inside an element, and is always 0
            [("length", "<u4"), ("mask", "<u4"), ("start", "<u8", (self.rank + 1,)), ("child", "<u8")]
        )

    def records(self) -> Reading[list[ChunkRecords]]:
        """The chunks of each tree."""
        count = len(self.trees)
        roots = np.array([tree.address for tree in self.trees], np.uint64)
        level = _Level(roots, np.arange(count), np.full(count, -1))
        leaves: list[NDArray[Any]] = []
        owners: list[NDArray[np.int64]] = []
        while len(level.addresses):
            self._check_distinct(level)
            nodes = yield from self._nodes(level.addresses)
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
            return [self._records(entries, self.trees[0])]
        owner = np.concatenate(owners)
        return [self._records(entries[owner == number], tree) for number, tree in enumerate(self.trees)]

    def _records(self, entries: NDArray[Any], tree: ChunkIndex) -> ChunkRecords:
        places = entries["start"][:, : self.rank].astype(np.int64)
        places //= np.array(tree.layout.chunk_shape, np.int64)
        return ChunkRecords(places, entries["child"], entries["length"], entries["mask"])

    def _nodes(self, addresses: NDArray[np.uint64]) -> Reading[NDArray[Any]]:
        """The nodes at ``addresses``, each with as many entries as the fullest has, at least."""
        capacity = _USUAL_ENTRIES
        while True:
            nodes = yield from self._read(addresses, capacity)
            most = int(nodes["used"].max())
            # nodes do not overlap: more bytes than the file has are those of damaged ones, which are found later
            nbytes = len(addresses) * (_HEAD_BYTES + most * self.entry.itemsize)
            if most <= capacity or nbytes > self.end or (nodes["signature"] != _SIGNATURE).any():
                return nodes
            capacity = most

    def _read(self, addresses: NDArray[np.uint64], capacity: int) -> Reading[NDArray[Any]]:
        form = np.dtype(
            [
                *(("signature", "<u4"), ("type", "u1"), ("level", "u1"), ("used", "<u2"), ("siblings", "<u8", (2,))),
                ("entries", self.entry, (capacity,)),
            ]
        )
        # a node of fewer entries may be the last thing in the file
        pieces = yield [
            (start, max(min(start + form.itemsize, self.end), start + _HEAD_BYTES)) for start in addresses.tolist()
        ]
        nodes = np.frombuffer(b"".join(piece.ljust(form.itemsize, b"\0") for piece in pieces), form)
        beyond = addresses + (nodes["used"] * np.uint64(self.entry.itemsize) + np.uint64(_HEAD_BYTES))
        if (nodes["used"] <= capacity).all() and (beyond > self.end).any():
            raise TruncatedFileError(
                f"{self.trees[0].url}: a node of a chunk index ends at address {int(beyond.max())}, and the file at "
                f"{self.end}. Way out: fetch the file again, or leave it out"
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
        return self.trees[int(level.trees[row])].damage(int(level.addresses[row]), what)
