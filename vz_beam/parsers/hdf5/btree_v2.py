"""Version 2 B-trees, which index chunks of datasets with several unlimited dimensions, links and attributes.

Source: HDF5 file format specification 4.0, section III.A.2, "Disk Format: Level 1A2 - Version 2 B-trees".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.parsers.hdf5.chunk_elements import columns_of, element_form
from vz_beam.parsers.hdf5.index_reading import CHECKSUM_NBYTES, UNDEFINED, ChunkIndex, Reading, Structure
from vz_beam.parsers.hdf5.stored_chunks import Batches, ChunkCollector, StoredChunks

_HEAD = struct.Struct("<4sBBIHHBBQHQI")
RecordForm = Callable[[int, int], np.dtype[Any] | None]
_NODE_HEAD_NBYTES = 6
"""Signature, version and type."""
TREE_HEAD_NBYTES = _HEAD.size
_LEAST_NODE_NBYTES, _MOST_LEVELS = 128, 32
"""Libraries make nodes of 512 bytes: 32 levels of them would have more records than there are addresses."""
_PLAIN, _FILTERED = 10, 11
"""Types of trees that list chunks."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What the head of a tree tells of its nodes.

    ``count_nbytes`` is that of a number of records of one node; ``totals_nbytes[depth]`` that of all records below a
    node of so many levels.
    """

    record: np.dtype[Any]
    kind: int
    node_nbytes: int
    count_nbytes: int
    totals_nbytes: tuple[int, ...]

    def child(self, depth: int) -> np.dtype[Any]:
        """How a node of ``depth`` points at a child."""
        total = [("total", "u1", (self.totals_nbytes[depth - 1],))] if depth > 1 else []
        return np.dtype([("address", "<u8"), ("count", "u1", (self.count_nbytes,)), *total])


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Nodes of one level: addresses uint64[n], number of records of each int64[n]."""

    addresses: NDArray[np.uint64]
    counts: NDArray[np.int64]


def btree_v2_chunks(index: ChunkIndex, file_nbytes: int) -> Reading[StoredChunks]:
    """The chunks that a tree lists."""

    def record_form(kind: int, record_nbytes: int) -> np.dtype[Any] | None:
        return element_form(record_nbytes, kind == _FILTERED, index.rank) if kind in (_PLAIN, _FILTERED) else None

    chunks = ChunkCollector(index.grid)
    batches = Batches(lambda rows: chunks.add(rows["place"].astype(np.int64), *columns_of(index, rows)))
    yield from _walk(index, index.address, record_form, file_nbytes, batches.add)
    batches.end()
    return chunks.chunks()


def btree_v2_rows(
    structure: Structure, address: int, record_form: RecordForm, file_nbytes: int
) -> Reading[NDArray[Any]]:
    """All records of the tree at ``address``, record_form[n].

    Args:
        structure: what the tree is a part of.
        address: of its head.
        record_form: the form of a record, given the type of the tree and the bytes of a record; ``None`` for others.
        file_nbytes: more cannot be in the tree.
    """
    records: list[NDArray[Any]] = []
    form = yield from _walk(structure, address, record_form, file_nbytes, records.append)
    return np.concatenate([np.empty(0, form.record), *records])


