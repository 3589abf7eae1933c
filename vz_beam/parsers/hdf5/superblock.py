"""Where a file begins: its superblock.

Source: HDF5 file format specification 4.0, section II.A, "Disk Format: Level 0A - Format Signature and Superblock".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIRST_USER_BLOCK = 512
ADDRESS_BYTES = 8
"""Size of addresses and lengths that is decoded here: that of every file since 1998 but a few test files."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """What a superblock says: ``start``, the byte where it stands, and ``root``, the address of the root group."""

    start: int
    root: int


def superblock_start(head: bytes) -> int | None:
    """Where in ``head`` the signature stands: at byte 0, 512, 1024, 2048 and so on; ``None`` for no HDF5 file.

    >>> superblock_start(bytes(512) + SIGNATURE), superblock_start(b"CDF" + bytes(512))
    (512, None)
    """
    start = 0
    while start < len(head):
        if head.startswith(SIGNATURE, start):
            return start
        start = start * 2 or _FIRST_USER_BLOCK
    return None


def read_superblock(head: bytes) -> Superblock | None:
    """The superblock in the first bytes of a file; ``None`` where only libhdf5 reads it, or it is not there."""
    start = superblock_start(head)
    if start is None:
        return None
    try:
        version = head[start + 8]
        if version in (0, 1):
            sizes, place = head[start + 13 : start + 15], start + (24 if version == 0 else 28)
            place += 4 * ADDRESS_BYTES + ADDRESS_BYTES  # four addresses, then the name of the root group's entry
        elif version in (2, 3):
            sizes, place = head[start + 9 : start + 11], start + 12 + 3 * ADDRESS_BYTES
        else:
            return None
        if sizes != bytes((ADDRESS_BYTES, ADDRESS_BYTES)):
            return None
        (root,) = struct.unpack_from("<Q", head, place)
    except (struct.error, IndexError):
        return None
    return Superblock(start, root)
