from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.errors import PatternError
from vz_beam.patterns import Index, Position
from vz_beam.patterns.keys import Key

TIMES = st.integers(-(2**62), 2**62).map(lambda nanoseconds: np.datetime64(nanoseconds, "ns"))
KEYS: st.SearchStrategy[Key] = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), TIMES, st.none())


@st.composite
def positions(draw: st.DrawFn, dimension: str) -> Position:
    number = draw(st.integers(0, 5))
    size = draw(st.sampled_from([0, number + 1, 10]))
    return Position(dimension, draw(st.sampled_from(["concat", "merge"])), number, size, draw(KEYS))


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    names = draw(st.lists(st.sampled_from(["time", "x", "variable"]), unique=True))
    return Index(tuple(draw(positions(name)) for name in names))


def flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, tuple) else [value]


@given(indexes())
def test_an_index_survives_its_tuple(index: Index) -> None:
    written = index.to_tuple()
    assert {type(leaf) for leaf in flat(written)} <= {str, int}
    assert Index.from_tuple(written) == index
    assert Index.from_tuple(written).to_tuple() == written


@given(indexes())
def test_an_index_survives_pickle(index: Index) -> None:
    again = pickle.loads(pickle.dumps(index))
    assert again == index
    assert hash(again) == hash(index)


@given(indexes(), indexes())
def test_indexes_are_equal_where_their_tuples_are(one: Index, other: Index) -> None:
    assert (one == other) == (one.to_tuple() == other.to_tuple())
    assert (one != other) or hash(one) == hash(other)


@given(st.lists(indexes(), max_size=6))
def test_any_indexes_have_one_order(several: list[Index]) -> None:
    in_order = sorted(several)
    assert sorted(several[1:] + several[:1]) == in_order
    assert all(not later < earlier for earlier, later in itertools.pairwise(in_order))


def test_keys_of_two_types_are_two_keys() -> None:
    assert Position("x", "concat", 0, 1, 1) != Position("x", "concat", 0, 1, 1.0)
    assert Position("x", "concat", 0, 1, 0.0) == Position("x", "concat", 0, 1, -0.0)


def test_order_is_by_number_and_not_by_key() -> None:
    late_key_first = [Index((Position("time", "concat", n, 11, key),)) for n, key in [(10, 1), (9, 2), (2, 3)]]
    assert [index.numbers for index in sorted(late_key_first)] == [(2,), (9,), (10,)]


def test_an_index_tells_its_parts() -> None:
    time = Position("time", "concat", 3, 10, np.datetime64("1999-01-04"))
    variable = Position("variable", "merge", 1, 2, "sst")
    index = Index((time, variable))
    assert index.dimensions == ("time", "variable")
    assert (index.concat_dims, index.merge_dims) == (("time",), ("variable",))
    assert index.numbers == (3, 1)
    assert index.position("variable") is variable
    assert str(index) == "time=3 (1999-01-04), variable=1 ('sst')"


def test_an_index_without_dimensions_is_the_only_input() -> None:
    assert str(Index()) == "the only input"
    assert Index.from_tuple(()) == Index()


def test_a_dimension_that_an_index_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(PatternError, match=r"no dimension 'x'; it has \['time'\]"):
        Index((Position("time", "concat", 0),)).position("x")


def test_numbers_of_numpy_become_plain() -> None:
    number: Any = np.int64(3)
    assert type(Position("time", "concat", number, 4).number) is int


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("", "concat", 0), "name is a str"),
        ((None, "concat", 0), "name is a str"),
        (("time", "subset", 0), "'concat' or 'merge'"),
        (("time", "concat", -1), "whole number from 0 on"),
        (("time", "concat", 1.0), "whole number from 0 on"),
        (("time", "concat", True), "whole number from 0 on"),
        (("time", "concat", 3, 3), "counted from 0 to 2"),
    ],
)
def test_a_position_that_cannot_be_is_refused(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(PatternError, match=message):
        Position(*fields)


def test_an_index_has_one_position_along_a_dimension() -> None:
    position = Position("time", "concat", 0)
    with pytest.raises(PatternError, match="two positions along one dimension"):
        Index((position, position))


def test_an_index_is_made_of_positions_only() -> None:
    wrong: Any = ("time", 3)
    with pytest.raises(PatternError, match="made of Positions"):
        Index((wrong,))
