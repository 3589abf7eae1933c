"""The links of a group, in each of the three ways in which files keep them.

Source: HDF5 file format specification 4.0, sections III.A.1, "Version 1 B-trees", III.B, "Group Symbol Table Nodes",
III.C, "Symbol Table Entry", III.D, "Local Heaps", IV.A.2.c, "The Link Info Message", IV.A.2.g, "The Link Message",
and IV.A.2.r, "The Symbol Table Message".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vz_beam.parsers.hdf5.btree_v2 import btree_v2_rows
from vz_beam.parsers.hdf5.fractal_heap import opened_heap
from vz_beam.parsers.hdf5.index_reading import Reading, Structure, side_by_side
from vz_beam.parsers.hdf5.object_header import Message

_LINK_INFO, _LINK, _SYMBOL_TABLE = 0x02, 0x06, 0x11
HARD, SOFT, EXTERNAL = 0, 1, 64
"""Kinds of links."""
_NOWHERE = 2**64 - 1
_NAME_RECORD = np.dtype([("hash", "<u4"), ("id", "u1", (7,))])
_BY_NAME = 5
"""The type of a B-tree of links by the hashes of their names."""
_TREE_HEAD, _ENTRY = struct.Struct("<4sBBHQQ"), struct.Struct("<QQI4x16s")
_NODE_HEAD, _HEAP_HEAD = struct.Struct("<4sB1xH"), struct.Struct("<4sB3xQQQ")
_USUAL_TREE_BYTES, _USUAL_NODE_BYTES = 24 + 8 * 65, 8 + 8 * 40
"""A B-tree node of 32 children and a symbol table node of 8 entries: as libraries make them unless told otherwise."""
_SOFT_ENTRY = 2
_MOST_NODES = 2**20
"""Nodes of one group, of a few links each; more are a cycle."""


class Link(NamedTuple):
    """One link: ``address`` of a hard one's target, ``value`` of a soft or external one; ``order`` of creation."""

    name: bytes
    kind: int
    address: int = 0
    value: bytes = b""
    order: int = 0


def link_reading(structure: Structure, messages: Sequence[Message], file_nbytes: int) -> Reading[list[Link]]:
    """The links that a group's object header tells, or leads to.

    Raises:
        FormatError: damaged structures; struct.error, IndexError or ValueError for some of them.
    """
    links: list[Link] = []
    for message in messages:
        if message.kind == _LINK:
            links.append(_link(message.body))
        elif message.kind == _LINK_INFO:
            start = 10 if message.body[1] & 1 else 2
            heap, names = struct.unpack_from("<QQ", message.body, start)
            if heap != _NOWHERE and names != _NOWHERE:
                tree = btree_v2_rows(structure, names, _name_record, file_nbytes)
                rows, opened = yield from side_by_side(tree, opened_heap(structure, heap))
                found = yield from opened.objects([bytes(row) for row in rows["id"]])
                links += [_link(body) for body in found if body is not None]
        elif message.kind == _SYMBOL_TABLE:
            links += yield from _symbol_table(structure, *struct.unpack_from("<QQ", message.body))
    return links


def symbol_addresses(data: bytes) -> list[int]:
    """The object headers that a symbol table node at the start of ``data`` lists, as far as ``data`` goes."""
    count = min(_NODE_HEAD.unpack_from(data)[2], (len(data) - _NODE_HEAD.size) // _ENTRY.size)
    places = range(_NODE_HEAD.size, _NODE_HEAD.size + count * _ENTRY.size, _ENTRY.size)
    return [_ENTRY.unpack_from(data, place)[1] for place in places]


def _name_record(kind: int, nbytes: int) -> np.dtype[Any] | None:
    return _NAME_RECORD if kind == _BY_NAME and nbytes == _NAME_RECORD.itemsize else None


def _link(body: bytes) -> Link:
    flags, place = body[1], 2
    kind = order = 0
    if flags & 0x08:
        kind, place = body[place], place + 1
    if flags & 0x04:
        order, place = struct.unpack_from("<Q", body, place)[0], place + 8
    if flags & 0x10:
        place += 1  # the character set of the name
    width = 1 << (flags & 3)
    nbytes = int.from_bytes(body[place : place + width], "little")
    place += width
    name = body[place : place + nbytes]
    place += nbytes
    if kind == HARD:
        return Link(name, kind, struct.unpack_from("<Q", body, place)[0], b"", order)
    (nbytes,) = struct.unpack_from("<H", body, place)
    return Link(name, kind, 0, body[place + 2 : place + 2 + nbytes], order)


def _symbol_table(structure: Structure, tree: int, heap: int) -> Reading[list[Link]]:
    head, data = yield [(heap, heap + _HEAP_HEAD.size), (tree, tree + _USUAL_TREE_BYTES)]
    structure.check_signature(heap, head, b"HEAP")
    _, _, names_nbytes, _, names_at = _HEAP_HEAD.unpack(head)
    (names,) = yield [(names_at, names_at + names_nbytes)]
    level, read = [(tree, data)], 1
    nodes: list[int] = []
    while level:
        below: list[int] = []
        for address, data in level:
            signature, kind, depth, used, _, _ = _TREE_HEAD.unpack_from(data)
            if signature != b"TREE" or kind:
                raise structure.damage(address, f"{data[:5]!r}, not a node of a group's B-tree")
            if len(data) < _TREE_HEAD.size + 8 * (2 * used + 1):
                (data,) = yield [(address, address + _TREE_HEAD.size + 8 * (2 * used + 1))]
            children = struct.unpack_from(f"<{2 * used + 1}Q", data, _TREE_HEAD.size)[1::2]
            (below if depth else nodes).extend(children)
        read += len(below)
        if read + len(nodes) > _MOST_NODES or len(set(below)) < len(below):
            raise structure.damage(tree, "a B-tree that leads round in a circle")
        pieces = (yield [(address, address + _USUAL_TREE_BYTES) for address in below]) if below else []
        level = list(zip(below, pieces, strict=True))
    links: list[Link] = []
    pieces = (yield [(address, address + _USUAL_NODE_BYTES) for address in nodes]) if nodes else []
    for address, data in zip(nodes, pieces, strict=True):
        signature, _, count = _NODE_HEAD.unpack_from(data)
        if signature != b"SNOD":
            raise structure.damage(address, f"{data[:4]!r}, not a symbol table node")
        if len(data) < _NODE_HEAD.size + count * _ENTRY.size:
            (data,) = yield [(address, address + _NODE_HEAD.size + count * _ENTRY.size)]
        for place in range(_NODE_HEAD.size, _NODE_HEAD.size + count * _ENTRY.size, _ENTRY.size):
            name_at, target, cached, scratch = _ENTRY.unpack_from(data, place)
            name = _text_at(names, name_at)
            if cached == _SOFT_ENTRY:
                links.append(Link(name, SOFT, 0, _text_at(names, int.from_bytes(scratch[:4], "little"))))
            else:
                links.append(Link(name, HARD, target))
    return links


def _text_at(names: bytes, place: int) -> bytes:
    return names[place : names.index(b"\0", place)]
