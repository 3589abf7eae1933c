from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from vz_beam.errors import PatternError
from vz_beam.patterns import ConcatDim, FilePattern, MergeDim

TIME = ConcatDim("time", ["a", "b", "c"])
VARIABLE = MergeDim("variable", ["u", "v"])


def name(time: str, variable: str) -> str:
    return f"{variable}_{time}.nc"


def is_gap(time: str, variable: str) -> bool:
    return (time, variable) in {("b", "u"), ("c", "v")}


GAPS: list[Any] = [is_gap, {("b", "u"), ("c", "v")}, [("b", "u"), ("c", "v")]]


@pytest.mark.parametrize("gaps", GAPS)
def test_gaps_are_left_out(gaps: Any) -> None:
    pattern = FilePattern(name, TIME, VARIABLE, gaps=gaps)
    assert [url for _, url in pattern.items()] == ["u_a.nc", "v_a.nc", "v_b.nc", "u_c.nc"]
    assert len(pattern) == len(list(pattern)) == 4
    assert [index.numbers for index in pattern.missing()] == [(1, 0), (2, 1)]
    assert pattern.shape == (3, 2)


@pytest.mark.parametrize("gaps", GAPS)
def test_pruning_keeps_the_gaps_that_are_left(gaps: Any) -> None:
    pruned = FilePattern(name, TIME, VARIABLE, gaps=gaps).prune()
    assert [url for _, url in pruned.items()] == ["u_a.nc", "v_a.nc", "v_b.nc"]
    assert len(pruned) == 3


@pytest.mark.parametrize("gaps", GAPS)
def test_a_gap_has_no_url(gaps: Any) -> None:
    pattern = FilePattern(name, TIME, VARIABLE, gaps=gaps)
    (first, _) = pattern.missing()
    with pytest.raises(PatternError, match=r"time=1 \('b'\), variable=0 \('u'\)\] is a declared gap"):
        pattern[first]


def test_gaps_may_be_written_in_another_form_of_the_key() -> None:
    days = ConcatDim("time", [datetime.date(1999, 1, 4), datetime.date(1999, 1, 5)])
    pattern = FilePattern("{time}".format, days, gaps={(np.datetime64("1999-01-04"),)})
    assert [url for _, url in pattern.items()] == ["1999-01-05"]


@pytest.mark.parametrize("gaps", [lambda time: True, {("a",), ("b",), ("c",)}])
def test_a_pattern_of_gaps_only_is_refused(gaps: Any) -> None:
    with pytest.raises(PatternError, match="nothing is left"):
        list(FilePattern("{time}".format, TIME, gaps=gaps).items())


@pytest.mark.parametrize(
    ("gaps", "message"),
    [
        ({("z", "u")}, r"no inputs of .*: \('z', 'u'\)"),
        ({("a",)}, "one key for each of"),
        (["a"], "one key for each of"),
        ("a", "function of the keys or a set"),
        (3, "function of the keys or a set"),
    ],
)
def test_gaps_outside_the_pattern_are_refused(gaps: Any, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        FilePattern(name, TIME, VARIABLE, gaps=gaps)


def test_a_gap_function_answers_yes_or_no() -> None:
    silent: Any = lambda time: None  # noqa: E731  # a function that forgets to return, in one line
    with pytest.raises(PatternError, match=r"gaps\(time='a'\) returned None"):
        list(FilePattern("{time}".format, TIME, gaps=silent).items())


def test_a_gap_function_that_raises_is_told_with_its_keys() -> None:
    with pytest.raises(PatternError, match=r"gaps\(time='a'\) raised ZeroDivisionError"):
        len(FilePattern("{time}".format, TIME, gaps=lambda time: bool(1 / 0)))
