"""References on their way between workers: few bytes, and the same references at the other end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.combine.virtual_files import time_index, virtual_file
from vz_beam.combine.compact import packed_fragment, packed_references, unpacked_fragment, unpacked_references
from vz_beam.combine.fragment import Fragment
from vz_beam.combine.placing import references_of
from vz_beam.errors import CombineError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING

ANY_UINT64 = st.integers(0, 2**64 - 1)
ROWS = st.lists(st.tuples(st.integers(0, 2**62), st.integers(-2, 2), ANY_UINT64, ANY_UINT64), max_size=20)


def fragment(rows: list[tuple[int, int, int, int]], dtype: str = "u8") -> Fragment:
    rows = sorted({row[0]: row for row in rows if row[1] != MISSING}.values())
    columns = [[row[place] for row in rows] for place in range(4)]
    ids = np.array(columns[1], np.int32)
    inlined = {n: bytes([n % 251]) * (n % 5) for n, i, _, _ in rows if i == INLINED}
    return Fragment(
        ("s3://bucket/a b.nc", "file:///\N{SNOWMAN}.nc", 'memory://"quoted"'),
        np.array(columns[0], np.int64),
        ids,
        np.array(columns[2], np.uint64),
        np.array(columns[3], np.uint64).astype(dtype),
        inlined,
    )


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from(["u4", "u8"]))
def test_a_fragment_comes_back_as_it_was(rows: list[tuple[int, int, int, int]], dtype: str) -> None:
    sent = fragment(rows, dtype)
    data = packed_fragment(sent)
    back = unpacked_fragment(data)
    assert back == sent
    for name in ("numbers", "location_ids", "offsets", "lengths"):
        assert getattr(back, name).dtype == getattr(sent, name).dtype
    assert packed_fragment(back) == data


def test_nothing_comes_back_as_nothing() -> None:
    assert unpacked_fragment(packed_fragment(Fragment.empty())) == Fragment.empty()


def test_the_references_of_an_input_come_back_as_they_were() -> None:
    sent = references_of(time_index(3), virtual_file(3))
    back = unpacked_references(packed_references(sent))
    assert back == sent
    manifests = [(a.manifest, b.manifest) for a, b in zip(back.arrays, sent.arrays, strict=True)]
    assert sum(one is not None for one, _ in manifests) == 1
    assert all(one == other for one, other in manifests)


def test_chunks_that_follow_each_other_take_three_bytes_each() -> None:
    count = 100_000
    lengths = np.random.default_rng(0).normal(200_000, 20_000, count).astype("u4")
    offsets = np.cumsum(lengths.astype("u8")) - lengths + 4096
    sent = Fragment(("s3://bucket/a.nc",), np.arange(count), np.zeros(count, "i4"), offsets, lengths)
    assert len(packed_fragment(sent)) < 3 * count


def test_a_file_for_each_chunk_takes_eight_bytes_each() -> None:
    count = 100_000
    urls = tuple(f"s3://bucket/archive/product/2020/file_{n:06}.nc" for n in range(count))
    lengths = np.random.default_rng(0).normal(200_000, 20_000, count).astype("u4")
    sent = Fragment(urls, np.arange(count), np.arange(count, dtype="i4"), np.full(count, 4096, "u8"), lengths)
    assert len(packed_fragment(sent)) < 8 * count
    assert unpacked_fragment(packed_fragment(sent)) == sent


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 30, -1])
def test_bytes_that_are_cut_are_an_error(cut: int) -> None:
    data = packed_fragment(fragment([(1, 0, 5, 6), (2, 1, 7, 8)]))
    with pytest.raises(CombineError, match="damaged"):
        unpacked_fragment(data[:cut])
    with pytest.raises(CombineError, match="damaged"):
        unpacked_fragment(b"\x07" + data[1:])
