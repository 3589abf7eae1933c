"""Deflate without a header, as zip files compress their members.

Source: RFC 1951; .ZIP File Format Specification (APPNOTE 6.3), compression method 8.
"""

from __future__ import annotations

import zlib

from vz_beam.codecs.decoder_v2 import DecoderV2
from vz_beam.errors import FormatError

INFLATE_ID = "vz_beam.inflate"
"""The codec's name in Zarr v2 and v3."""
_WITHOUT_HEADER = -15


def decode_inflate(data: bytes) -> bytes:
    """The bytes of a whole stream.

    >>> import zlib
    >>> packing = zlib.compressobj(wbits=-15)
    >>> decode_inflate(packing.compress(b"abc") + packing.flush())
    b'abc'
    """
    unpacking = zlib.decompressobj(_WITHOUT_HEADER)
    try:
        decoded = unpacking.decompress(data) + unpacking.flush()
    except zlib.error as error:
        raise FormatError(f"{len(data):,} bytes are no deflated member of a zip file: {error}") from error
    if not unpacking.eof:
        raise FormatError(f"a deflated member of a zip file is cut short after {len(data):,} bytes")
    return decoded


class InflateV2(DecoderV2):
    """The codec for Zarr v2 and Kerchunk."""

    codec_id = INFLATE_ID
    decoder = staticmethod(decode_inflate)
