"""How a chunked dataset is laid out: which chunk index it has, and where that begins.

Source: HDF5 file format specification 4.0, section IV.A.2.i, "The Data Layout Message".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vz_beam.parsers.hdf5.object_header import HeaderDamage, Message

_DATASPACE, _LAYOUT = 0x01, 0x08
_ELSEWHERE = 0x02
"""The flag of a message that only points at another."""
_CHUNKED, _VIRTUAL = 2, 3
_UNDEFINED = 2**64 - 1
_EDGES_UNFILTERED, _SINGLE_FILTERED = 0x01, 0x02


class IndexKind(Enum):
    """The chunk indexes, those of layout messages of version 4 by their numbers there."""

    BTREE_V1 = 0
    SINGLE = 1
    IMPLICIT = 2
    FIXED_ARRAY = 3
    EXTENSIBLE_ARRAY = 4
    BTREE_V2 = 5


@dataclass(frozen=True, slots=True)
class ChunkedLayout:
    """A chunked layout.

    Args:
        kind: of the index.
        address: where it begins; ``None`` where nothing was ever written.
        chunk_shape: as the file has it, elements.
        element_nbytes: bytes of an element.
        edges_unfiltered: whether chunks that reach over the shape skip all filters.
        single: stored size and filter mask of the one chunk of a ``SINGLE`` index that has filters.
    """

    kind: IndexKind
    address: int | None
    chunk_shape: tuple[int, ...]
    element_nbytes: int
    edges_unfiltered: bool = False
    single: tuple[int, int] | None = None


def chunked_layout(messages: Sequence[Message]) -> ChunkedLayout | None:
    """The layout that an object header tells; ``None`` where it is not chunked, or only libhdf5 reads it."""
    for message in messages:
        if message.kind == _LAYOUT:
            try:
                return _layout(message.body)
            except (struct.error, IndexError, ValueError):
                return None
    return None


def check_chunk_shape(messages: Sequence[Message]) -> None:
    """Raise where the chunks of a dataset cannot be its own: libhdf5 divides by their lengths when it opens it.

    Raises:
        HeaderDamage: chunks of no elements, or of other dimensions than the dataset has.
    """
    body = next((message.body for message in messages if message.kind == _LAYOUT and len(message.body) > 2), None)
    if body is None or body[2 if body[0] < 3 else 1] != _CHUNKED:
        return
    try:
        layout = _layout(body)
    except (struct.error, IndexError, ValueError):
        raise HeaderDamage("its data layout is none that is known") from None
    if layout is None:
        return
    spaces = [message.body for message in messages if message.kind == _DATASPACE and not message.flags & _ELSEWHERE]
    rank = spaces[0][1] if spaces and len(spaces[0]) > 1 else None
    if min(*layout.chunk_shape, layout.element_nbytes, 1) < 1 or rank not in (None, len(layout.chunk_shape)):
        raise HeaderDamage(f"chunks of {layout.chunk_shape} elements of {layout.element_nbytes} bytes")


def virtual_heap_place(messages: Sequence[Message]) -> tuple[int, int] | None:
    """The collection of the global heap, and the number in it, of the mappings of a virtual dataset."""
    for message in messages:
        if message.kind == _LAYOUT and len(message.body) >= 14 and message.body[0] >= 4 and message.body[1] == _VIRTUAL:
            address, number = struct.unpack_from("<QI", message.body, 2)
            return None if address == _UNDEFINED else (address, number)
    return None


def _layout(body: bytes) -> ChunkedLayout | None:
    version = body[0]
    if version in (1, 2):
        _, count, kind, _, address = struct.unpack_from("<BBB5sQ", body)
        start = 16
    elif version == 3:
        _, kind, count, address = struct.unpack_from("<BBBQ", body)
        start = 11
    elif version in (4, 5):
        return _indexed_layout(body) if body[1] == _CHUNKED else None
    else:
        return None
    if kind != _CHUNKED:
        return None
    *shape, element_nbytes = struct.unpack_from(f"<{count}I", body, start)
    return ChunkedLayout(IndexKind.BTREE_V1, _address(address), tuple(shape), element_nbytes)


def _indexed_layout(body: bytes) -> ChunkedLayout:
    flags, count, width = struct.unpack_from("<BBB", body, 2)
    start = 5 + count * width
    *shape, element_nbytes = (int.from_bytes(body[at : at + width], "little") for at in range(5, start, width))
    kind = IndexKind(body[start])
    start += 1
    single: tuple[int, int] | None = None
    if kind is IndexKind.SINGLE and flags & _SINGLE_FILTERED:
        single = struct.unpack_from("<QI", body, start)
    start += _PARAMETER_NBYTES[kind] if kind is not IndexKind.SINGLE or single else 0
    (address,) = struct.unpack_from("<Q", body, start)
    return ChunkedLayout(kind, _address(address), tuple(shape), element_nbytes, bool(flags & _EDGES_UNFILTERED), single)


_PARAMETER_NBYTES = {
    IndexKind.SINGLE: 12,
    IndexKind.IMPLICIT: 0,
    IndexKind.FIXED_ARRAY: 1,
    IndexKind.EXTENSIBLE_ARRAY: 5,
    IndexKind.BTREE_V2: 6,
}
"""What stands before the address; the heads of the indexes say it again, and more."""


def _address(address: int) -> int | None:
    return None if address == _UNDEFINED else address