def _walk(
    structure: Structure,
    address: int,
    record_form: RecordForm,
    file_nbytes: int,
    take: Callable[[NDArray[Any]], None],
) -> Reading[_Form]:
    """Hand the records of each node to ``take``."""
    (data,) = yield [(address, address + _HEAD.size)]
    form, depth, nodes, total = _read_head(structure, address, data, record_form, file_nbytes)
    found = 0
    while len(nodes.addresses):
        if len(np.unique(nodes.addresses)) < len(nodes.addresses):
            raise structure.damage(address, "a tree that lists a node twice")
        signature = b"BTIN" if depth else b"BTLF"
        pointers = form.child(depth).itemsize * (nodes.counts + 1) if depth else np.zeros_like(nodes.counts)
        sizes = _NODE_HEAD_NBYTES + form.record.itemsize * nodes.counts + pointers + CHECKSUM_NBYTES
        if sizes.max() > form.node_nbytes:
            raise structure.damage(address, f"a tree with a node of {nodes.counts.max()} records")
        starts = nodes.addresses.tolist()
        pieces = yield [(start, start + size) for start, size in zip(starts, sizes.tolist(), strict=True)]
        children: list[NDArray[Any]] = []
        for start, count, data in zip(starts, nodes.counts.tolist(), pieces, strict=True):
            structure.check_block(start, data, signature)
            if data[5] != form.kind:
                raise structure.damage(start, f"a node of a tree of type {data[5]}, not {form.kind}")
            take(np.frombuffer(data, form.record, count, _NODE_HEAD_NBYTES))
            found += count
            if depth:
                at = _NODE_HEAD_NBYTES + count * form.record.itemsize
                children.append(np.frombuffer(data, form.child(depth), count + 1, at))
        if not depth:
            break
        below = np.concatenate(children)
        nodes = _Nodes(below["address"], _numbers(below["count"]))
        depth -= 1
    if found != total:
        raise structure.damage(address, f"a tree of {total} records whose nodes have {found}")
    return form


def check_tree_head(structure: Structure, address: int, data: bytes, record_nbytes: Mapping[int, int]) -> None:
    """Raise where ``data``, of ``TREE_HEAD_NBYTES``, is not the head of a tree that can be.

    ``record_nbytes`` are the sizes of records by type.
    """
    structure.check_block(address, data, b"BTHD")
    _, _, kind, node_nbytes, nbytes, depth, *_ = _HEAD.unpack(data)
    if record_nbytes.get(kind) != nbytes or node_nbytes < _LEAST_NODE_NBYTES or depth > _MOST_LEVELS:
        raise structure.damage(
            address, f"a tree of type {kind} with records of {nbytes} bytes in nodes of {node_nbytes}, {depth} levels"
        )


def _read_head(
    structure: Structure,
    address: int,
    data: bytes,
    record_form: RecordForm,
    file_nbytes: int,
) -> tuple[_Form, int, _Nodes, int]:
    """The form of the tree, the depth and the nodes of its first level, and the number of its records."""
    structure.check_block(address, data, b"BTHD")
    _, _, kind, node_nbytes, record_nbytes, depth, _, _, root, count, total, _ = _HEAD.unpack(data)
    record = record_form(kind, record_nbytes)
    if record is None:
        raise structure.damage(address, f"a tree of type {kind} with records of {record_nbytes} bytes")
    if total * record_nbytes > file_nbytes or 2**depth > file_nbytes:
        raise structure.damage(address, f"a tree of {total} records in {depth} levels, more than the file has room for")
    most = (node_nbytes - _NODE_HEAD_NBYTES - CHECKSUM_NBYTES) // record_nbytes
    count_nbytes = _nbytes_of(most)
    totals = [0]
    for _ in range(depth):
        pointer_nbytes = 8 + count_nbytes + totals[-1]
        room = node_nbytes - _NODE_HEAD_NBYTES - CHECKSUM_NBYTES - pointer_nbytes
        in_node = max(room // (record_nbytes + pointer_nbytes), 0)
        most = (in_node + 1) * most + in_node
        totals.append(_nbytes_of(most))
    form = _Form(record, kind, node_nbytes, count_nbytes, tuple(totals))
    nodes = _Nodes(np.array([root], np.uint64), np.array([count], np.int64))
    if root == UNDEFINED:
        nodes = _Nodes(nodes.addresses[:0], nodes.counts[:0])
    return form, depth, nodes, total


def _nbytes_of(most: int) -> int:
    """Bytes that a number up to ``most`` takes."""
    return (max(most, 1).bit_length() + 7) // 8


def _numbers(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Little-endian numbers int64[n] of uint8[n, nbytes], at most 7 of them used."""
    weights = np.array([1 << 8 * place for place in range(digits.shape[1])], np.int64)
    return digits.astype(np.int64) @ weights
