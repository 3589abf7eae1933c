from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.errors import InputError
from vz_beam.storage.range_plan import plan_ranges

DATA = bytes(number * 7 % 251 for number in range(400))
RANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda pair: (min(pair), max(pair))))


@given(RANGES, st.integers(0, 50), st.integers(1, 120))
def test_a_plan_brings_every_byte_asked_for_back(ranges: list[tuple[int, int]], gap_bytes: int, max_bytes: int) -> None:
    plan = plan_ranges(ranges, gap_bytes=gap_bytes, max_bytes=max_bytes)
    fetched = [DATA[start:stop] for start, stop in plan.fetches]
    assert plan.assemble(fetched) == [DATA[start:stop] for start, stop in ranges]


@given(RANGES, st.integers(0, 50), st.integers(1, 120))
def test_fetches_ascend_and_never_overlap_nor_grow_too_long(
    ranges: list[tuple[int, int]], gap_bytes: int, max_bytes: int
) -> None:
    fetches = plan_ranges(ranges, gap_bytes=gap_bytes, max_bytes=max_bytes).fetches
    assert all(0 < stop - start <= max_bytes for start, stop in fetches)
    assert all(left[1] <= right[0] for left, right in pairwise(fetches))


@given(RANGES, st.integers(0, 50))
def test_nothing_is_fetched_that_is_further_than_the_gap_from_what_is_wanted(
    ranges: list[tuple[int, int]], gap_bytes: int
) -> None:
    wanted = {byte for start, stop in ranges for byte in range(start, stop)}
    fetches = plan_ranges(ranges, gap_bytes=gap_bytes, max_bytes=1000).fetches
    fetched = {byte for start, stop in fetches for byte in range(start, stop)}
    assert wanted <= fetched
    run = 0
    for byte in range(401):
        run = run + 1 if byte in fetched - wanted else 0
        assert run <= gap_bytes


@given(RANGES)
def test_ranges_further_apart_than_the_gap_are_fetched_one_by_one(ranges: list[tuple[int, int]]) -> None:
    fetches = plan_ranges(ranges, gap_bytes=10, max_bytes=1000).fetches
    assert all(right[0] - left[1] > 10 for left, right in pairwise(fetches))


def test_knobs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="gap_bytes=-1"):
        plan_ranges([], gap_bytes=-1, max_bytes=1)
    with pytest.raises(InputError, match="max_bytes=0"):
        plan_ranges([], gap_bytes=0, max_bytes=0)
