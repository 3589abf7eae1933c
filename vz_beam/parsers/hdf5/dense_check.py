"""The heads of what keeps many links or attributes, checked before libhdf5 computes with them: it crashes on some.

Source: HDF5 file format specification 4.0, sections III.A.2, "Version 2 B-trees", III.F, "Disk Format: Level 1F -
Fractal Heap", IV.A.2.c, "The Link Info Message", and IV.A.2.v, "The Attribute Info Message".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vz_beam.parsers.hdf5.btree_v2 import TREE_HEAD_NBYTES, btree_v2_rows, check_tree_head
from vz_beam.parsers.hdf5.fractal_heap import HEAP_HEAD_NBYTES, check_heap_head, opened_heap
from vz_beam.parsers.hdf5.index_reading import Reading, Structure
from vz_beam.parsers.hdf5.object_header import Message

_LARGEST_ORDER_NBYTES = {0x02: 8, 0x15: 2}
"""Messages that lead to such storage, and the size of the number of the last one made, where that is kept."""
_SHARED = 0x02
"""The flag of a message that lies elsewhere."""
DENSE = LINK_INFO, ATTRIBUTE_INFO = tuple(_LARGEST_ORDER_NBYTES)
_LINK_ID, _ATTRIBUTE_ID = ("id", "u1", (7,)), ("id", "u1", (8,))
_RECORDS = {
    5: np.dtype([("hash", "<u4"), _LINK_ID]),
    6: np.dtype([("order", "<u8"), _LINK_ID]),
    8: np.dtype([_ATTRIBUTE_ID, ("flags", "u1"), ("order", "<u4"), ("hash", "<u4")]),
    9: np.dtype([_ATTRIBUTE_ID, ("flags", "u1"), ("order", "<u4")]),
}
"""Of trees of links by name and by order of creation, and of attributes likewise, by type."""
_RECORD_NBYTES = {kind: record.itemsize for kind, record in _RECORDS.items()}
_NOWHERE = 2**64 - 1


def dense_check(structure: Structure, messages: Sequence[Message], file_nbytes: int) -> Reading[None]:
    """Nothing, where heaps and trees that ``messages`` lead to begin as they should, and all links are there.

    Records of attributes are left to ``dense_records``: libhdf5 does not need all of them for one attribute.

    Raises:
        FormatError: what is there instead.
    """
    found = list(dense_places(messages))
    heaps, trees = [heap for heap, _ in found], [tree for _, trees in found for tree in trees]
    wanted = [(address, address + HEAP_HEAD_NBYTES) for address in heaps]
    pieces = yield wanted + [(address, address + TREE_HEAD_NBYTES) for address in trees]
    for address, data in zip(heaps, pieces, strict=False):
        check_heap_head(structure, address, data)
    for address, data in zip(trees, pieces[len(heaps) :], strict=True):
        check_tree_head(structure, address, data, _RECORD_NBYTES)
    yield from dense_records(structure, messages, LINK_INFO, file_nbytes)


def dense_records(
    structure: Structure, messages: Sequence[Message], kind: int, file_nbytes: int, may_share: bool = False
) -> Reading[None]:
    """Nothing, where all records of links or attributes, as ``kind`` says, lead to objects of their heap.

    ``may_share`` says that they may lead to the heap of what objects have in common as well.

    Raises:
        FormatError: where they lead instead.
    """
    for heap, trees in dense_places(messages, (kind,)):
        opened = yield from opened_heap(structure, heap)
        if opened.is_filtered and kind == ATTRIBUTE_INFO:
            raise structure.damage(heap, "a heap with filters, which attributes have none of")
        for tree in trees:
            rows = yield from btree_v2_rows(structure, tree, _record_form, file_nbytes)
            shared = rows["flags"] & _SHARED != 0 if kind == ATTRIBUTE_INFO else np.zeros(len(rows), bool)
            if shared.any() and not may_share:
                raise structure.damage(tree, "a record of a shared attribute, and the file has nothing to share")
            yield from opened.objects([bytes(row) for row in rows["id"][~shared]])


def _record_form(kind: int, nbytes: int) -> np.dtype[Any] | None:
    return _RECORDS[kind] if _RECORD_NBYTES.get(kind) == nbytes else None


def dense_places(messages: Sequence[Message], kinds: Sequence[int] = DENSE) -> Iterator[tuple[int, list[int]]]:
    """The heap and the trees that each message of some kinds leads to."""
    for message in messages:
        if message.kind not in kinds or len(message.body) < 2:
            continue
        tracked, indexed = message.body[1] & 1, message.body[1] >> 1 & 1
        start, count = 2 + _LARGEST_ORDER_NBYTES[message.kind] * tracked, 2 + indexed
        if len(message.body) >= start + 8 * count:
            heap, *trees = struct.unpack_from(f"<{count}Q", message.body, start)
            if heap != _NOWHERE:
                yield heap, [tree for tree in trees if tree != _NOWHERE]
