from __future__ import annotations

import struct

import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import zstd

from tests.codecs.filtered_chunks import filtered
from vz_beam.codecs.bit_blocks import decode_bitshuffle, decode_lz4
from vz_beam.errors import FormatError

NOISE = np.random.default_rng(1).integers(0, 256, 40000, "u1")


@pytest.mark.parametrize("nbytes", [0, 16, 1000, 4096])
@pytest.mark.parametrize("values", [NOISE, NOISE // 64], ids=["noise", "smooth"])
def test_lz4_blocks_of_any_size_decode(values: np.ndarray, nbytes: int) -> None:
    chunk = filtered(values, **hdf5plugin.LZ4(nbytes=nbytes))
    assert chunk.decoded() == chunk.expected == values.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["i1", ">u2", "f4", "f8", "c16", "S3", "S7"]),
    st.integers(1, 3000),
    st.sampled_from([0, 8, 16, 64, 1024]),
    st.sampled_from(["none", "lz4", "zstd"]),
)
def test_bitshuffle_decodes_any_element_size_count_and_block(dtype: str, count: int, block: int, cname: str) -> None:
    size = np.dtype(dtype).itemsize
    values = np.resize(NOISE // 32, count * size).view(f"V{size}").view(dtype)
    chunk = filtered(values, **hdf5plugin.Bitshuffle(nelems=block, cname=cname))  # type: ignore[arg-type]
    assert chunk.values[2] == size
    assert chunk.decoded() == chunk.expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no header"),
        (struct.pack(">QI", 9, 8), "they say 9"),
        (struct.pack(">QI", 8, 0), "they say 8"),
        (struct.pack(">QI", 8, 8), "ends behind it"),
        (struct.pack(">QII", 8, 8, 2**32 - 1), "ends behind it"),
        (struct.pack(">QII", 8, 8, 3) + b"abc", "no LZ4 block of 8 bytes"),
        (struct.pack(">QII", 8, 8, 0), "no LZ4 block of 8 bytes"),
    ],
)
def test_lz4_chunks_that_cannot_be_right_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        decode_lz4(data, 8)


HEADER = struct.pack(">QI", 64, 64)
BLOCK = zstd.compress(bytes(64))
SHORT = zstd.compress(bytes(32))


@pytest.mark.parametrize(
    ("values", "data", "reason"),
    [
        ((), bytes(64), "0-byte elements"),
        ((0, 4, 3), bytes(64), "3-byte elements in a chunk of 64 bytes"),
        ((0, 4, 4, 0), bytes(63), "without a compressor"),
        ((0, 4, 4, 12), bytes(64), "12 elements, which is no multiple of 8"),
        ((0, 4, 4, 0, 9), HEADER, "compressor 9"),
        ((0, 4, 4, 0, 3), struct.pack(">QI", 64, 4), "blocks of 1 elements"),
        ((0, 4, 4, 0, 3), HEADER + struct.pack(">I", len(BLOCK)) + BLOCK + b"x", "1 bytes behind its blocks, not 0"),
        ((0, 4, 4, 0, 3), HEADER + struct.pack(">I", len(SHORT)) + SHORT, "64 bytes, but of 32"),
        ((0, 4, 4, 0, 3), HEADER + struct.pack(">I", 8) + bytes(8), "no Zstandard block"),
    ],
)
def test_bitshuffle_chunks_that_cannot_be_right_are_refused(values: tuple[int, ...], data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        decode_bitshuffle(data, values, 64)
