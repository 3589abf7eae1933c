from __future__ import annotations

import pickle
from pathlib import PurePosixPath
from typing import Any

import pytest

from vz_beam.errors import PatternError
from vz_beam.patterns import Index, Position, pattern_from_file_sequence


def test_a_list_keeps_its_order_and_its_places_are_the_keys() -> None:
    pattern = pattern_from_file_sequence(["b.nc", "a.nc"], "time", nitems_per_file=3, file_type="netcdf4")
    assert list(pattern.items()) == [
        (Index((Position("time", "concat", 0, 2, 0),)), "b.nc"),
        (Index((Position("time", "concat", 1, 2, 1),)), "a.nc"),
    ]
    assert (pattern.concat_sequence_lens, pattern.file_type) == ({"time": 6}, "netcdf4")


def test_one_file_needs_no_dimension() -> None:
    assert list(pattern_from_file_sequence(["a.nc"], None).items()) == [(Index(), "a.nc")]
    assert pattern_from_file_sequence(["a.nc"], "time").dims == {"time": 1}


def test_paths_and_generators_are_taken() -> None:
    pattern = pattern_from_file_sequence((PurePosixPath("/data", name) for name in "ab"), "time")
    assert [url for _, url in pattern.items()] == ["/data/a", "/data/b"]


def test_it_survives_pickle_and_pruning() -> None:
    pattern = pickle.loads(pickle.dumps(pattern_from_file_sequence(list("abc"), "time")))
    assert [url for _, url in pattern.prune().items()] == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "concat_dim", "message"),
    [
        ([], "time", r"list of files is empty\. Way out"),
        ("data.nc", "time", r"is a str, 'data.nc'\. Way out: a list"),
        (PurePosixPath("data.nc"), "time", "is a PurePosixPath"),
        (["a.nc", 3], "time", "file 1 of the list is 3"),
        (["a.nc", ""], "time", "file 1 of the list is ''"),
        (["a.nc", "b.nc", "a.nc"], "time", r"more than once: 'a\.nc'"),
        (["a.nc", "b.nc"], None, r"2 files and concat_dim=None.*Way out"),
        (["a.nc"], "", "name is a str"),
    ],
)
def test_a_list_that_makes_no_pattern_is_refused(files: Any, concat_dim: Any, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        pattern_from_file_sequence(files, concat_dim)


def test_items_per_file_need_a_dimension() -> None:
    with pytest.raises(PatternError, match="along no dimension"):
        pattern_from_file_sequence(["a.nc"], None, nitems_per_file=3)
