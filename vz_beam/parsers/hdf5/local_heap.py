"""The local heap, where groups keep the names of links and datasets those of raw files, checked before libhdf5 looks.

Source: HDF5 file format specification 4.0, sections III.D, "Disk Format: Level 1D - Local Heaps", IV.A.2.h, "The Data
Storage - External Data Files Message", and IV.A.2.r, "The Symbol Table Message".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from vz_beam.parsers.hdf5.global_heap import HeapDamage
from vz_beam.parsers.hdf5.object_header import Message, Read

_HEAD = struct.Struct("<4sB3xQQQ")
_FREE = struct.Struct("<QQ")
_USUAL_BYTES = 512
"""The head and the names of a few links behind it, as libraries place them."""
_LAST = 1
"""What stands in the place of the next stretch of free space behind the last one."""
NAMED_IN_HEAP = (0x07, 0x11)
"""Messages that lead to such a heap: of raw files, and of the links of old groups."""


def heap_addresses_of(messages: Sequence[Message]) -> Iterator[int]:
    """The local heaps that an object header names."""
    for message in messages:
        if message.kind in NAMED_IN_HEAP and len(message.body) >= 16:
            yield int.from_bytes(message.body[8:16], "little")


def check_local_heap(read: Read, address: int) -> None:
    """Raise where libhdf5 would go round in the free space of the heap at ``address`` until memory ends.

    All other damage it finds itself.

    Args:
        read: of the file.
        address: of the heap.

    Raises:
        HeapDamage: says so.
    """
    around = read(address, address + _USUAL_BYTES)
    if len(around) < _HEAD.size or not around.startswith(b"HEAP"):
        return
    _, _, nbytes, place, start = _HEAD.unpack_from(around)
    if place == _LAST or place >= nbytes:
        return
    if address <= start and start + nbytes <= address + len(around):
        data = around[start - address : start - address + nbytes]
    else:
        data = read(start, start + nbytes)
    left = len(data) // _FREE.size
    while place != _LAST and place + _FREE.size <= len(data):
        if not left:
            raise HeapDamage(f"the free space of the local heap at address {address} leads round in a circle")
        left -= 1
        place, _ = _FREE.unpack_from(data, place)
