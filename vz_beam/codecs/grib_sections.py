"""The sections of GRIB messages, and messages of one field that are made of them.

Source: WMO Manual on Codes, FM 92 GRIB edition 1 and edition 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vz_beam.errors import FormatError

MAGIC, END = b"GRIB", b"7777"
SHORT_HEAD = 8
"""Of edition 1; edition 2 has 16 bytes."""
LONG_HEAD = 16
_BITMAP, _DATA = 6, 7
_NO_BITMAP = b"\0\0\0\x06\x06\xff"
_NO_DATA = b"\0\0\0\x05\x07"
_HAS_GRID, _HAS_BITMAP = 0x80, 0x40
_CONSTANT_BYTES = 12
"""Of a data section of edition 1 whose values take no bits."""
_SECTION_1_BYTES = 28


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Args:
        header: a message with the field's own sections and no values, from which its grid and meaning are read.
        has_bitmap: whether some of its points have no value.
    """

    header: bytes
    has_bitmap: bool


def fields_of(data: bytes) -> list[Field]:
    """The fields of a message, or of its beginning up to the values of its last field.

    Raises:
        FormatError: sections that do not follow each other as in any message.
    """
    if data[7] == 1:
        return [_field_1(data)]
    return [
        Field(_message_2([*sections, _NO_BITMAP, _NO_DATA], data[:LONG_HEAD]), bitmap)
        for sections, bitmap in _fields_2(data)
    ]


def single_field(data: bytes, number: int) -> bytes:
    """The field of that number as a message of its own, values included; the message itself where it has only one.

    Raises:
        FormatError: there is no such field.
    """
    if data[7] != 2:
        return data
    kept: dict[int, bytes] = {}
    found, bitmap = -1, _NO_BITMAP
    several = 0
    result = b""
    for kind, section in _sections_2(data):
        if kind == _BITMAP:
            # 254 stands for the bitmap that the message has told before
            bitmap = bitmap if section[5:6] == b"\xfe" else section
        elif kind == _DATA:
            several += 1
            found += 1
            if found == number:
                parts = [kept[each] for each in sorted(kept)]
                result = _message_2([*parts, bitmap, section], data[:LONG_HEAD])
        else:
            kept[kind] = section
    if not result:
        raise FormatError(f"a GRIB message has {several} fields, and number {number} was asked for")
    return data if several == 1 else result


def length_2(head: bytes) -> int:
    """Of a message of edition 2, bytes, by its first 16."""
    return int.from_bytes(head[8:16], "big")


def _message_2(sections: list[bytes], head: bytes) -> bytes:
    body = b"".join(sections) + END
    return head[:8] + (LONG_HEAD + len(body)).to_bytes(8, "big") + body


def _sections_2(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each section of edition 2 that is whole; of values also the beginning."""
    position, end = LONG_HEAD, len(data)
    while position + 5 <= end and data[position : position + 4] != END:
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4]
        if length < 5 or not 1 <= kind <= 7:
            raise FormatError(
                f"a section at byte {position:,} of a GRIB message has the number {kind} and {length} bytes"
            )
        yield kind, data[position : position + length]
        position += length


def _fields_2(data: bytes) -> Iterator[tuple[list[bytes], bool]]:
    """Sections 1 to 5 of each field, and whether it has a bitmap."""
    kept: dict[int, bytes] = {}
    has_bitmap, is_told = False, True
    for kind, section in _sections_2(data):
        if kind == _BITMAP:
            has_bitmap = section[5:6] != b"\xff"
        elif kind == _DATA:
            yield [kept[each] for each in sorted(kept)], has_bitmap
            is_told = True
        else:
            kept[kind] = section
            is_told = False
    if not is_told:  # the values of the last field were not given
        yield [kept[each] for each in sorted(kept)], has_bitmap


def _field_1(data: bytes) -> Field:
    start = SHORT_HEAD
    length = int.from_bytes(data[start : start + 3], "big")
    if length < _SECTION_1_BYTES or start + length > len(data):
        raise FormatError(f"section 1 of a GRIB message has {length} bytes")
    flags = data[start + 7]
    product = bytearray(data[start : start + length])
    product[7] &= ~_HAS_BITMAP & 0xFF
    position = start + length
    grid = b""
    if flags & _HAS_GRID:
        length = int.from_bytes(data[position : position + 3], "big")
        if length < 6 or position + length > len(data):
            raise FormatError(f"section 2 of a GRIB message has {length} bytes")
        grid = data[position : position + length]
    constant = _CONSTANT_BYTES.to_bytes(3, "big") + bytes([0x08]) + bytes(_CONSTANT_BYTES - 4)
    body = bytes(product) + grid + constant + END
    return Field(MAGIC + (SHORT_HEAD + len(body)).to_bytes(3, "big") + b"\x01" + body, bool(flags & _HAS_BITMAP))
