"""Patterns laid out as those of pangeo-forge-recipes, which is not installed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import pytest

from vz_beam.errors import PatternError
from vz_beam.patterns import ConcatDim, FilePattern, Index, Position, as_index, as_pattern_items

CombineOp = Enum("CombineOp", "MERGE CONCAT SUBSET")


@dataclass(frozen=True, order=True)
class Dimension:
    name: str
    operation: CombineOp


@dataclass(frozen=True, order=True)
class ForeignPosition:
    value: int
    indexed: bool = False


@dataclass(frozen=True, order=True)
class IndexedPosition(ForeignPosition):
    dimsize: int = 0


class ForeignIndex(dict[Dimension, ForeignPosition]):
    def __hash__(self) -> int:  # type: ignore[override]  # as it is there
        return hash(tuple(self.items()))


class ForeignPattern:
    def __init__(self, urls: list[Any]) -> None:
        self.urls = urls

    def items(self) -> Iterator[tuple[ForeignIndex, Any]]:
        for number, url in enumerate(self.urls):
            place = ForeignPosition(number // 2)
            yield ForeignIndex({TIME: place, VARIABLE: ForeignPosition(number % 2)}), url


TIME = Dimension("time", CombineOp.CONCAT)
VARIABLE = Dimension("variable", CombineOp.MERGE)


def test_a_foreign_pattern_gives_our_indexes() -> None:
    items = list(as_pattern_items(ForeignPattern(["u1.nc", "v1.nc", PurePosixPath("u2.nc")])))
    assert items == [
        (Index((Position("time", "concat", 0), Position("variable", "merge", 0))), "u1.nc"),
        (Index((Position("time", "concat", 0), Position("variable", "merge", 1))), "v1.nc"),
        (Index((Position("time", "concat", 1), Position("variable", "merge", 0))), "u2.nc"),
    ]


def test_our_pattern_is_taken_as_it_is() -> None:
    pattern = FilePattern("{time}.nc".format, ConcatDim("time", ["a", "b"]))
    assert list(as_pattern_items(pattern)) == list(pattern.items())


def test_our_index_is_taken_as_it_is() -> None:
    index = Index((Position("time", "concat", 0, 1, "a"),))
    assert as_index(index) is index


def test_the_size_of_a_dimension_is_kept() -> None:
    assert as_index({TIME: IndexedPosition(3, dimsize=5)}) == Index((Position("time", "concat", 3, 5),))


@pytest.mark.parametrize("index", [3, "3", ("time", 3), None, 3.0])
def test_a_bare_number_text_or_tuple_is_no_index(index: Any) -> None:
    with pytest.raises(PatternError, match=r"does not say along which dimension\. Way out"):
        as_index(index)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({Dimension("time", CombineOp.SUBSET): ForeignPosition(0)}, "operation .*SUBSET"),
        ({TIME: ForeignPosition(12, indexed=True)}, "counts elements"),
        ({"time": 3}, r"lacks dimension\.name, dimension\.operation, position\.value"),
        ({TIME: 3}, r"lacks position\.value"),
        ({TIME: IndexedPosition(5, dimsize=5)}, "outside its 5 keys"),
    ],
)
def test_a_mapping_that_is_no_index_is_refused(index: Any, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        as_index(index)


@pytest.mark.parametrize("pattern", [["a.nc"], "a.nc", 3, None])
def test_what_is_no_pattern_is_refused_at_once(pattern: Any) -> None:
    with pytest.raises(PatternError, match=r"is no pattern.*Way out: pattern_from_file_sequence"):
        as_pattern_items(pattern)


def test_items_that_are_no_pairs_are_refused() -> None:
    class Odd:
        def items(self) -> list[Any]:
            return ["a.nc"]

    with pytest.raises(PatternError, match=r"item 0 of the pattern is 'a\.nc'"):
        list(as_pattern_items(Odd()))


@pytest.mark.parametrize("url", [None, 3, "", b"a.nc"])
def test_a_foreign_url_is_a_text(url: Any) -> None:
    with pytest.raises(PatternError, match=r"input \[time=0, variable=0\].*no text"):
        list(as_pattern_items(ForeignPattern([url])))
