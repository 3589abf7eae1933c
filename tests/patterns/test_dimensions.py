from __future__ import annotations

import datetime
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vz_beam.errors import PatternError
from vz_beam.patterns import ConcatDim, MergeDim


def test_keys_are_kept_as_they_were_given() -> None:
    days = [datetime.date(1999, 1, 4), datetime.date(1999, 1, 5)]
    assert ConcatDim("time", iter(days)).keys == tuple(days)


def test_arrays_and_pandas_indexes_are_lists_of_keys() -> None:
    assert ConcatDim("time", np.array([2, 1])).keys == (2, 1)
    assert len(ConcatDim("time", pd.date_range("1999-01-01", periods=3)).keys) == 3


def test_a_dimension_survives_pickle_and_is_hashable() -> None:
    for dim in (ConcatDim("time", ["a", "b"], nitems_per_file=12), MergeDim("variable", ["sst"])):
        assert pickle.loads(pickle.dumps(dim)) == dim
        assert hash(pickle.loads(pickle.dumps(dim))) == hash(dim)


def test_a_long_dimension_is_shown_short() -> None:
    assert repr(ConcatDim("time", range(1000))) == "ConcatDim('time', 1000 keys: 0, 1, ...)"


@pytest.mark.parametrize("kind", [ConcatDim, MergeDim])
@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("time", [], "has no keys"),
        ("time", "1999", "keys of dimension 'time' are a str"),
        ("time", {"a", "b"}, "are a set"),
        ("time", 3, "are a int"),
        ("time", ["a", "b", "a"], "key 'a' twice, at places 0 and 2"),
        ("time", [1, 2, 1.0], "twice, at places 0 and 2"),
        ("time", ["1999-01-01", np.datetime64("NaT")], "equals nothing"),
        ("time", [None], "None as key 0"),
        ("time", np.zeros((2, 2)), "is a text"),
        ("", ["a"], "name is a str"),
        (3, ["a"], "name is a str"),
    ],
)
def test_keys_that_do_not_make_a_dimension_are_refused(kind: Any, name: Any, keys: Any, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        kind(name, keys)


def test_one_time_written_two_ways_is_one_key() -> None:
    with pytest.raises(PatternError, match="twice"):
        ConcatDim("time", [datetime.date(1999, 1, 4), np.datetime64("1999-01-04T00")])


@pytest.mark.parametrize("nitems", [0, -1, 1.5, "3", True])
def test_items_per_file_are_counted_from_one(nitems: Any) -> None:
    with pytest.raises(PatternError, match="nitems_per_file"):
        ConcatDim("time", ["a"], nitems_per_file=nitems)
