"""Chunk indexes that are version 1 B-trees, decoded by numpy: a level at a time, all datasets of a file together.

Source: HDF5 file format specification 3.0, section III.A.1, "Disk Format: Level 1A1 - Version 1 B-trees".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError, TruncatedFileError
from vz_beam.parsers.hdf5.index_reading import ChunkIndex, Reading
from vz_beam.parsers.hdf5.stored_chunks import BATCH_ROWS, ChunkCollector, StoredChunks

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

    def __getitem__(self, rows: Any) -> _Level:
        return _Level(self.addresses[rows], self.trees[rows], self.levels[rows])

    @classmethod
    def together(cls, parts: Sequence[_Level]) -> _Level:
        """The nodes of all ``parts``."""
        none = _Level(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
        columns = zip(*((part.addresses, part.trees, part.levels) for part in [none, *parts]), strict=True)
        return _Level(*map(np.concatenate, columns))


def btree_v1_chunks(trees: Sequence[ChunkIndex], end: int) -> Reading[list[StoredChunks]]:
    """The chunks of each tree, all of datasets of one rank: their nodes have the same form.

    Args:
        trees: of one file.
        end: the address behind the last byte of the file.

    Raises:
        FormatError: a node that is none, names dataset and address; TruncatedFileError where it is behind the end.
    """
    return _Reader(trees, end).chunks()


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
        self.collectors = [ChunkCollector(tree.grid) for tree in trees]

    def chunks(self) -> Reading[list[StoredChunks]]:
        """The chunks of each tree."""
        count = len(self.trees)
        roots = np.array([tree.address for tree in self.trees], np.uint64)
        level = _Level(roots, np.arange(count), np.full(count, -1))
        while len(level.addresses):
            self._check_distinct(level)
            below: list[_Level] = []
            capacity = _USUAL_ENTRIES
            while len(level.addresses):
                level, capacity = yield from self._read(level, capacity, below)
            level = _Level.together(below)
        return [collector.chunks() for collector in self.collectors]

    def _read(self, level: _Level, capacity: int, below: list[_Level]) -> Reading[tuple[_Level, int]]:
        """Take nodes of at most ``capacity`` entries, and add what they lead to to ``below``.

        Returns the nodes that have more, and the number of entries of the fullest.
        """
        form = np.dtype(
            [
                *(("signature", "<u4"), ("type", "u1"), ("level", "u1"), ("used", "<u2"), ("siblings", "<u8", (2,))),
                ("entries", self.entry, (capacity,)),
            ]
        )
        # a node of fewer entries may be the last thing in the file
        pieces = yield [
            (start, max(min(start + form.itemsize, self.end), start + _HEAD_BYTES))
            for start in level.addresses.tolist()
        ]
        step = max(1, BATCH_ROWS // capacity)
        fuller: list[_Level] = []
        most = capacity
        for first in range(0, len(pieces), step):
            part = level[first : first + step]
            data = b"".join(piece.ljust(form.itemsize, b"\0") for piece in pieces[first : first + step])
            nodes = np.frombuffer(data, form)
            self._check(part, nodes)
            full = nodes["used"] > capacity
            if full.any():
                most = max(most, int(nodes["used"].max()))
                fuller.append(part[full])
                part, nodes = part[~full], nodes[~full]
            below.append(self._taken(part, nodes))
        rest = _Level.together(fuller)
        # nodes do not overlap: they cannot have more bytes than the file
        if len(rest.addresses) * (_HEAD_BYTES + most * self.entry.itemsize) > self.end:
            raise self._damage(rest, 0, f"a node that claims {most} entries, more than there is room for")
        return rest, most

    def _taken(self, level: _Level, nodes: NDArray[Any]) -> _Level:
        """What ``nodes`` lead to; the chunks that they list go to the collectors."""
        entries = nodes["entries"]
        used = np.arange(entries.shape[1]) < nodes["used"][:, np.newaxis]
        is_leaf = nodes["level"] == 0
        if is_leaf.any():
            outer = used & is_leaf[:, np.newaxis]
            borders = [*np.flatnonzero(np.diff(level.trees, prepend=-1)).tolist(), len(level.trees)]
            for start, stop in pairwise(borders):
                self._collect(int(level.trees[start]), entries[start:stop][outer[start:stop]])
        inner = used & ~is_leaf[:, np.newaxis]
        counts = inner.sum(axis=1)
        return _Level(
            entries["child"][inner],
            np.repeat(level.trees, counts),
            np.repeat(nodes["level"].astype(np.int64) - 1, counts),
        )

    def _collect(self, tree: int, entries: NDArray[Any]) -> None:
        places = entries["start"][:, : self.rank].astype(np.int64)
        places //= np.array(self.trees[tree].layout.chunk_shape, np.int64)
        self.collectors[tree].add(places, entries["child"], entries["length"], entries["mask"])

    def _check(self, level: _Level, nodes: NDArray[Any]) -> None:
        known = level.levels >= 0
        bad = (nodes["signature"] != _SIGNATURE) | (nodes["type"] != _OF_CHUNKS)
        bad |= known & (nodes["level"] != level.levels)
        if bad.any():
            row = int(np.argmax(bad))
            wanted = f" of level {level.levels[row]}" if known[row] else ""
            raise self._damage(level, row, f"no node{wanted} of a chunk index")
        read = nodes["used"] <= nodes.dtype["entries"].shape[0]
        beyond = level.addresses + (nodes["used"] * np.uint64(self.entry.itemsize) + np.uint64(_HEAD_BYTES))
        if (beyond[read] > self.end).any():
            raise TruncatedFileError(
                f"{self.trees[0].url}: a node of a chunk index ends at address {int(beyond[read].max())}, and the file "
                f"at {self.end}. Way out: fetch the file again, or leave it out"
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
