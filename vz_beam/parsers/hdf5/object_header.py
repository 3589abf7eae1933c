"""The data layout message of an object header: where the index of a chunked dataset begins, which h5py does not tell.

Source: HDF5 file format specification 3.0, sections IV.A.1, "Object Headers", and IV.A.2.i, "The Data Layout Message".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_HEAD_BYTES = 1024
"""Read at once: the header of most datasets up to their attributes, before which libraries write the layout."""
_MOST_BLOCKS = 1000
"""Continuation blocks of one header; more are a cycle."""
_LAYOUT, _CONTINUATION = 0x08, 0x10
_CHUNKED = 2
_TIMES_STORED, _PHASE_CHANGE_STORED, _ORDER_TRACKED = 0x20, 0x10, 0x04
_OCHK_BYTES, _CHECKSUM_BYTES = 4, 4

Read = Callable[[int, int], bytes]
"""``read(start, stop)``, addresses of the format: bytes from the base address on; short at the end of the file."""


@dataclass(frozen=True, slots=True)
class ChunkTreeRoot:
    """A chunk index that is a version 1 B-tree.

    ``address`` is of its root, ``None`` where nothing was ever written; ``chunk_shape`` as the file has it.
    """

    address: int | None
    chunk_shape: tuple[int, ...]


def chunk_tree_root(read: Read, address: int) -> ChunkTreeRoot | None:
    """The root of the B-tree of the chunked dataset whose object header is at ``address``.

    ``None`` for another kind of index, and for a header that is not as expected: libhdf5, which has read it, knows it.
    Addresses and lengths have to be of 8 bytes in this file.
    """
    try:
        for kind, body in _messages(read, address):
            if kind == _LAYOUT:
                return _chunk_tree_root(body)
    except struct.error:
        pass
    return None


def _chunk_tree_root(body: bytes) -> ChunkTreeRoot | None:
    version = body[0]
    if version in (1, 2):
        _, count, kind, _, root = struct.unpack_from("<BBB5sQ", body)
        dimensions_at = 16
    elif version == 3:
        _, kind, count, root = struct.unpack_from("<BBBQ", body)
        dimensions_at = 11
    else:
        return None
    if kind != _CHUNKED:
        return None
    *chunk_shape, _ = struct.unpack_from(f"<{count}I", body, dimensions_at)  # the last is the size of an element
    return ChunkTreeRoot(None if root == 2**64 - 1 else root, tuple(chunk_shape))


def _messages(read: Read, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message, those of continuation blocks included."""
    head = read(address, address + _HEAD_BYTES)
    if head.startswith(b"OHDR"):
        flags = head[5]
        start = 6 + (16 if flags & _TIMES_STORED else 0) + (4 if flags & _PHASE_CHANGE_STORED else 0)
        width = 1 << (flags & 3)
        nbytes = int.from_bytes(head[start : start + width], "little")
        start += width
        unpack, margin, tail = (_new_message(flags), _OCHK_BYTES, _CHECKSUM_BYTES)
    else:
        nbytes, start = struct.unpack_from("<I", head, 8)[0], 16
        unpack, margin, tail = _OLD_MESSAGE, 0, 0
    block = head[start : start + nbytes]
    if len(block) < nbytes:
        block += read(address + start + len(block), address + start + nbytes)
    blocks = [block]
    for number, block in enumerate(blocks):
        if number == _MOST_BLOCKS:
            return
        place = 0
        while place + unpack.size <= len(block):
            kind, size = unpack.unpack_from(block, place)[:2]
            body = block[place + unpack.size : place + unpack.size + size]
            place += unpack.size + size
            if kind == _CONTINUATION:
                first, length = struct.unpack_from("<QQ", body)
                blocks.append(read(first + margin, first + length - tail))
            else:
                yield kind, body


_OLD_MESSAGE = struct.Struct("<HHB3x")
"""Type, size, flags."""


def _new_message(flags: int) -> struct.Struct:
    return struct.Struct("<BHBH" if flags & _ORDER_TRACKED else "<BHB")
