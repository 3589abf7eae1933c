from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vz_beam.errors import InputError
from vz_beam.storage.block_cache import BLOCK_BYTES, BlockCache
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.request_log import RequestLog


@pytest.fixture
def log(tmp_path: Path) -> RequestLog:
    (tmp_path / "a").write_bytes(bytes(range(256)) * 4)
    return RequestLog(open_source(tmp_path / "a"))


def test_a_block_is_fetched_once(log: RequestLog) -> None:
    cache = BlockCache(log, block_bytes=100)
    assert cache.read(10, 20) == bytes(range(10, 20))
    assert cache.read(90, 100) == bytes(range(90, 100))
    assert log.requests == [(0, 100)]


def test_the_missing_blocks_of_many_ranges_are_fetched_together(log: RequestLog) -> None:
    calls: list[list[tuple[int, int]]] = []

    class Counting(RequestLog):
        def read_many(self, ranges: object) -> list[bytes]:
            calls.append(list(ranges))  # type: ignore[call-overload]
            return super().read_many(ranges)  # type: ignore[arg-type]

    cache = BlockCache(Counting(log), block_bytes=100)
    cache.read(0, 1)
    cache.read_many([(5, 205), (350, 450), (7, 9)])
    assert calls == [[(100, 200), (200, 300), (300, 400), (400, 500)]]
    assert log.requests[0] == (0, 100)


def test_what_comes_along_between_two_blocks_is_kept_and_what_lies_further_apart_is_not_fetched(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(30 * BLOCK_BYTES)
    (tmp_path / "a.bin").write_bytes(data)
    starts = [block * BLOCK_BYTES for block in (1, 4, 20)]
    with RequestLog(open_source(str(tmp_path / "a.bin"))) as log:
        cache = BlockCache(log)
        cache.read_many([(start, start + 9) for start in starts])
        assert [start // BLOCK_BYTES for start, _ in log.requests] == [0, 1, 2, 3, 4, 20]
        between = 3 * BLOCK_BYTES - 5
        assert cache.read(between, between + 10) == data[between : between + 10]
        assert log.rounds == 2


def test_the_blocks_used_last_are_kept(log: RequestLog) -> None:
    cache = BlockCache(log, block_bytes=100, max_blocks=2)
    for start in (0, 100, 0, 200, 0, 100):
        cache.read(start, start + 1)
    assert log.requests == [(0, 100), (100, 200), (200, 300), (100, 200)]


def test_a_large_range_goes_around_the_cache(log: RequestLog) -> None:
    cache = BlockCache(log, block_bytes=10, max_blocks=4)
    cache.read(0, 10)
    assert cache.read_many([(0, 200), (3, 5)]) == [bytes(range(200)), b"\3\4"]
    assert log.requests == [(0, 10), (0, 200)]


def test_a_cache_shows_the_path_of_its_source_and_a_log_hides_it(tmp_path: Path, log: RequestLog) -> None:
    source: ByteSource = open_source(tmp_path / "a")
    assert BlockCache(source).local_path == str(tmp_path / "a")
    assert RequestLog(source).local_path is None
    assert BlockCache(log).local_path is None


def test_a_log_counts_bytes(log: RequestLog) -> None:
    log.read(0, 10)
    log.read_many([(5, 6), (7, 9)])
    assert (log.requests, log.nbytes) == ([(0, 10), (5, 6), (7, 9)], 13)


@pytest.mark.parametrize("knobs", [{"block_bytes": 0}, {"max_blocks": 0}])
def test_a_cache_of_nothing_is_refused(log: RequestLog, knobs: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        BlockCache(log, **knobs)


def test_the_size_comes_with_the_first_block(log: RequestLog) -> None:
    cache = BlockCache(log, block_bytes=100)
    assert cache.size() == 1024
    assert cache.read_head(20) == bytes(range(20))
    assert cache.read_head(5000) == cache.read(0, 1024)
    assert log.requests[0] == (0, 100)
    assert log.rounds == 2


def test_a_reader_of_values_gets_what_is_known_and_fetches_no_more_than_it_asks_for(log: RequestLog) -> None:
    cache = BlockCache(log, block_bytes=100)
    cache.read(0, 1)
    values = cache.for_values()
    known, unknown = values.read_many([(10, 20), (150, 160)])
    assert (known, unknown) == (cache.read(10, 20), cache.read(150, 160))
    assert log.requests == [(0, 100), (150, 160), (100, 200)]


def test_what_is_not_in_memory_is_not_known(log: RequestLog) -> None:
    cache = BlockCache(log, block_bytes=100)
    cache.read(0, 1)
    assert cache.read_known([(10, 20), (99, 100)]) == [bytes(range(10, 20)), b"c"]
    assert cache.read_known([(10, 20), (99, 101)]) is None
    assert log.requests == [(0, 100)]


def test_pieces_of_very_many_blocks_are_fetched_without_what_lies_around_them(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(bytes(range(250)) * 100)
    log = RequestLog(open_source(path))
    cache = BlockCache(log, block_bytes=50)
    ranges = [(start, start + 3) for start in range(0, 25_000, 125)]
    assert cache.read_many(ranges) == [path.read_bytes()[start:stop] for start, stop in ranges]
    assert log.nbytes < 50 + 3 * len(ranges)
    log.close()
