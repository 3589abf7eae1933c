"""The messages of an object header: what h5py does not tell (where a chunk index begins), or tells slowly.

Source: HDF5 file format specification 4.0, section IV.A.1, "Disk Format: Level 2A1 - Data Object Headers".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import NamedTuple

_HEAD_BYTES = 1024
"""Read at once: the header of most datasets up to their attributes, before which libraries write the layout."""
_MOST_BLOCKS = 1000
"""Continuation blocks of one header; more are a cycle."""
_CONTINUATION = 0x10
_TIMES_STORED, _PHASE_CHANGE_STORED, _ORDER_TRACKED = 0x20, 0x10, 0x04
_OCHK_BYTES, _CHECKSUM_BYTES = 4, 4

Read = Callable[[int, int], bytes]
"""``read(start, stop)``, addresses of the format: bytes from the base address on; short at the end of the file."""


class HeaderDamage(ValueError):
    """Something that stands in a header and cannot be."""


class Message(NamedTuple):
    """One message; ``order`` is that of the creation of attributes, 0 where the header does not keep it."""

    kind: int
    flags: int
    order: int
    body: bytes


def header_messages(read: Read, address: int) -> tuple[Message, ...]:
    """The messages of the object header at ``address``, those of continuation blocks included.

    None at all for a header that is not as expected: libhdf5, which has read it, knows it. Addresses and lengths have
    to be of 8 bytes in this file.
    """
    reading = message_reading(address)
    ranges = next(reading)
    try:
        while True:
            ranges = reading.send([read(start, stop) for start, stop in ranges])
    except StopIteration as stop:
        return tuple(stop.value)
    except (struct.error, IndexError):
        return ()


def message_reading(address: int) -> Generator[list[tuple[int, int]], list[bytes], list[Message]]:
    """The messages of the object header at ``address``: yields ranges of addresses, and is sent the bytes of each.

    Blocks that are named together are asked for together. Raises struct.error or IndexError for what is no header.
    """
    (head,) = yield [(address, address + _HEAD_BYTES)]
    if head.startswith(b"OHDR"):
        flags = head[5]
        start = 6 + (16 if flags & _TIMES_STORED else 0) + (4 if flags & _PHASE_CHANGE_STORED else 0)
        width = 1 << (flags & 3)
        nbytes = int.from_bytes(head[start : start + width], "little")
        start += width
        form = _ORDERED_MESSAGE if flags & _ORDER_TRACKED else _NEW_MESSAGE
        margin, tail = _OCHK_BYTES, _CHECKSUM_BYTES
    else:
        nbytes, start = struct.unpack_from("<I", head, 8)[0], 16
        form, margin, tail = _OLD_MESSAGE, 0, 0
    block = head[start : start + nbytes]
    if len(block) < nbytes:
        (more,) = yield [(address + start + len(block), address + start + nbytes)]
        block += more
    messages: list[Message] = []
    blocks = [block]
    count = 0
    while blocks:
        further: list[tuple[int, int]] = []
        for block in blocks:
            count += 1
            if count > _MOST_BLOCKS:
                return []
            place = 0
            while place + form.size <= len(block):
                kind, size, *rest = form.unpack_from(block, place)
                place += form.size
                body = block[place : place + size]
                place += size
                if kind == _CONTINUATION:
                    first, length = struct.unpack_from("<QQ", body)
                    further.append((first + margin, first + length - tail))
                else:
                    messages.append(Message(kind, rest[0], rest[1] if len(rest) > 1 else 0, body))
        blocks = (yield further) if further else []
    return messages


_OLD_MESSAGE = struct.Struct("<HHB3x")
_NEW_MESSAGE = struct.Struct("<BHB")
_ORDERED_MESSAGE = struct.Struct("<BHBH")
"""Type, size, flags and, in the last, order of creation."""
