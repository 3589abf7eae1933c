"""Where the messages of a GRIB file are, and what their headers say; values are not read.

Source: as of :mod:`vz_beam.codecs.grib_sections`; large messages of edition 1: https://confluence.ecmwf.int/display/ECC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vz_beam.codecs.grib_sections import END, LONG_HEAD, MAGIC, SHORT_HEAD, length_2
from vz_beam.errors import FormatError, TruncatedFileError
from vz_beam.storage.byte_source import ByteSource

_SEARCHED_BYTES = 2**20
"""Bytes between messages are looked through in pieces of this size."""
_LARGE = 0x800000
_LARGE_UNIT = 120
_MOST_HEADER_BYTES = 2**26
_FIRST_BYTES = 4096
"""Of a message that are read first: the sections before the values of most."""
_SHORTEST = 20
_BITMAP, _DATA = 6, 7


@dataclass(frozen=True, slots=True)
class Place:
    """A message: ``start`` and ``length`` in the file, bytes, and its beginning up to the values of its last field."""

    start: int
    length: int
    head: bytes


def read_places(source: ByteSource) -> Iterator[Place]:
    """Each message in turn.

    Raises:
        FormatError: no message at all, or a damaged one; TruncatedFileError where the last one is cut.
    """
    size, position, found = source.size(), 0, 0
    while (start := _next(source, position, size)) is not None:
        place = _place(source, start, size)
        yield place
        found += 1
        position = start + place.length
    if not found:
        raise FormatError(f"{source.url} holds no GRIB message. Way out: fetch it again, or leave it out")


def _next(source: ByteSource, position: int, size: int) -> int | None:
    """Where the next message begins; what is between messages is passed over.

    Raises:
        TruncatedFileError: the file ends in the first bytes of a message.
    """
    while position < size:
        data = source.read(position, min(size, position + SHORT_HEAD))
        if data[:4] == MAGIC[: len(data)]:
            if position + _SHORTEST > size:
                raise TruncatedFileError(
                    f"{source.url} ends {size - position} bytes after the beginning of a message at byte {position:,}. "
                    "Way out: fetch it again, or leave it out"
                )
            if data[7:8] in (b"\x01", b"\x02"):
                return position
        data = source.read(position, min(size, position + _SEARCHED_BYTES))
        place = data.find(MAGIC, 1)
        position += place if place > 0 else max(1, len(data) - len(MAGIC) + 1)
    return None


def _place(source: ByteSource, start: int, size: int) -> Place:
    head = source.read(start, min(size, start + LONG_HEAD))
    if head[7] == 2:
        length = length_2(head)
        _check_length(source, start, length, size)
        return Place(start, length, _head_2(source, start, length))
    length = int.from_bytes(head[4:7], "big")
    data = source.read(start, min(size, start + _FIRST_BYTES))
    stop = _end_of_header_1(source, start, data)
    if stop > len(data):
        data = source.read(start, min(size, start + stop))
        stop = _end_of_header_1(source, start, data)
    if length & _LARGE:
        sections = source.read(start + stop, min(size, start + stop + 3))
        values = int.from_bytes(sections, "big")
        if values < _LARGE_UNIT:  # then the length counts in units, less what is told here
            length = (length & (_LARGE - 1)) * _LARGE_UNIT - values + 4
    _check_length(source, start, length, size)
    return Place(start, length, data[:stop])


def _check_length(source: ByteSource, start: int, length: int, size: int) -> None:
    if length < _SHORTEST:
        raise FormatError(
            f"{source.url}: the message at byte {start:,} says that it has {length} bytes. Way out: fetch it again"
        )
    if start + length > size:
        raise TruncatedFileError(
            f"{source.url}: the message at byte {start:,} has {length:,} bytes, and the file ends after "
            f"{size - start:,} of them. Way out: fetch the file again, or leave it out"
        )
    end = source.read(start + length - len(END), start + length)
    if end != END:
        raise FormatError(
            f"{source.url}: the message at byte {start:,} ends with {end!r} and not with {END!r}. "
            "Way out: fetch the file again, or leave it out"
        )


def _end_of_header_1(source: ByteSource, start: int, data: bytes) -> int:
    """Where section 4 of edition 1 begins, or the bitmap before it, from the start of the message."""
    position = SHORT_HEAD
    length = int.from_bytes(data[position : position + 3], "big")
    flags = data[position + 7] if len(data) > position + 7 else 0
    position += length
    if flags & 0x80 and position + 3 <= len(data):
        position += int.from_bytes(data[position : position + 3], "big")
    if flags & 0x40:
        table = source.read(start + position, min(source.size(), start + position + 3))
        return position + int.from_bytes(table, "big") if int.from_bytes(data[4:7], "big") & _LARGE else position
    if position > _MOST_HEADER_BYTES:
        raise FormatError(f"{source.url}: the sections of the message at byte {start:,} are too long")
    return position


def _head_2(source: ByteSource, start: int, length: int) -> bytes:
    """All sections of edition 2 but bitmaps and values, of which the first bytes are kept as whole sections."""
    data = source.read(start, start + min(length, _FIRST_BYTES))
    parts, position, kept = [data[:LONG_HEAD]], LONG_HEAD, LONG_HEAD
    while position < length - len(END):
        prefix = _range(source, start, data, position, position + 6)
        nbytes, kind = int.from_bytes(prefix[:4], "big"), prefix[4]
        if nbytes < 5 or position + nbytes > length - len(END) or not 1 <= kind <= _DATA:
            raise FormatError(
                f"{source.url}: the message at byte {start:,} has a section {kind} of {nbytes:,} bytes at its byte "
                f"{position:,}. Way out: fetch the file again, or leave it out"
            )
        if kind == _DATA:
            parts.append(b"\0\0\0\x05\x07")
        elif kind == _BITMAP:
            parts.append(b"\0\0\0\x06\x06" + prefix[5:6])
        else:
            kept += nbytes
            if kept > _MOST_HEADER_BYTES:
                raise FormatError(f"{source.url}: the sections of the message at byte {start:,} are too long")
            parts.append(_range(source, start, data, position, position + nbytes))
        position += nbytes
    return b"".join(parts)


def _range(source: ByteSource, start: int, data: bytes, first: int, stop: int) -> bytes:
    return data[first:stop] if stop <= len(data) else source.read(start + first, start + stop)
