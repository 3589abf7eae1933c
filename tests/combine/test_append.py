"""The places of chunks in a grown array, and the inputs that a store does not have yet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.combine.append import added_numbers, append_dimension, stored_numbers
from vz_beam.combine.layout import Growth, Layout
from vz_beam.combine.new_inputs import new_inputs
from vz_beam.errors import InputError
from vz_beam.patterns.index import Index, Position

grids = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@given(grids, st.data())
def test_chunks_stand_where_numpy_joins_the_two_grids(grid: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(grid) - 1))
    more = [*grid[:axis], data.draw(st.integers(1, 3)), *grid[axis + 1 :]]
    growth = Growth(tuple(grid), tuple(more), axis)
    stored = np.arange(np.prod(grid)).reshape(grid)
    added = -1 - np.arange(np.prod(more)).reshape(more)
    joined = np.concatenate([stored, added], axis)
    numbers = np.arange(joined.size)
    known = stored_numbers(growth, joined.shape, numbers)
    np.testing.assert_array_equal(known, np.where(joined.ravel() >= 0, joined.ravel(), -1))
    ends = added_numbers(growth, joined.shape, np.arange(added.size))
    np.testing.assert_array_equal(joined.ravel()[ends], added.ravel())
    kept = joined.ravel()[: growth.kept_chunks]
    np.testing.assert_array_equal(kept, np.arange(growth.kept_chunks))
    assert growth.kept_chunks == stored.size or np.prod(grid[:axis]) > 1


def test_the_dimension_is_the_one_that_joins_the_inputs() -> None:
    starts = {"time": np.zeros(1, np.int64), "g/time": np.zeros(1, np.int64)}
    assert append_dimension(Layout({}, {}, starts), None) == "time"
    assert append_dimension(Layout({}, {}, starts), "x") == "x"
    with pytest.raises(InputError, match=r"\['time', 'x'\]"):
        append_dimension(Layout({}, {}, {**starts, "x": np.zeros(1, np.int64)}), None)


def _index(number: int, size: int, name: int | None = None) -> Index:
    time = Position("time", "concat", number, size)
    return Index((time,) if name is None else (Position("name", "merge", name, 2), time))


def test_new_inputs_are_numbered_anew_and_so_are_absent_ones() -> None:
    pairs = [(_index(number, 6, name), f"{name}_{number}") for name in (0, 1) for number in (0, 1, 3, 5)]
    absent = [_index(2, 6, 0), _index(4, 6, 1)]
    known = {"0_0", "1_0", "0_3", "1_3"}
    left, still = new_inputs(pairs, absent, known.__contains__, None)
    assert [(index.numbers, url) for index, url in left] == [
        ((0, 0), "0_1"),
        ((0, 3), "0_5"),
        ((1, 0), "1_1"),
        ((1, 3), "1_5"),
    ]
    assert [index.numbers for index in still] == [(0, 1), (1, 2)]
    assert {index.position("time").size for index in [*(index for index, _ in left), *still]} == {4}
    assert new_inputs(pairs, absent, set().__contains__, None) == (pairs, absent)
    assert new_inputs(pairs, (), lambda url: True, None) == ([], [])
    assert new_inputs([(Index(()), "a")], (), lambda url: True, "time") == ([], [])


def test_a_place_of_which_the_store_has_a_part_is_named() -> None:
    pairs = [(_index(number, 2, name), f"{name}_{number}") for name in (0, 1) for number in (0, 1)]
    with pytest.raises(InputError, match=r"time=1 \(0_1\) and lacks others \(1_1\)"):
        new_inputs(pairs, (), {"0_1"}.__contains__, "time")
