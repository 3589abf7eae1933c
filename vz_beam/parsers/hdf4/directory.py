"""The directory of an HDF4 file: what each data element is, and where.

Source: HDF4 Specification, chapters 2 (data descriptors) and 10 (extended tags: linked blocks).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vz_beam.errors import FormatError, TruncatedFileError
from vz_beam.storage.byte_source import ByteSource

MAGIC = b"\x0e\x03\x13\x01"
SPECIAL = 0x4000
"""Of a tag whose element begins with a description of where its bytes are."""
LINKED, EXTERNAL, COMPRESSED, CHUNKED = 1, 2, 3, 5
"""Kinds of such descriptions."""
_NULL = 1
_LINK_TAG = 20
_HEAD_NBYTES = 6
_ENTRY_NBYTES = 12
_LINKED_NBYTES = 16
_MOST_BLOCKS = 100_000
_MOST_NBYTES = 2**26
"""Of an element that is read: headers, attributes, tables of chunks."""


@dataclass(frozen=True, slots=True)
class Element:
    """One data descriptor: ``tag`` without its special bit, ``is_special``; ``start`` and ``nbytes``, bytes."""

    tag: int
    ref: int
    start: int
    nbytes: int
    is_special: bool


class Directory:
    """All data descriptors of a file.

    Raises:
        FormatError: no HDF4 file, or a damaged one; TruncatedFileError where it is too short.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.size = source.size()
        self.elements: dict[tuple[int, int], Element] = {}
        head = source.read_head(len(MAGIC))
        if not head:
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        if head != MAGIC:
            raise FormatError(f"{source.url} is no HDF4 file: it begins with {head!r}. Way out: leave it out")
        place = len(MAGIC)
        seen: set[int] = set()
        while place:
            if place in seen or len(seen) > _MOST_BLOCKS:
                raise self.damaged(f"its directory comes back to byte {place:,}")
            seen.add(place)
            place = self._block(place)

    def _block(self, place: int) -> int:
        count, after = struct.unpack(">HI", self.read(place, _HEAD_NBYTES, "the directory"))
        data = self.read(place + _HEAD_NBYTES, count * _ENTRY_NBYTES, "the directory")
        for tag, ref, start, nbytes in struct.iter_unpack(">HHii", data):
            if tag != _NULL and start >= 0 and nbytes >= 0:
                plain = tag & ~SPECIAL if tag < 0x8000 else tag
                self.elements[plain, ref] = Element(plain, ref, start, nbytes, plain != tag)
        return int(after)

    def damaged(self, what: str) -> FormatError:
        """An error that names the file."""
        return FormatError(f"{self.source.url}: {what}. Way out: fetch it again, or leave it out")

    def read(self, start: int, nbytes: int, what: str) -> bytes:
        """Bytes of the file.

        Raises:
            TruncatedFileError: the file ends before.
        """
        if nbytes > _MOST_NBYTES:
            raise self.damaged(f"{what} would have {nbytes:,} bytes")
        if start < 0 or start + nbytes > self.size:
            raise TruncatedFileError(
                f"{self.source.url}: {what} is at the bytes {start:,} to {start + nbytes:,}, and the file has "
                f"{self.size:,}. Way out: fetch it again, or leave it out"
            )
        return self.source.read(start, start + nbytes) if nbytes else b""

    def get(self, tag: int, ref: int) -> Element | None:
        """The element of that tag and number."""
        return self.elements.get((tag, ref))

    def of_tag(self, tag: int) -> list[Element]:
        """All elements of a tag, in the order of the directory."""
        return [element for element in self.elements.values() if element.tag == tag]

    def data(self, element: Element) -> bytes:
        """The bytes of a small element, also where they are in linked blocks."""
        if not element.is_special:
            return self.read(element.start, element.nbytes, f"element {element.tag}/{element.ref}")
        return b"".join(
            self.read(start, nbytes, f"element {element.tag}/{element.ref}") for start, nbytes in self.pieces(element)
        )

    def pieces(self, element: Element) -> list[tuple[int, int]]:
        """(start, nbytes) of the runs of bytes that an element is made of, those that follow each other as one.

        Raises:
            FormatError: an element that is stored in another way.
        """
        if not element.is_special:
            return [(element.start, element.nbytes)] if element.nbytes else []
        header = self.special(element)
        (kind,) = struct.unpack_from(">H", header)
        if kind != LINKED or len(header) < _LINKED_NBYTES:
            raise self.damaged(f"element {element.tag}/{element.ref} is stored in an unknown way ({kind})")
        total, _, count, ref = struct.unpack_from(">iiiH", header, 2)
        runs: list[tuple[int, int]] = []
        left = total
        seen: set[int] = set()
        while ref and left > 0:
            if ref in seen or len(seen) > _MOST_BLOCKS or not 0 < count <= _MOST_BLOCKS:
                raise self.damaged(f"the blocks of element {element.tag}/{element.ref} are not in order")
            seen.add(ref)
            table = self.get(_LINK_TAG, ref)
            if table is None:
                raise self.damaged(f"the table of blocks {ref} is absent")
            words = struct.unpack(f">{1 + count}H", self.read(table.start, 2 + 2 * count, "a table of blocks"))
            for number in words[1:]:
                if left <= 0:
                    break
                found = self.get(_LINK_TAG, number) if number else None
                if found is None:
                    raise self.damaged(f"a block of element {element.tag}/{element.ref} was never written")
                size = min(left, found.nbytes)
                if runs and sum(runs[-1]) == found.start:
                    runs[-1] = (runs[-1][0], runs[-1][1] + size)
                else:
                    runs.append((found.start, size))
                left -= size
            ref = words[0]
        if left > 0:
            raise self.damaged(f"element {element.tag}/{element.ref} lacks {left:,} of its {total:,} bytes")
        return runs

    def special(self, element: Element) -> bytes:
        """The description of where the bytes of a special element are."""
        return self.read(element.start, element.nbytes, f"the description of element {element.tag}/{element.ref}")
