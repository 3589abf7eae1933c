"""Coordinates verify the places of inputs: overlaps, gaps, tolerance."""

from __future__ import annotations

from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr

from tests.combine.virtual_files import combine, time_index, virtual_file
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.positions import Series, check_positions
from vz_beam.errors import InputError, MismatchError


def checked(*pieces: Any, **choices: str) -> tuple[list[str], list[str]]:
    """Problems and notes of a coordinate whose pieces are in files a, b, c, ..."""
    arrays = {place: np.asarray(piece) for place, piece in enumerate(pieces)}
    series = Series.of_pieces(arrays)
    return tuple(check_positions("time", "time", series, "abcdefghij".__getitem__, **choices))  # type: ignore[return-value]


def days(*texts: str) -> np.ndarray[Any, Any]:
    return np.array(texts, "M8[ns]")


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([[0, 1], [2, 3], [6, 7]], "2 steps are left out between 3 in b and 6 in c"),
        ([[0.0, 0.1], [0.2, 0.3], [0.5, 0.6]], "1 step is left out between 0.3 in b and 0.5 in c"),
        ([[7], [6], [5], [2]], "2 steps are left out between 5 in c and 2 in d"),
        (
            [days("2000-01-01"), days("2000-01-02"), days("2000-01-03"), days("2000-01-05")],
            "1 step is left out between 2000-01-03T00:00:00.000000000 in c and 2000-01-05T00:00:00.000000000 in d",
        ),
        (
            [days("2000-01-16", "2000-02-15"), days("2000-03-16", "2000-04-16"), days("2000-07-16", "2000-08-16")],
            "2 steps are left out between 2000-04-16T00:00:00.000000000 in b",
        ),
        (
            [[cftime.Datetime360Day(2000, m, 30)] for m in (1, 2, 3, 4, 6)],
            "1 step is left out between 2000-04-30 00:00:00 in d and 2000-06-30 00:00:00 in e",
        ),
    ],
)
def test_a_step_that_a_regular_coordinate_leaves_out_is_told_by_file(pieces: list[Any], told: str) -> None:
    problems, notes = checked(*pieces)
    assert not problems
    (note,) = notes
    assert "has a gap" in note
    assert told in note


@pytest.mark.parametrize(
    "pieces",
    [
        [[0, 1], [2, 3], [4, 5]],
        [[0, 1], [3, 7], [20, 21]],
        [[1], [10], [100], [1000]],
        [[0], [5]],
        [days("2000-01-31"), days("2000-02-29"), days("2000-03-31"), days("2000-04-30")],
        [days(f"{year}-07-01") for year in (1999, 2000, 2001, 2002, 2003, 2004)],
        [[cftime.DatetimeNoLeap(2000, month, 15)] for month in range(1, 9)],
    ],
)
def test_regular_and_irregular_coordinates_without_gaps_are_quiet(pieces: list[Any]) -> None:
    assert checked(*pieces) == ([], [])


def test_policies_say_what_becomes_of_a_gap() -> None:
    pieces = [[0, 1], [2, 3], [6, 7]]
    assert len(checked(*pieces, gaps="raise")[0]) == 1
    assert checked(*pieces, gaps="keep") == ([], [])


@pytest.mark.parametrize("pieces", [[[0, 1, 2], [2, 3]], [[4, 5], [0, 1]], [[0, 1], [0, 1]]])
def test_policies_say_what_becomes_of_an_overlap(pieces: list[Any]) -> None:
    problems, notes = checked(*pieces)
    assert (len(problems), notes) == (1, [])
    problems, notes = checked(*pieces, overlaps="warn")
    assert (problems, len(notes)) == ([], 1)
    assert checked(*pieces, overlaps="keep") == ([], [])


def test_files_that_overlap_are_joined_as_they_are_where_that_is_asked_for() -> None:
    layout, _ = combine([(time_index(n), virtual_file(n, first=2 * n)) for n in range(2)], overlaps="warn")
    assert np.frombuffer(layout.arrays["time"].chunks[0], "i8").tolist() == [0, 1, 2, 3, 2, 3, 4, 5]
    (note,) = layout.notes
    assert "overlaps" in note
    assert "000.nc" in note


def test_a_gap_is_refused_where_that_is_asked_for() -> None:
    with pytest.raises(MismatchError, match=r"has a gap along 'time': 4 steps are left out .*001.nc"):
        combine([(time_index(n), virtual_file(n, first=first)) for n, first in enumerate((0, 8))], gaps="raise")


def test_the_place_of_an_absent_input_is_no_gap() -> None:
    inputs = [(time_index(n, 3), virtual_file(n)) for n in (0, 2)]
    layout, _ = combine(inputs, holes="missing", fill_values={"v": -1}, gaps="raise")
    assert layout.arrays["v"].metadata.shape == (12, 6)


def with_x(number: int, x: Any) -> tuple[Any, xr.Dataset]:
    return time_index(number), virtual_file(number).assign_coords(x=("x", np.asarray(x)))


X = np.arange(6.0)


@pytest.mark.parametrize("tolerance", [1e-6, {"x": 1e-6}, {"*": 1e-6}, {"x": 1e-6, "*": 0.0}])
def test_coordinates_within_the_tolerance_agree_and_those_of_the_first_input_are_kept(tolerance: Any) -> None:
    inputs = [with_x(0, X), with_x(1, X + 1e-6), with_x(2, X - 5e-7)]
    with pytest.raises(MismatchError, match="values of 'x'"):
        combine(inputs)
    layout, _ = combine(inputs[::-1], tolerance=tolerance)
    assert np.frombuffer(layout.arrays["x"].chunks[0]).tolist() == X.tolist()
    (note,) = layout.notes
    assert "'x' differ within 1e-06" in note


@pytest.mark.parametrize("other", [X + 1e-5, np.append(X[:5], np.nan), X[::-1]])
def test_coordinates_beyond_the_tolerance_are_refused(other: Any) -> None:
    with pytest.raises(MismatchError, match=r"values of 'x': .*000.nc and s3://archive/001.nc"):
        combine([with_x(0, X), with_x(1, other)], tolerance=1e-6)


def test_the_tolerance_of_times_is_in_seconds() -> None:
    times = np.datetime64("2000-01-01", "ns") + np.arange(6) * np.timedelta64(1, "D")
    inputs = [with_x(0, times), with_x(1, times + np.timedelta64(2, "s"))]
    combine(inputs, tolerance=2)
    with pytest.raises(MismatchError, match="values of 'x'"):
        combine(inputs, tolerance=1)


def test_inputs_within_the_tolerance_are_of_one_era() -> None:
    inputs = [with_x(0, X), with_x(1, X + 1e-6)]
    assert len(set(combine(inputs, mismatch="split")[0].eras.values())) == 2
    assert not combine(inputs, mismatch="split", tolerance=1e-5)[0].eras


@pytest.mark.parametrize("tolerance", [-1, float("nan"), "1", {"x": None}, True])
def test_a_tolerance_is_a_number_from_0_on(tolerance: Any) -> None:
    with pytest.raises(InputError, match="tolerance"):
        CombineChoices(tolerance=tolerance)
