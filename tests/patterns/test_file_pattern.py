from __future__ import annotations

import datetime
import enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from vz_beam.errors import PatternError
from vz_beam.patterns import ConcatDim, FilePattern, Index, MergeDim, Position

TIME = ConcatDim("time", ["a", "b", "c"], nitems_per_file=4)
VARIABLE = MergeDim("variable", ["u", "v"])


def name(time: str, variable: str) -> str:
    return f"{variable}_{time}.nc"


class DailyPattern(FilePattern):
    def __init__(self) -> None:
        super().__init__(name, TIME, VARIABLE, file_type="netcdf3", fsspec_open_kwargs={"anon": True})
        self.note = "kept"


@pytest.fixture
def pattern() -> FilePattern:
    return FilePattern(name, TIME, VARIABLE)


def test_items_are_the_product_with_the_last_dimension_fastest(pattern: FilePattern) -> None:
    items = list(pattern.items())
    assert [url for _, url in items] == ["u_a.nc", "v_a.nc", "u_b.nc", "v_b.nc", "u_c.nc", "v_c.nc"]
    assert items[3][0] == Index((Position("time", "concat", 1, 3, "b"), Position("variable", "merge", 1, 2, "v")))
    assert [index for index, _ in items] == sorted(pattern) == list(pattern)
    assert [pattern[index] for index in pattern] == [url for _, url in items]


def test_a_pattern_tells_its_dimensions(pattern: FilePattern) -> None:
    assert pattern.dims == {"time": 3, "variable": 2}
    assert (pattern.shape, len(pattern)) == ((3, 2), 6)
    assert (pattern.concat_dims, pattern.merge_dims) == (["time"], ["variable"])
    assert pattern.nitems_per_input == {"time": 4}
    assert pattern.concat_sequence_lens == {"time": 12}
    assert pattern.combine_dim_keys == {"time": ["a", "b", "c"], "variable": ["u", "v"]}
    assert repr(pattern) == "<FilePattern {'time': 3, 'variable': 2}>"


def test_items_that_nobody_counted_have_no_total() -> None:
    assert FilePattern("{x}".format, ConcatDim("x", [1])).concat_sequence_lens == {"x": None}


def test_the_format_function_gets_the_keys_as_they_were_given() -> None:
    days = ConcatDim("time", [datetime.date(1999, 1, 4)])
    ((index, url),) = FilePattern(lambda time: f"{time:%Y/%j}.nc", days).items()
    assert url == "1999/004.nc"
    assert index.position("time").key == np.datetime64("1999-01-04", "ns")


def test_a_pattern_without_dimensions_is_one_input() -> None:
    assert list(FilePattern(lambda: "all.nc").items()) == [(Index(), "all.nc")]


def test_a_path_is_taken_as_a_url() -> None:
    pattern = FilePattern(lambda time: PurePosixPath("/data") / f"{time}.nc", ConcatDim("time", [7]))
    assert [url for _, url in pattern.items()] == ["/data/7.nc"]


def test_pruning_keeps_the_first_inputs_of_each_concat_dimension_and_all_merge_keys(pattern: FilePattern) -> None:
    assert pattern.prune().dims == {"time": 2, "variable": 2}
    assert pattern.prune(nkeep=1).combine_dim_keys == {"time": ["a"], "variable": ["u", "v"]}
    assert pattern.prune(9).dims == pattern.dims
    assert pattern.dims == {"time": 3, "variable": 2}


def test_pruning_keeps_the_subclass_and_its_options() -> None:
    pruned = DailyPattern().prune()
    assert type(pruned) is DailyPattern
    assert (pruned.note, pruned.file_type, pruned.fsspec_open_kwargs) == ("kept", "netcdf3", {"anon": True})
    assert pruned.nitems_per_input == {"time": 4}


@pytest.mark.parametrize("nkeep", [0, -1, 1.0, True])
def test_pruning_to_nothing_is_refused(pattern: FilePattern, nkeep: Any) -> None:
    with pytest.raises(PatternError, match="nkeep"):
        pattern.prune(nkeep)


def test_a_format_function_that_raises_is_told_with_its_keys() -> None:
    pattern = FilePattern(lambda time, variable: {}[time], TIME, VARIABLE)
    with pytest.raises(PatternError, match=r"format_function\(time='a', variable='u'\) raised KeyError: 'a'"):
        list(pattern.items())


@pytest.mark.parametrize("returned", [None, b"a.nc", 3, ""])
def test_a_format_function_that_returns_no_url_is_told_with_its_keys(returned: Any) -> None:
    with pytest.raises(PatternError, match=rf"format_function\(time='a'\) returned {returned!r}"):
        list(FilePattern(lambda time: returned, TIME).items())


def test_two_inputs_with_one_url_are_named() -> None:
    pattern = FilePattern(lambda time, variable: f"{time}.nc", TIME, VARIABLE)
    with pytest.raises(PatternError, match=r"time=0 \('a'\), variable=0 \('u'\)\] and \[.*variable=1 .* 'a.nc'"):
        list(pattern.items())


def test_a_dimension_of_another_kind_is_refused() -> None:
    wrong: Any = ["a", "b"]
    with pytest.raises(PatternError, match="ConcatDim or a MergeDim"):
        FilePattern(name, wrong)


def test_two_dimensions_of_one_name_are_refused() -> None:
    with pytest.raises(PatternError, match="different names"):
        FilePattern(name, TIME, MergeDim("time", ["u"]))


def test_a_list_in_place_of_the_format_function_is_pointed_to_file_sequences() -> None:
    wrong: Any = ["a.nc"]
    with pytest.raises(PatternError, match="pattern_from_file_sequence"):
        FilePattern(wrong, TIME)


def test_a_file_type_may_be_a_member_of_an_enum() -> None:
    kinds = enum.Enum("kinds", {"netcdf4": "netcdf4"})
    kind: Any = kinds.netcdf4
    assert FilePattern(name, TIME, VARIABLE, file_type=kind).file_type == "netcdf4"
    wrong: Any = 4
    with pytest.raises(PatternError, match="file_type"):
        FilePattern(name, TIME, VARIABLE, file_type=wrong)


def test_an_index_is_found_by_its_numbers_where_its_keys_are_not_known(pattern: FilePattern) -> None:
    assert pattern[Index((Position("variable", "merge", 1), Position("time", "concat", 2)))] == "v_c.nc"


@pytest.mark.parametrize(
    "index",
    [
        Index(),
        Index((Position("time", "concat", 0),)),
        Index((Position("time", "concat", 3), Position("variable", "merge", 0))),
        Index((Position("time", "concat", 0, 3, "b"), Position("variable", "merge", 0))),
        ("a", "u"),
    ],
)
def test_an_index_of_another_pattern_is_refused(pattern: FilePattern, index: Any) -> None:
    with pytest.raises(PatternError):
        pattern[index]
