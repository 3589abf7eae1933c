"""One suite for every kind of source under every wrapper (wrong-data 112: a wrapper that drops the range)."""

from __future__ import annotations

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from vz_beam.errors import InputError, TruncatedFileError
from vz_beam.storage.byte_source import ByteSource

DATA = bytes(range(256)) * 40
SIZE = len(DATA)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, 256), (5, 5), (0, 0), (255, 257), (300, 5000), (SIZE - 1, SIZE), (SIZE, SIZE), (0, SIZE)],
)
def test_a_range_gives_its_bytes_and_no_others(source: ByteSource, start: int, stop: int) -> None:
    assert source.read(start, stop) == DATA[start:stop]


def test_many_ranges_come_back_in_the_order_they_were_asked_for(source: ByteSource) -> None:
    ranges = [(9000, 9010), (0, 4), (2, 6), (0, 4), (100, 100), (4096, 8200), (SIZE - 3, SIZE)]
    assert source.read_many(ranges) == [DATA[start:stop] for start, stop in ranges]


def test_random_reads_give_the_same_bytes_whatever_was_read_before(source: ByteSource) -> None:
    draw = random.Random(7)
    for _ in range(5):
        ranges = [(start, min(SIZE, start + draw.randrange(600))) for start in draw.choices(range(SIZE), k=6)]
        assert source.read_many(ranges) == [DATA[start:stop] for start, stop in ranges]
        assert source.read(*ranges[0]) == DATA[slice(*ranges[0])]


def test_no_ranges_give_no_bytes(source: ByteSource) -> None:
    assert source.read_many([]) == []
    assert source.read_many([(3, 3)]) == [b""]


def test_size_and_identity_tell_of_the_whole_file(source: ByteSource) -> None:
    assert source.size() == SIZE
    identity = source.identity()
    assert (identity.url, identity.size) == (source.url, SIZE)
    assert identity == source.identity() == source.first_identity()


@pytest.mark.parametrize(
    ("start", "stop"), [(SIZE - 1, SIZE + 1), (SIZE, SIZE + 1), (SIZE + 5, SIZE + 9), (0, 1 << 70)]
)
def test_a_range_past_the_end_is_refused_with_range_and_size(source: ByteSource, start: int, stop: int) -> None:
    with pytest.raises(TruncatedFileError, match=rf"bytes {start} to {stop} .* {SIZE} bytes"):
        source.read(start, stop)
    with pytest.raises(TruncatedFileError, match=f"{SIZE} bytes"):
        source.read_many([(0, 2), (start, stop)])


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (4, 3)])
def test_what_is_no_range_is_refused(source: ByteSource, start: int, stop: int) -> None:
    with pytest.raises(InputError, match="are no range"):
        source.read(start, stop)
    with pytest.raises(InputError, match="are no range"):
        source.read_many([(start, stop)])


def test_threads_may_read_at_once(source: ByteSource) -> None:
    ranges = [(start, start + 700) for start in range(0, 8000, 500)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pair: source.read(*pair), ranges)) == [DATA[a:b] for a, b in ranges]


def test_a_source_refuses_to_be_pickled(source: ByteSource) -> None:
    with pytest.raises(TypeError, match="open it on the worker"):
        pickle.dumps(source)
