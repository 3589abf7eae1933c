"""What becomes of attributes that differ, by the rule of each name."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.combine.virtual_files import combine, time_index, virtual_file
from vz_beam.combine.attributes import AttributeUnion
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.witness import Witness
from vz_beam.errors import InputError, MismatchError


def files(*attributes: Mapping[str, Any]) -> list[Any]:
    """Files of one series, each with attributes of ``v`` and of the dataset."""
    return [(time_index(n), virtual_file(n, attrs=attrs).assign_attrs(attrs)) for n, attrs in enumerate(attributes)]


DIFFERENT = files({"history": "a", "title": "t"}, {"history": "b", "title": "t"}, {"history": "a", "note": "n"})


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {"title": "t", "note": "n"}),
        ({"history": "drop_conflicts"}, {"title": "t", "note": "n"}),
        ({"history": "first"}, {"history": "a", "title": "t", "note": "n"}),
        ({"*": "first"}, {"history": "a", "title": "t", "note": "n"}),
        ({"*": "first", "history": "drop_conflicts"}, {"title": "t", "note": "n"}),
        ({"history": "override"}, {"history": "a", "title": "t", "note": "n"}),
    ],
)
def test_a_rule_says_what_becomes_of_an_attribute_that_differs(rules: dict[str, str], expected: dict[str, str]) -> None:
    layout, _ = combine(DIFFERENT, attributes=rules)
    assert layout.groups[""] == expected
    assert layout.arrays["v"].metadata.attributes == expected


@pytest.mark.parametrize("rules", [{"history": "same"}, {"*": "same"}])
def test_attributes_that_must_be_the_same_are_a_mismatch_that_names_both_files(rules: dict[str, str]) -> None:
    with pytest.raises(MismatchError) as caught:
        combine(DIFFERENT, attributes=rules)
    text = str(caught.value)
    assert "'v' attribute history: 'a' in s3://archive/000.nc, 'b' in s3://archive/001.nc" in text
    assert "group '/' attribute history: 'a' in s3://archive/000.nc, 'b' in s3://archive/001.nc" in text
    combine(files({"history": "a"}, {"history": "a"}, {}), attributes=rules)


def test_an_attribute_that_changes_the_meaning_is_taken_from_the_first_input_where_it_is_overridden() -> None:
    inputs = files({"units": "K"}, {"units": "kelvin"})
    with pytest.raises(MismatchError, match="units"):
        combine(inputs)
    layout, shards = combine(inputs, attributes={"units": "override"})
    assert layout.arrays["v"].metadata.attributes == {"units": "K"}
    assert sum(map(len, shards.values())) == 8


def test_inputs_are_not_of_other_eras_for_an_attribute_that_is_overridden() -> None:
    inputs = files({"units": "K"}, {"units": "kelvin"})
    layout, _ = combine(inputs, mismatch="split", attributes={"units": "override"})
    assert not layout.eras
    layout, _ = combine(inputs, mismatch="exclude", attributes={"units": "override"})
    assert not layout.excluded


@pytest.mark.parametrize("rule", ["first", "drop_conflicts"])
def test_what_changes_the_meaning_is_neither_dropped_nor_taken_from_the_first_without_being_overridden(
    rule: str,
) -> None:
    with pytest.raises(InputError, match="'scale_factor' changes what values mean"):
        CombineChoices(attributes={"scale_factor": rule})


@pytest.mark.parametrize("rules", [{"history": "last"}, "first"])
def test_other_rules_are_refused(rules: Any) -> None:
    with pytest.raises(InputError, match="rule"):
        CombineChoices(attributes=rules)


SAID = st.lists(
    st.tuples(
        st.integers(0, 9), st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 1.0, 2, "x", " x", None]))
    ),
    max_size=12,
    unique_by=lambda pair: pair[0],
)


@given(SAID, st.randoms(use_true_random=False))
def test_order_grouping_and_repetition_change_nothing(
    said: list[tuple[int, dict[str, Any]]], chance: random.Random
) -> None:
    inputs = [(Witness((number,), str(number)), attributes) for number, attributes in said]
    straight = AttributeUnion()
    for witness, attributes in inputs:
        straight.add(witness, attributes)
    shuffled = inputs + chance.choices(inputs, k=3) if inputs else []
    chance.shuffle(shuffled)
    parts = [AttributeUnion() for _ in range(3)]
    for witness, attributes in shuffled:
        chance.choice(parts).add(witness, attributes)
    chance.shuffle(parts)
    merged = AttributeUnion()
    for part in parts:
        merged.merge(part)
    assert repr((sorted(merged.firsts.items()), sorted(merged.others.items()))) == repr(
        (sorted(straight.firsts.items()), sorted(straight.others.items()))
    )


def test_attributes_that_are_arrays_are_compared() -> None:
    dataset: list[xr.Dataset] = [virtual_file(n).assign_attrs(box=[1.0, 2.0 + n]) for n in range(2)]
    layout, _ = combine([(time_index(n), one) for n, one in enumerate(dataset)])
    assert layout.groups[""] == {}
