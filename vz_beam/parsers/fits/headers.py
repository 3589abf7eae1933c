"""The headers of a FITS file: where each HDU is, and its keywords.

Source: FITS standard 4.0, sections 3.3 (blocks) and 4.4 (keywords).
"""

from __future__ import annotations

import importlib
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vz_beam.errors import FormatError, InputError, TruncatedFileError, UnsupportedError
from vz_beam.storage.byte_source import ByteSource

BLOCK = 2880
_CARD = 80
_MOST_HEADER_BYTES = 2**24
_MOST_HDUS = 20_000
_MOST_AXES = 999
_GZIP = b"\x1f\x8b"
_STRUCTURE = frozenset(
    ["SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS", "TFIELDS", "THEAP", "END", ""]
)
"""Keywords that say how the bytes lie, and nothing of what they mean."""
_OF_FIELDS = re.compile(r"^(NAXIS|TTYPE|TFORM|TUNIT|TBCOL|TDIM|TSCAL|TZERO|TNULL|TDISP|TCOMM|TUCD)\d+$")
_NAME_OF_TILES = "COMPRESSED_IMAGE"
"""What programs call a table of tiles, which is not the name of the image."""
_LONG_TEXTS = ("COMMENT", "HISTORY")


@dataclass(frozen=True, slots=True)
class HDU:
    """One header and where its data are.

    Args:
        number: from 0.
        header: of astropy.
        start: of its data, bytes.
        nbytes: of its data, bytes, without padding.
        naxis: lengths of the axes, NAXIS1 first.
    """

    number: int
    header: Any
    start: int
    nbytes: int
    naxis: tuple[int, ...]

    @property
    def kind(self) -> str:
        """``IMAGE``, ``BINTABLE``, ``TABLE`` or another word."""
        return "IMAGE" if self.number == 0 else str(self.header.get("XTENSION", "")).strip()

    @property
    def name(self) -> str:
        """What astropy calls it."""
        said = [str(card.value or "").strip() for card in self.header.cards if card.keyword == "EXTNAME"]
        name = next((name for name in said if name and name != _NAME_OF_TILES), "")
        return name or ("PRIMARY" if self.number == 0 else f"HDU_{self.number}")

    def attributes(self) -> dict[str, Any]:
        """The keywords that mean something, those of WCS among them."""
        found: dict[str, Any] = {}
        for card in self.header.cards:
            key = str(card.keyword)
            if key in _STRUCTURE or _OF_FIELDS.match(key):
                continue
            value = card.value
            if key in _LONG_TEXTS:
                found[key] = f"{found[key]}\n{value}" if key in found else str(value)
            elif isinstance(value, (bool, str, int)) or (isinstance(value, float) and math.isfinite(value)):
                found[key] = value
            elif isinstance(value, complex):
                found[key] = str(value)
        return found


def read_hdus(source: ByteSource) -> Iterator[HDU]:
    """Each HDU in turn; only headers are read.

    Raises:
        FormatError: no FITS file, or a damaged one; TruncatedFileError where it ends in a header or in data.
        UnsupportedError: a file that is compressed as a whole.
        InputError: astropy is not installed.
    """
    fits = _library()
    size = source.size()
    head = source.read_head(BLOCK)
    if head.startswith(_GZIP):
        raise UnsupportedError(
            f"{source.url} is compressed as a whole (gzip), and no part of it can be read without all before it. "
            "Way out: store it uncompressed (gunzip), or compress its images in tiles (fpack)"
        )
    if not head.startswith(b"SIMPLE"):
        raise FormatError(f"{source.url} is no FITS file: it begins with {head[:8]!r}. Way out: leave it out")
    position, number = 0, 0
    while position < size:
        text, start = _header_text(source, position, size)
        if text is None:
            break  # what stands behind the last HDU is no part of the file
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of what it mends in headers
            try:
                header = fits.Header.fromstring(text)
                hdu = _hdu(number, header, start)
            except (ValueError, KeyError, TypeError, IndexError, OverflowError, fits.VerifyError) as error:
                raise FormatError(
                    f"{source.url}: header {number} at byte {position:,} is damaged ({str(error)[:200]}). "
                    "Way out: fetch it again, or leave it out"
                ) from error
        stop = start + -(-hdu.nbytes // BLOCK) * BLOCK
        if stop > size:  # where even the padding is cut, other HDUs may have followed
            raise TruncatedFileError(
                f"{source.url}: the blocks of HDU {number} go on to byte {stop:,}, and the file has "
                f"{size:,}. Way out: fetch it again, or leave it out"
            )
        if number == 0 and header.get("SIMPLE") is not True:
            raise UnsupportedError(
                f"{source.url} says itself that it does not conform to the standard (SIMPLE is not T), so that its "
                "bytes may mean anything. Way out: leave it out"
            )
        yield hdu
        number += 1
        if number > _MOST_HDUS:
            raise FormatError(f"{source.url} has more than {_MOST_HDUS:,} HDUs. Way out: leave it out")
        position = stop


def _library() -> Any:
    try:
        return importlib.import_module("astropy.io.fits")
    except ImportError as error:
        raise InputError(f"FITS needs {error.name}. Way out: pip install 'vz-beam[fits]'") from error


def _header_text(source: ByteSource, position: int, size: int) -> tuple[str | None, int]:
    """The header that begins at ``position``, and where its data begin; no text where there is none any more."""
    parts: list[bytes] = []
    first = position
    while True:
        block = source.read(first, min(first + BLOCK, size))
        if not parts and position and not block.startswith(b"XTENSION"):
            return None, first
        parts.append(block)
        if _ends(block):
            data = b"".join(parts)
            return data.decode("latin-1"), first + BLOCK
        first += BLOCK
        if first >= size or first - position > _MOST_HEADER_BYTES:
            raise TruncatedFileError(
                f"{source.url} ends in the header at byte {position:,}, which has no END. "
                "Way out: fetch it again, or leave it out"
            )


def _ends(block: bytes) -> bool:
    return any(block[place : place + 8].rstrip() == b"END" for place in range(0, len(block), _CARD))


def _hdu(number: int, header: Any, start: int) -> HDU:
    count, bits = int(header["NAXIS"]), int(header["BITPIX"])
    if not 0 <= count <= _MOST_AXES or bits not in (8, 16, 32, 64, -32, -64):
        raise ValueError(f"NAXIS is {count} and BITPIX {bits}")
    naxis = tuple(int(header[f"NAXIS{axis}"]) for axis in range(1, count + 1))
    pcount, gcount = int(header.get("PCOUNT", 0)), int(header.get("GCOUNT", 1))
    if min((*naxis, pcount, gcount, 0)) < 0:
        raise ValueError(f"its axes are {naxis}, PCOUNT {pcount} and GCOUNT {gcount}")
    lengths = naxis[1:] if header.get("GROUPS", False) is True and naxis and naxis[0] == 0 else naxis
    pixels = math.prod(lengths) if count else 0
    return HDU(number, header, start, abs(bits) // 8 * gcount * (pcount + pixels), naxis)
