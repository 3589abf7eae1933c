"""LZ4, bitshuffle and shuffle as HDF5 filters write them, decoded by numcodecs and numpy.

Source: "LZ4" (32004) and "Bitshuffle" (32008) of the HDF Group's list of registered filter plugins, and
"bitshuffle" by K. Masui (https://github.com/kiyo-masui/bitshuffle), which describes the order of the bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numcodecs import lz4, zstd
from numpy.typing import NDArray

from vz_beam.errors import FormatError

NO_COMPRESSOR, LZ4_BLOCKS, ZSTD_BLOCKS = 0, 2, 3
"""The fifth value of bitshuffle."""
_HEADER_NBYTES = 12
"""Decoded size and block size, before the first block."""
_BLOCK_BYTES = 8192
_LEAST_BLOCK = 128
"""Bitshuffle's own block size: as many elements, a multiple of 8, as fit into so many bytes, and no fewer than this."""


def decode_shuffle(data: bytes, values: Sequence[int]) -> NDArray[np.uint8]:
    """The bytes before the shuffle; those behind the last whole element stayed where they were.

    >>> decode_shuffle(b"adbecfX", [3]).tobytes()
    b'abcdefX'
    """
    size = _element_nbytes(values)
    stored = np.frombuffer(data, np.uint8)
    whole = len(data) // size * size
    return np.concatenate([stored[:whole].reshape(size, -1).T.reshape(-1), stored[whole:]])


def encode_shuffle(data: bytes, values: Sequence[int]) -> bytes:
    """The bytes after the shuffle.

    >>> encode_shuffle(b"abcdefX", [3])
    b'adbecfX'
    """
    size = _element_nbytes(values)
    whole = len(data) // size * size
    return np.frombuffer(data, np.uint8, whole).reshape(-1, size).T.tobytes() + data[whole:]


def _element_nbytes(values: Sequence[int]) -> int:
    size = values[0] if values else 0
    if size < 1:
        raise FormatError(f"shuffle of {size}-byte elements")
    return size


def decode_lz4(data: bytes, nbytes: int) -> NDArray[np.uint8]:
    """The ``nbytes`` bytes of blocks that are each LZ4, or as they are where LZ4 could not make them smaller.

    Raises:
        FormatError: not such blocks.
    """
    block_nbytes = _block_nbytes(data, nbytes, "LZ4")
    decoded: NDArray[np.uint8] = np.empty(nbytes, np.uint8)
    position = _HEADER_NBYTES
    for start in range(0, nbytes, block_nbytes):
        size = min(block_nbytes, nbytes - start)
        block, position = _block(data, position, "LZ4")
        raw = block if len(block) == size else _by_lz4(block, size)
        decoded[start : start + size] = np.frombuffer(raw, np.uint8)
    return decoded


def decode_bitshuffle(data: bytes, values: Sequence[int], nbytes: int) -> NDArray[np.uint8]:
    """The ``nbytes`` bytes before bitshuffle and its compressor.

    Args:
        data: the chunk.
        values: of the filter: two of its version, element size, block size in elements or 0, compressor.
        nbytes: decoded.

    Raises:
        FormatError: not such blocks.
    """
    size = values[2] if len(values) > 2 else 0
    if size < 1 or nbytes % size:
        raise FormatError(f"bitshuffle of {size}-byte elements in a chunk of {nbytes} bytes")
    compressor = values[4] if len(values) > 4 else NO_COMPRESSOR
    if compressor == NO_COMPRESSOR:
        block = (values[3] if len(values) > 3 else 0) or _default_block(size)
        if len(data) != nbytes:
            raise FormatError(f"{len(data)} bytes are no bitshuffle chunk of {nbytes} bytes without a compressor")
        shuffled = np.frombuffer(data, np.uint8)
    else:
        block = _block_nbytes(data, nbytes, "bitshuffle") // size
        shuffled = _decompressed(data, nbytes, size, block, compressor)
    if block < 8 or block % 8:
        raise FormatError(f"bitshuffle in blocks of {block} elements, which is no multiple of 8")
    return _unshuffled_bits(shuffled, size, block)


