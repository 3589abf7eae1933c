from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.errors import PatternError
from vz_beam.patterns import NamePattern, pattern_from_names

WORDS = st.text(alphabet="ab1", min_size=1, max_size=3)


def test_without_a_name_pattern_names_are_joined_in_natural_order() -> None:
    pattern = pattern_from_names(["d10.nc", "d9.nc", "d1.nc"], "time")
    assert [(index.numbers, url) for index, url in pattern.items()] == [
        ((0,), "d1.nc"),
        ((1,), "d9.nc"),
        ((2,), "d10.nc"),
    ]


def test_fields_of_names_become_dimensions() -> None:
    urls = [f"s3://bucket/{member}/data_{time}_{v}.nc" for member in "ab" for time in (9, 10) for v in ("sst", "u")]
    pattern = pattern_from_names(
        reversed(urls), ["time", "member"], "{member}/data_{time}_{variable}.nc", file_type="x"
    )
    assert pattern.combine_dim_keys == {"member": ["a", "b"], "time": ["9", "10"], "variable": ["sst", "u"]}
    assert (pattern.concat_dims, pattern.merge_dims) == (["member", "time"], ["variable"])
    assert [url for _, url in pattern.items()] == urls
    assert [url for _, url in pickle.loads(pickle.dumps(pattern.prune(1))).items()] == urls[:2]


def test_without_a_concat_dimension_all_fields_are_merged() -> None:
    assert pattern_from_names(["u.nc", "v.nc"], None, "{variable}.nc").merge_dims == ["variable"]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, unique=True))
def test_every_file_is_found_at_the_place_that_its_name_says(places: list[tuple[str, str]]) -> None:
    urls = {f"x_{time}_{variable}.nc": (time, variable) for time, variable in places}
    pattern = pattern_from_names(list(urls), "time", "x_{time}_{variable}.nc", allow_gaps=True)
    found = {url: tuple(position.key for position in index.positions) for index, url in pattern.items()}
    assert found == urls


@given(st.lists(st.text(alphabet="_a", min_size=1, max_size=4), min_size=2, max_size=3))
def test_a_name_is_read_where_there_is_one_reading_only(parts: list[str]) -> None:
    name = "_".join(parts)
    fields = [f"f{number}" for number in range(len(parts))]
    cuts = itertools.combinations([at for at, sign in enumerate(name) if sign == "_"], len(parts) - 1)
    readings = []
    for cut in cuts:
        ends = [*cut, len(name)]
        starts = [0, *(at + 1 for at in cut)]
        words = [name[start:end] for start, end in zip(starts, ends, strict=True)]
        if all(words):
            readings.append(words)
    pattern = NamePattern("_".join(f"{{{field}}}" for field in fields))
    if len(readings) == 1:
        assert pattern.read(name) == dict(zip(fields, parts, strict=True))
    else:
        with pytest.raises(PatternError, match="more than one way"):
            pattern.read(name)


@pytest.mark.parametrize(
    ("text", "url", "fields"),
    [
        ("{time}.nc", "/data/1999.nc", {"time": "1999"}),
        ("{time}.nc", "https://host/1999.nc?token=1/2.nc", {"time": "1999"}),
        ("{time}.nc", "/data/1999.nc4", None),
        ("{year}/{year}_{day}.nc", "/data/1999/1999_004.nc", {"year": "1999", "day": "004"}),
        ("{year}/{year}_{day}.nc", "/data/1999/2000_004.nc", None),
        ("a+{time}(x).nc", "a+1(x).nc", {"time": "1"}),
        ("{time}_x.nc", "_x.nc", None),
    ],
)
def test_a_name_is_read_from_its_last_components(text: str, url: str, fields: dict[str, str] | None) -> None:
    assert NamePattern(text).read(url) == fields


def test_names_that_do_not_fit_are_listed_five_at_most() -> None:
    urls = ["sst_1.nc", *(f"readme{number}.txt" for number in range(7))]
    with pytest.raises(
        PatternError, match=r"7 of 8 names do not fit 'sst_\{time\}.nc': .*'readme4.txt' and 2 more"
    ) as e:
        pattern_from_names(urls, "time", "sst_{time}.nc")
    assert "readme5" not in str(e.value)


def test_places_without_a_file_are_listed_unless_they_are_allowed() -> None:
    urls = ["u_1.nc", "u_2.nc", "v_1.nc"]
    with pytest.raises(PatternError, match=r"makes 4 places of 3 files; \[variable='v', time='2'\] without a file"):
        pattern_from_names(urls, "time", "{variable}_{time}.nc")
    pattern = pattern_from_names(urls, "time", "{variable}_{time}.nc", allow_gaps=True)
    assert [url for _, url in pattern.items()] == urls
    assert [index.numbers for index in pattern.missing()] == [(1, 1)]
    assert len(pickle.loads(pickle.dumps(pattern))) == 3


def test_two_files_of_one_place_are_named() -> None:
    with pytest.raises(PatternError, match=r"one place, \[time='1'\]: 'a/1.nc' and 'b/1.nc'"):
        pattern_from_names(["b/1.nc", "a/1.nc"], "time", "{time}.nc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data.nc", "which fields"),
        ("data_{}.nc", "names in braces"),
        ("data_{time:d}.nc", r"not \['time:d'\]"),
        ("data_{time.nc", "which fields"),
        ("data_{{time}}.nc", "which fields"),
        ("{time}{variable}.nc", "nothing between"),
        (3, "name_pattern is a str"),
    ],
)
def test_a_name_pattern_that_says_no_fields_is_refused(text: Any, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        pattern_from_names(["data_1.nc"], "time", text)


def test_a_concat_dimension_is_a_field() -> None:
    with pytest.raises(PatternError, match=r"concat_dim='day' is not among the fields of .*\['time'\]"):
        pattern_from_names(["1.nc"], "day", "{time}.nc")


def test_several_concat_dimensions_need_a_name_pattern() -> None:
    with pytest.raises(PatternError, match="several dimensions need a name_pattern"):
        pattern_from_names(["1.nc"], ["time", "x"])


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(PatternError, match="list of files is empty"):
        pattern_from_names([], "time", "{time}.nc")
