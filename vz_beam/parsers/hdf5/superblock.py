"""Where a file begins: its superblock.

Source: HDF5 file format specification 4.0, section II.A, "Disk Format: Level 0A - Format Signature and Superblock".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIRST_USER_BLOCK = 512
_FIRST_WITHOUT_ENTRY = 2
"""The version of superblocks from which on they have only the address of the root group, not its symbol table entry."""
_NOWHERE = 2**64 - 1
_GROUP_ENTRY = 1
"""The kind of symbol table entry that tells the B-tree and the heap of a group."""
ADDRESS_BYTES = 8
"""Size of addresses and lengths that is decoded here: that of every file since 1998 but a few test files."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """What a superblock says: ``start``, the byte where it stands, and ``root``, the address of the root group.

    ``root_heap`` is the address of the local heap of the root group, and ``extension`` that of the header of what does
    not fit into the superblock; ``None`` where the superblock does not say it.
    """

    start: int
    root: int
    root_heap: int | None = None
    extension: int | None = None


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
        root_heap: int | None = None
        if version < _FIRST_WITHOUT_ENTRY:
            cached, _, root_heap = struct.unpack_from("<I4xQQ", head, place + ADDRESS_BYTES)
            root_heap = root_heap if cached == _GROUP_ENTRY else None
        extension = int.from_bytes(head[place - 2 * ADDRESS_BYTES : place - ADDRESS_BYTES], "little")
    except (struct.error, IndexError):
        return None
    if version < _FIRST_WITHOUT_ENTRY or extension == _NOWHERE:
        return Superblock(start, root, root_heap)
    return Superblock(start, root, extension=extension)
