"""What the values of an HDF5 filter and the first bytes of its chunk promise, looked at before libhdf5 trusts them.

Source: HDF5 file format specification 3.0, section IV.A.2.l. Where libhdf5 2.0 does not look itself was measured.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from vz_beam.codecs.filter_names import FILTER_NAMES, HTJ2K, NBIT, SCALEOFFSET, SZIP, ZFP
from vz_beam.errors import FormatError

_NBIT_ATOMIC, _NBIT_ARRAY, _NBIT_COMPOUND, _NBIT_PLAIN = 1, 2, 3, 4
_SCALEOFFSET_HEADER = 21
"""Bits of a number, 4 bytes; size of the minimum, 1 byte; the minimum and some room, 16 bytes."""
_SCALEOFFSET_INTEGER = 2
_SCALEOFFSET_VALUES = 20
_JPEG_2000 = b"\xff\x4f\xff\x51"
"""Start of a codestream, and of the sizes of its image: two bytes of length, two of capabilities, width, height, ..."""
_ROOM_BYTES = 64
"""Behind a chunk, for decoders that read a word at once."""


def check_values(identifier: int, values: Sequence[int], nbytes: int) -> None:
    """Nothing, where the values of a filter can be those of a chunk of ``nbytes`` bytes.

    Raises:
        FormatError: they cannot.
    """
    check = _CHECKS.get(identifier)
    if check is None:
        return
    try:
        right = check(values, nbytes)
    except (IndexError, ValueError, RecursionError):
        right = False
    if not right:
        raise FormatError(f"{FILTER_NAMES[identifier]} with the values {list(values)} in a chunk of {nbytes} bytes")


def checked_chunk(identifier: int, values: Sequence[int], data: bytes, nbytes: int) -> bytes:
    """The chunk with room behind it, where libhdf5 would otherwise read on.

    Raises:
        FormatError: values or chunk that cannot be right.
    """
    check_values(identifier, values, nbytes)
    if identifier == SZIP:
        found = int.from_bytes(data[:4], "little")
        if len(data) <= 4 or found != nbytes:
            raise FormatError(f"{len(data)} bytes are no szip chunk of {nbytes} bytes: they say {found}")
        return data
    if identifier == HTJ2K:
        # A damaged size of the image made the decoder take 6 GB of memory.
        if not data.startswith(_JPEG_2000) or data[8:24] != struct.pack(">4I", *values[2:4], 0, 0):
            raise FormatError(f"{len(data)} bytes are no HTJ2K chunk of {list(values[2:4])} pixels")
        return data
    if identifier == ZFP:
        return data + bytes(2 * nbytes + _ROOM_BYTES)  # zfp does not look where its stream ends
    if identifier in (NBIT, SCALEOFFSET):
        least = _nbit_nbytes(values, nbytes) if identifier == NBIT else _scaleoffset_nbytes(values, data, nbytes)
        if len(data) < least:
            name = FILTER_NAMES[identifier]
            raise FormatError(f"{len(data)} bytes are no {name} chunk of {nbytes} bytes: they should be {least}")
        return data if _is_raw(identifier, values) else data + bytes(_ROOM_BYTES)
    return data


def has_partial_blocks(values: Sequence[int]) -> bool:
    """Whether the scanlines of an szip stream are no whole number of blocks."""
    return values[3] % values[1] != 0


def _htj2k_fits(values: Sequence[int], nbytes: int) -> bool:
    # version, bytes of a pixel and 128 where signed, width, height, components
    _, pixel, width, height, components = values[:5] if len(values) >= 5 else (0, 0, 0, 0, 0)
    return (pixel & 127) * width * height * components == nbytes


def _szip_fits(values: Sequence[int], nbytes: int) -> bool:
    # options, pixels per block, bits per pixel, pixels per scanline
    _, block, bits, scanline = values[:4] if len(values) >= 4 else (0, 0, 0, 0)
    return 2 <= block <= 32 and block % 2 == 0 and 1 <= bits <= 64 and 0 < scanline <= 4096 and nbytes > 0


def _scaleoffset_fits(values: Sequence[int], nbytes: int) -> bool:
    # kind, factor, elements, class, size of an element, sign, order, whether there is a fill value, the fill value
    return len(values) >= _SCALEOFFSET_VALUES and values[2] * values[4] == nbytes and values[4] in (1, 2, 4, 8)


def _scaleoffset_nbytes(values: Sequence[int], data: bytes, nbytes: int) -> int:
    if _is_raw(SCALEOFFSET, values):
        return nbytes
    bits = int.from_bytes(data[:4], "little")
    if len(data) < _SCALEOFFSET_HEADER or bits > 8 * values[4]:
        raise FormatError(f"{len(data)} bytes are no scaleoffset chunk of {nbytes} bytes: they say {bits} bits")
    return _SCALEOFFSET_HEADER + -(-values[2] * bits // 8)


def _is_raw(identifier: int, values: Sequence[int]) -> bool:
    """Whether the filter leaves all chunks as they are."""
    if identifier == NBIT:
        return bool(values[1])
    return values[0] == _SCALEOFFSET_INTEGER and values[1] == 8 * values[4]


def _nbit_fits(values: Sequence[int], nbytes: int) -> bool:
    # number of values, whether nothing is to be done, elements, then the type
    if values[0] != len(values):
        return False
    if values[1]:
        return True
    size, _, end = _nbit_type(values, 3)
    return end == len(values) and size * values[2] == nbytes


def _nbit_nbytes(values: Sequence[int], nbytes: int) -> int:
    return nbytes if values[1] else -(-_nbit_type(values, 3)[1] * values[2] // 8)


def _nbit_type(values: Sequence[int], start: int) -> tuple[int, int, int]:
    """Bytes of an element, bits of it that are stored, and where the values of its type stop; -1 bytes: it is wrong.

    >>> _nbit_type([2, 6, 1, 2, 0, 12, 0], 0)
    (6, 36, 7)
    """
    kind, size = values[start], values[start + 1]
    if kind == _NBIT_PLAIN:
        return size, 8 * size, start + 2
    if kind == _NBIT_ATOMIC:
        _, precision, offset = values[start + 2 : start + 5]
        fits = precision > 0 and precision + offset <= 8 * size
        return size if fits else -1, precision, start + 5
    if kind == _NBIT_ARRAY:
        inner, bits, stop = _nbit_type(values, start + 2)
        fits = inner > 0 and size % inner == 0
        return size if fits else -1, bits * (size // inner) if fits else 0, stop
    if kind != _NBIT_COMPOUND:
        return -1, 0, start
    total, stop = 0, start + 3
    for _ in range(values[start + 2]):
        offset = values[stop]
        inner, bits, stop = _nbit_type(values, stop + 1)
        if inner < 0 or offset + inner > size:
            return -1, 0, stop
        total += bits
    return size, total, stop


_CHECKS: dict[int, Callable[[Sequence[int], int], bool]] = {
    SZIP: _szip_fits,
    NBIT: _nbit_fits,
    SCALEOFFSET: _scaleoffset_fits,
    HTJ2K: _htj2k_fits,
}
