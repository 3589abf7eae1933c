"""Variables that inputs skipped: gathered in any order, counted by path, and named where inputs disagree."""

from __future__ import annotations

import pickle
import random

import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.combine.virtual_files import time_index, virtual_file
from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import schema_of
from vz_beam.combine.skipped import (
    SkippedInput,
    SkippedVariable,
    distinct_inputs,
    skipped_in,
    skipped_inputs,
    skipped_variables,
)
from vz_beam.errors import CombineError, MismatchError


def skipped(number: int, **reasons: str) -> SkippedInput:
    return SkippedInput(time_index(number), f"s3://archive/{number:03}.nc", reasons)


def gathered(*datasets: xr.Dataset) -> SchemaAccumulator:
    """What a pipeline gathers, in a loop."""
    found = SchemaAccumulator()
    for number, dataset in enumerate(datasets):
        found.add(schema_of(time_index(number), dataset))
        for one in skipped_inputs(time_index(number), dataset):
            found.skip(one)
    return found


def without_v(number: int, **reasons: str) -> xr.Dataset:
    dataset = virtual_file(number).drop_vars("v")
    dataset.encoding["skipped"] = reasons
    return dataset


def refusal(*datasets: xr.Dataset) -> tuple[str, ...]:
    with pytest.raises(MismatchError) as caught:
        plan_layout(gathered(*datasets))
    return caught.value.disagreements


def test_each_variable_is_counted_with_its_first_input_as_witness() -> None:
    found = skipped_variables(
        [skipped(0, b="chunk 7 skips a filter"), skipped(2, b="chunk 9 skips a filter", a="wild"), skipped(3, a="wild")]
    )
    assert found == (
        SkippedVariable("a", "wild", 2, "s3://archive/002.nc"),
        SkippedVariable("b", "chunk 7 skips a filter", 2, "s3://archive/000.nc"),
    )
    assert str(found[0]) == "'a': wild (in 2 inputs, the first is s3://archive/002.nc)"
    assert str(SkippedVariable("a", "on\ntwo", 1, "f.nc")) == "'a': on two (in f.nc)"


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=4))
@settings(max_examples=30)
def test_order_and_repetition_of_inputs_change_no_count_and_no_witness(order: list[int], repeats: list[int]) -> None:
    inputs = [skipped(number, v=f"chunk {number}") for number in (*order, *repeats)]
    assert distinct_inputs(inputs) == [skipped(number, v=f"chunk {number}") for number in range(5)]
    (variable,) = skipped_variables(distinct_inputs(inputs))
    assert variable == SkippedVariable("v", "chunk 0", 5, "s3://archive/000.nc")


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 5), max_size=4))
@settings(max_examples=30)
def test_any_merge_tree_keeps_the_first_input_of_each_list_of_variables(
    randomness: random.Random, repeats: list[int]
) -> None:
    inputs = [
        skipped(number, **{"v": f"chunk {number}"} | ({"w": "wild"} if number % 2 else {})) for number in range(6)
    ]
    parts = [SchemaAccumulator(), *(SchemaAccumulator().skip(inputs[number]) for number in (*range(6), *repeats))]
    while len(parts) > 1:
        other = parts.pop(randomness.randrange(len(parts)))
        parts[randomness.randrange(len(parts))].merge(pickle.loads(pickle.dumps(other)))
    assert parts[0].skipped == {("v",): inputs[0], ("v", "w"): inputs[1]}


def test_an_accumulator_does_not_grow_with_inputs_that_skip_the_same_variables() -> None:
    found = SchemaAccumulator()
    for number in range(1000):
        found.skip(skipped(number, a="wild", b=f"chunk {number}"))
    assert len(pickle.dumps(found.skipped)) < 1000


def test_reasons_are_found_by_path_in_trees() -> None:
    tree = xr.DataTree.from_dict({"/": without_v(0, v="wild"), "/a/b": without_v(0, v="ragged"), "/c": xr.Dataset()})
    assert skipped_in(tree) == {"v": "wild", "a/b/v": "ragged"}
    assert list(skipped_inputs(time_index(0), virtual_file(0))) == []
    (one,) = skipped_inputs(time_index(3), without_v(3, z="wild", v="ragged"))
    assert one == skipped(3, v="ragged", z="wild")
    assert list(one.reasons) == ["v", "z"]


def test_a_mismatch_says_that_a_file_skipped_the_variable_and_why() -> None:
    assert refusal(virtual_file(0), without_v(1, v="chunk 3\n  skips a filter"), without_v(2, v="chunk 4")) == (
        "variable 'v' is in s3://archive/000.nc and not in s3://archive/001.nc, where it was skipped: "
        "chunk 3 skips a filter",
    )


def test_a_file_that_skipped_is_named_before_one_that_has_no_such_variable() -> None:
    (text,) = refusal(virtual_file(0), without_v(1), without_v(2, v="wild", w="wild"))
    assert "not in s3://archive/002.nc, where it was skipped: wild" in text


def test_variables_that_every_file_skips_are_no_disagreement() -> None:
    layout = plan_layout(gathered(without_v(0, v="chunk 1"), without_v(1, v="chunk 2")))
    assert set(layout.arrays) == {"time", "x"}


def test_inputs_of_which_nothing_is_left_are_refused() -> None:
    bare = xr.Dataset()
    bare.encoding = {"source": "s3://archive/000.nc", "skipped": {"v": "wild"}}
    with pytest.raises(CombineError, match=r"every variable .*'v' \(such as in s3://archive/000\.nc\): wild"):
        plan_layout(gathered(bare))
