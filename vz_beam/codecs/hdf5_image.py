"""An HDF5 file of one filtered chunk, made in memory.

Written by hand rather than by libhdf5: creating a dataset recomputes the values of nbit, scaleoffset, szip and
Blosc from the dataset's type, while a header that is only read is believed.
Source: HDF5 file format specification 3.0, sections II.A "Superblock" and IV.A "Object Headers".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

DATASET = b"c"
"""The one dataset: uint8[nbytes], in one chunk."""
MAX_NBYTES = 2**32 - 1
"""Largest chunk of layout version 4, bytes."""

_UNDEFINED = 2**64 - 1
_SUPERBLOCK_NBYTES = 96
_DATASPACE, _LINK_INFO, _DATATYPE, _FILL_VALUE, _LINK, _LAYOUT, _FILTERS = 1, 2, 3, 5, 6, 8, 11
_UINT8 = struct.pack("<BBBBIHH", 0x10, 0, 0, 0, 1, 0, 8)
_LATE_UNDEFINED_FILL = bytes([3, 0x02 | 2 << 2])


def chunk_image(filters: Sequence[tuple[int, Sequence[int]]], data: bytes, nbytes: int) -> bytes:
    """A file whose only dataset is one chunk of ``nbytes`` bytes, stored as ``data``.

    Args:
        filters: number and values of each, in encoding order.
        data: the filtered chunk.
        nbytes: size of the decoded chunk, bytes, from 1 to ``MAX_NBYTES``.
    """
    dataset_address = _SUPERBLOCK_NBYTES + len(_root(0))
    data_address = dataset_address + len(_dataset(filters, len(data), nbytes, 0))
    return b"".join(
        (
            _superblock(data_address + len(data)),
            _root(dataset_address),
            _dataset(filters, len(data), nbytes, data_address),
            data,
        )
    )


def _superblock(end: int) -> bytes:
    """Version 0, the only one without a checksum."""
    versions = struct.pack("<8B", 0, 0, 0, 0, 0, 8, 8, 0)
    nodes = struct.pack("<HHI", 4, 16, 0)
    addresses = struct.pack("<4Q", 0, _UNDEFINED, end, _UNDEFINED)
    root = struct.pack("<QQII16x", 0, _SUPERBLOCK_NBYTES, 0, 0)
    return b"\x89HDF\r\n\x1a\n" + versions + nodes + addresses + root


def _root(dataset_address: int) -> bytes:
    link_info = struct.pack("<BBQQ", 0, 0, _UNDEFINED, _UNDEFINED)
    link = struct.pack("<BBB", 1, 0, len(DATASET)) + DATASET + struct.pack("<Q", dataset_address)
    return _header(_message(_LINK_INFO, link_info), _message(_LINK, link))


def _dataset(filters: Sequence[tuple[int, Sequence[int]]], stored: int, nbytes: int, address: int) -> bytes:
    return _header(
        _message(_DATASPACE, struct.pack("<BBBBQ", 2, 1, 0, 1, nbytes)),
        _message(_DATATYPE, _UINT8),
        _message(_FILL_VALUE, _LATE_UNDEFINED_FILL),
        _message(_FILTERS, struct.pack("<BB", 2, len(filters)) + b"".join(_filter(*each) for each in filters)),
        _message(_LAYOUT, _layout(stored, nbytes, address)),
    )


def _filter(identifier: int, values: Sequence[int]) -> bytes:
    no_name = struct.pack("<H", 0) if identifier >= 256 else b""
    return struct.pack("<H", identifier) + no_name + struct.pack(f"<HH{len(values)}I", 0, len(values), *values)


def _layout(stored: int, nbytes: int, address: int) -> bytes:
    """Version 4: a single chunk, flag 2 since it is filtered; its lengths take as few bytes as they need."""
    width = (nbytes.bit_length() + 7) // 8
    lengths = nbytes.to_bytes(width, "little") + (1).to_bytes(width, "little")
    return struct.pack("<BBBBB", 4, 2, 2, 2, width) + lengths + struct.pack("<BQIQ", 1, stored, 0, address)


def _message(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack("<HHB3x", kind, len(body), 0) + body


def _header(*messages: bytes) -> bytes:
    """Version 1, which has no checksum either."""
    body = b"".join(messages)
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body
