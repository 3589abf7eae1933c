"""The JSON of references, which may be compressed, as Python has it.

Source: RFC 8259; RFC 1952 (gzip); RFC 8878 (Zstandard).
"""

from __future__ import annotations

import importlib
import json
import zlib
from typing import Any

from vz_beam.errors import FormatError, TruncatedFileError

GZIP, ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_MOST_BYTES = 2**32
"""Of decompressed text: 40 million references. A small file can claim any size."""
_PIECE_BYTES = 2**20
_WITH_HEADER = 31  # zlib: a gzip header and the largest window


def unpacked_head(head: bytes) -> bytes:
    """The beginning of the text in the first bytes of a file; as it is where it is not compressed by gzip."""
    if not head.startswith(GZIP):
        return head
    try:
        return zlib.decompressobj(_WITH_HEADER).decompress(head, len(head))
    except zlib.error:
        return b""


def json_value(data: bytes, url: str) -> Any:
    """The value of a whole file.

    Raises:
        FormatError: no JSON; TruncatedFileError where it ends before it is complete.
    """
    text = _unpacked(data, url)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        # What is cut is wrong at its end, or within the text, number or word that it ends with.
        ends = error.msg.startswith("Unterminated") or not error.doc[error.pos :].strip() or _is_word(error)
        kind = TruncatedFileError if ends else FormatError
        raise kind(
            f"{url} is no JSON{' any more where it ends' if ends else ''}: {error.msg} at line {error.lineno}, column "
            f"{error.colno} of {len(text):,} bytes. Way out: fetch the file again, or leave it out"
        ) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{url} is no JSON that can be read: {error}. Way out: leave it out") from None


def _is_word(error: json.JSONDecodeError) -> bool:
    rest = error.doc[error.pos :]
    return len(rest) < len("-Infinity") and any(
        word.startswith(rest) for word in ("true", "false", "null", "NaN", "Infinity", "-Infinity")
    )


def _unpacked(data: bytes, url: str) -> bytes:
    if data.startswith(GZIP):
        return _gunzipped(data, url)
    if data.startswith(ZSTD):
        return _unzstd(data, url)
    return data


def _gunzipped(data: bytes, url: str) -> bytes:
    pieces = []
    left = _MOST_BYTES
    while data:
        unpack = zlib.decompressobj(_WITH_HEADER)
        try:
            pieces.append(unpack.decompress(data, left))
        except zlib.error as error:
            raise FormatError(f"{url} is damaged: {error}. Way out: fetch the file again") from None
        left -= len(pieces[-1])
        if left <= 0 or unpack.unconsumed_tail:
            raise _too_large(url)
        if not unpack.eof:
            raise TruncatedFileError(f"{url} ends within its gzip stream. Way out: fetch the file again")
        data = unpack.unused_data.lstrip(b"\0")  # several streams may follow each other
    return b"".join(pieces)


def _unzstd(data: bytes, url: str) -> bytes:
    # Loaded here: few files are compressed so, and pyarrow takes longer to load than those take to read.
    arrow = importlib.import_module("pyarrow")
    text = bytearray()
    try:
        with arrow.CompressedInputStream(arrow.BufferReader(data), "zstd") as stream:
            while piece := stream.read(_PIECE_BYTES):
                text += piece
                if len(text) > _MOST_BYTES:
                    raise _too_large(url)
    except OSError as error:
        raise TruncatedFileError(
            f"{url} is damaged or ends within its Zstandard stream ({error}). Way out: fetch the file again"
        ) from None
    return bytes(text)


def _too_large(url: str) -> FormatError:
    return FormatError(f"{url} is more than {_MOST_BYTES:,} bytes when it is unpacked. Way out: references in Parquet")