def _default_block(size: int) -> int:
    return max(_BLOCK_BYTES // size // 8 * 8, _LEAST_BLOCK)


def _decompressed(data: bytes, nbytes: int, size: int, block: int, compressor: int) -> NDArray[np.uint8]:
    decompress = _COMPRESSORS.get(compressor)
    if decompress is None:
        raise FormatError(f"bitshuffle with compressor {compressor}, which is not known")
    if block < 8:
        raise FormatError(f"bitshuffle in blocks of {block} elements")
    shuffled: NDArray[np.uint8] = np.empty(nbytes, np.uint8)
    position = _HEADER_NBYTES
    for start, stop in _blocks(nbytes // size, block):
        compressed, position = _block(data, position, "bitshuffle")
        shuffled[start * size : stop * size] = np.frombuffer(decompress(compressed, (stop - start) * size), np.uint8)
    rest = nbytes % (8 * size)
    if len(data) - position != rest:
        raise FormatError(f"a bitshuffle chunk has {len(data) - position} bytes behind its blocks, not {rest}")
    shuffled[nbytes - rest :] = np.frombuffer(data, np.uint8, rest, position)
    return shuffled


def _blocks(count: int, block: int) -> Iterator[tuple[int, int]]:
    """Starts and stops of the blocks of ``count`` elements; up to 7 at the end are in none.

    >>> list(_blocks(37, 16))
    [(0, 16), (16, 32)]
    """
    whole = count // 8 * 8
    for start in range(0, whole, block):
        yield start, min(start + block, whole)


def _unshuffled_bits(shuffled: NDArray[np.uint8], size: int, block: int) -> NDArray[np.uint8]:
    decoded = shuffled.copy()
    count = len(shuffled) // size
    whole, end = count // block * block, count // 8 * 8
    if whole:
        blocks = shuffled[: whole * size].reshape(-1, size, 8, block // 8)
        decoded[: whole * size] = _elements(blocks)
    if end > whole:
        last = shuffled[whole * size : end * size].reshape(1, size, 8, (end - whole) // 8)
        decoded[whole * size : end * size] = _elements(last)
    return decoded


def _elements(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Elements from their planes of bits, uint8[blocks, bytes of an element, 8 bits, elements / 8]."""
    blocks, size, _, eighths = planes.shape
    words = planes.transpose(0, 1, 3, 2).copy("C").view("<u8")
    # A word is 8 by 8 bits: row r holds bit r of 8 elements, and becomes column r. Squares of 1, 2 and 4 bits swap.
    for distance, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        swapped = words >> np.uint64(distance)
        swapped ^= words
        swapped &= np.uint64(mask)
        words ^= swapped
        swapped <<= np.uint64(distance)
        words ^= swapped
    return words.view(np.uint8).reshape(blocks, size, 8 * eighths).transpose(0, 2, 1).reshape(-1)


def _block_nbytes(data: bytes, nbytes: int, name: str) -> int:
    """The block size that the header says, bytes."""
    if len(data) < _HEADER_NBYTES:
        raise FormatError(f"{len(data)} bytes are no {name} chunk of {nbytes} bytes: they hold no header")
    found, block_nbytes = struct.unpack_from(">QI", data)
    if found != nbytes or not block_nbytes:
        raise FormatError(f"{len(data)} bytes are no {name} chunk of {nbytes} bytes: they say {found}")
    return int(block_nbytes)


def _block(data: bytes, position: int, name: str) -> tuple[bytes, int]:
    """The compressed block whose length stands at ``position``, and where the next begins."""
    start = position + 4
    length = int.from_bytes(data[position:start], "big")
    if start + length > len(data):
        raise FormatError(f"a block of a {name} chunk of {len(data)} bytes ends behind it, at {start + length}")
    return data[start : start + length], start + length


def _by_lz4(block: bytes, nbytes: int) -> bytes:
    if nbytes > 2**31 - 1:
        raise FormatError(f"an LZ4 block of {nbytes} bytes, while LZ4 has none above {2**31 - 1}")
    try:
        decoded: bytes = lz4.decompress(struct.pack("<I", nbytes) + block)  # numcodecs wants the size in front
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"{len(block)} bytes are no LZ4 block of {nbytes} bytes: {error}") from error
    return decoded


def _by_zstd(block: bytes, nbytes: int) -> bytes:
    try:
        decoded: bytes = zstd.decompress(block)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise FormatError(f"{len(block)} bytes are no Zstandard block of {nbytes} bytes: {error}") from error
    if len(decoded) != nbytes:
        raise FormatError(f"{len(block)} bytes are no Zstandard block of {nbytes} bytes, but of {len(decoded)}")
    return decoded


_COMPRESSORS: dict[int, Callable[[bytes, int], bytes]] = {LZ4_BLOCKS: _by_lz4, ZSTD_BLOCKS: _by_zstd}
