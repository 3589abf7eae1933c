"""Decoders of HDF4 that Zarr lacks: run lengths, skipping Huffman, n-bit.

Source: HDF4 Specification and Developer's Guide, chapter "Extended tags", compressed data elements; for the tree of the
skipping Huffman coding, D. W. Jones, "Application of splay trees to data compression", CACM 31 (1988).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.decoder_v2 import DecoderV2
from vz_beam.errors import FormatError

RLE_ID, HUFFMAN_ID, NBIT_ID = "vz_beam.hdf4_rle", "vz_beam.hdf4_skphuff", "vz_beam.hdf4_nbit"
"""The names of the codecs in Zarr v2 and v3."""
_RUN = 0x80
_SHORTEST_RUN = 3
_LEAVES = 256
_ROOT = 0


def decode_rle(data: bytes, *, nbytes: int) -> NDArray[np.uint8]:
    """The ``nbytes`` bytes, uint8[nbytes], of runs and literals.

    >>> decode_rle(bytes([0x81, 7, 1, 8, 9]), nbytes=6).tolist()
    [7, 7, 7, 7, 8, 9]
    """
    out = np.zeros(nbytes, np.uint8)
    source = np.frombuffer(data, np.uint8)
    place, at, end = 0, 0, len(data)
    while at < nbytes:
        if place + 1 >= end:
            raise FormatError(f"a stream of run lengths ends after {at:,} of {nbytes:,} bytes")
        control = data[place]
        if control & _RUN:
            count = min((control & ~_RUN) + _SHORTEST_RUN, nbytes - at)
            out[at : at + count] = data[place + 1]
            place += 2
        else:
            count = min(control + 1, nbytes - at, end - place - 1)
            out[at : at + count] = source[place + 1 : place + 1 + count]
            place += 1 + control + 1
        at += count
    return out


def decode_skphuff(data: bytes, *, nbytes: int, skip: int) -> NDArray[np.uint8]:
    """The ``nbytes`` bytes, uint8[nbytes], of a stream in which byte ``i`` has the tree ``i % skip``."""
    if skip < 1:
        raise FormatError(f"a skipping Huffman stream skips {skip} bytes")
    # the root, 0, is its own left child until the first leaf is brought nearer, so that every first code begins with 1
    lefts = [[2 * node for node in range(_LEAVES)] for _ in range(skip)]
    rights = [[2 * node + 1 for node in range(_LEAVES)] for _ in range(skip)]
    parents = [[node >> 1 for node in range(2 * _LEAVES)] for _ in range(skip)]
    out = bytearray(nbytes)
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).tolist()
    place, end = 0, len(bits)
    for at in range(nbytes):
        tree = at % skip
        left, right = lefts[tree], rights[tree]
        node = _ROOT
        while node < _LEAVES:
            if place == end:
                raise FormatError(f"a skipping Huffman stream ends after {at:,} of {nbytes:,} bytes")
            node = right[node] if bits[place] else left[node]
            place += 1
        out[at] = node - _LEAVES
        _splay(left, right, parents[tree], node)
    return np.frombuffer(bytes(out), np.uint8)


def _splay(left: list[int], right: list[int], parent: list[int], node: int) -> None:
    """Brings a leaf nearer to the root, by half of its way."""
    while node != _ROOT:
        above = parent[node]
        if above == _ROOT:
            node = above
            continue
        top = parent[above]
        other = left[top]
        if above == other:
            other = right[top]
            right[top] = node
        else:
            left[top] = node
        if node == left[above]:
            left[above] = other
        else:
            right[above] = other
        parent[node] = top
        parent[other] = above
        node = top


def decode_nbit(
    data: bytes, *, count: int, size: int, first: int, bits: int, sign: bool, ones: bool
) -> NDArray[np.uint8]:
    """``count`` big-endian integers of ``size`` bytes, uint8[count * size], of which only some bits are stored.

    Args:
        data: the stored bits.
        count: number of integers.
        size: of one, bytes.
        first: the highest bit that is stored, counted from the lowest.
        bits: how many are stored.
        sign: whether the highest stored bit stands for those above it.
        ones: whether the other bits are ones.
    """
    width = 8 * size
    if not 0 < bits <= width or not bits - 1 <= first < width:
        raise FormatError(f"{bits} bits from bit {first} on are no part of integers of {width} bits")
    if 8 * len(data) < count * bits:
        raise FormatError(f"{len(data):,} bytes do not hold {count:,} times {bits} bits")
    stored = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    whole = np.full((count, width), int(ones), np.uint8)
    place = width - 1 - first
    whole[:, place : place + bits] = stored
    if sign:
        whole[:, :place] = stored[:, :1]
    return np.packbits(whole, axis=1).reshape(-1)


class Hdf4RleV2(DecoderV2):
    """Run lengths, for Zarr v2 and Kerchunk; configured as :func:`decode_rle`."""

    codec_id = RLE_ID
    decoder = staticmethod(decode_rle)


class Hdf4SkphuffV2(DecoderV2):
    """Skipping Huffman, for Zarr v2 and Kerchunk; configured as :func:`decode_skphuff`."""

    codec_id = HUFFMAN_ID
    decoder = staticmethod(decode_skphuff)


class Hdf4NbitV2(DecoderV2):
    """N-bit, for Zarr v2 and Kerchunk; configured as :func:`decode_nbit`."""

    codec_id = NBIT_ID
    decoder = staticmethod(decode_nbit)
