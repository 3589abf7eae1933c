from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from vz_beam.errors import PatternError
from vz_beam.patterns import ConcatDim, FilePattern

SECRET = "open-sesame"


def name(time: int) -> str:
    return f"https://host/{time}.nc"


def pattern_of(**options: Any) -> FilePattern:
    return FilePattern(name, ConcatDim("time", [1, 2]), **options)


@pytest.fixture
def pattern() -> FilePattern:
    return pattern_of(fsspec_open_kwargs={"password": SECRET}, query_string_secrets={"token": SECRET})


def test_options_are_given_back_in_their_own_process(pattern: FilePattern) -> None:
    for same in (pattern, pattern.prune(), copy.copy(pattern), copy.deepcopy(pattern)):
        assert same.fsspec_open_kwargs == {"password": SECRET}
        assert same.query_string_secrets == {"token": SECRET}


def test_options_show_in_no_text_and_no_pickle(pattern: FilePattern) -> None:
    assert SECRET not in repr(pattern) + repr(vars(pattern))
    assert SECRET.encode() not in pickle.dumps(pattern)
    assert SECRET.encode() not in pickle.dumps(list(pattern.items()))


def test_a_pickled_pattern_gives_the_same_items_and_says_that_options_were_left_out(pattern: FilePattern) -> None:
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(pattern))))
    assert list(again.items()) == list(pattern.items())
    for name_of_options in ("fsspec_open_kwargs", "query_string_secrets"):
        with pytest.raises(PatternError, match=r"left out of the pickle.*Way out"):
            getattr(again, name_of_options)


def test_a_pattern_without_options_pickles_whole() -> None:
    assert pickle.loads(pickle.dumps(pattern_of())).fsspec_open_kwargs == {}


def test_options_are_no_part_of_the_digest(pattern: FilePattern) -> None:
    assert pattern.sha256() == pattern_of().sha256()


def test_the_digest_tells_patterns_apart() -> None:
    others = [
        pattern_of(),
        pattern_of(file_type="netcdf4"),
        pattern_of(gaps={(1,)}),
        pattern_of().prune(1),
        FilePattern(name, ConcatDim("time", [2, 1])),
        FilePattern(name, ConcatDim("time", [1, 2], nitems_per_file=3)),
        FilePattern(name, ConcatDim("time", [1, 2.0])),
    ]
    assert len({other.sha256() for other in others}) == len(others)
    assert pattern_of().sha256() == pattern_of().sha256()


@pytest.mark.parametrize("option", ["fsspec_open_kwargs", "query_string_secrets"])
def test_options_are_a_dict(option: str) -> None:
    with pytest.raises(PatternError, match=f"{option} is a dict"):
        pattern_of(**{option: "token"})
