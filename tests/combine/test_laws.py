"""The laws of merging: order, grouping and repetition change nothing."""

from __future__ import annotations

import pickle
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.combine.virtual_files import combine, time_index, virtual_file
from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.placing import place_in_shards, references_of
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import schema_of
from vz_beam.manifests import Codec

ZLIB = (Codec("numcodecs.zlib", {"level": 1}),)
INPUTS = [(time_index(n, 7), virtual_file(n).assign_attrs(history=str(n), title="series")) for n in range(7)]
LAYOUT, SHARDS = combine(INPUTS, chunks_per_shard=5)


def merged_by_a_random_tree(parts, merge, randomness: random.Random):  # type: ignore[no-untyped-def]
    parts = list(parts)
    while len(parts) > 1:
        a = parts.pop(randomness.randrange(len(parts)))
        b = parts.pop(randomness.randrange(len(parts)))
        parts.append(merge(a, b))
    return parts[0]


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 6), max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_order_grouping_and_repetition_of_inputs_gives_the_same_layout(randomness, repeats) -> None:  # type: ignore[no-untyped-def]
    accumulators = [SchemaAccumulator()]
    for number in [*range(7), *repeats]:
        accumulators.append(SchemaAccumulator().add(schema_of(*INPUTS[number])))
    merged = merged_by_a_random_tree(accumulators, lambda a, b: a.merge(pickle.loads(pickle.dumps(b))), randomness)
    assert plan_layout(merged, CombineChoices(chunks_per_shard=5)) == LAYOUT


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 6), max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_order_grouping_and_repetition_of_inputs_gives_identical_shards(randomness, repeats) -> None:  # type: ignore[no-untyped-def]
    parts: dict[ShardKey, list[Fragment]] = {}
    for number in [*range(7), *repeats]:
        for key, fragment in place_in_shards(LAYOUT, references_of(*INPUTS[number])):
            parts.setdefault(key, [Fragment.empty()]).append(fragment)
    assert parts.keys() == SHARDS.keys()
    for key, fragments in parts.items():
        merged = merged_by_a_random_tree(fragments, lambda a, b: merge_fragments([a, b]), randomness)
        assert merged == SHARDS[key]


def test_an_empty_accumulator_changes_nothing() -> None:
    gathered = SchemaAccumulator()
    for index, dataset in INPUTS:
        gathered.add(schema_of(index, dataset))
    assert plan_layout(gathered.merge(SchemaAccumulator()), CombineChoices(chunks_per_shard=5)) == LAYOUT
    assert plan_layout(SchemaAccumulator().merge(gathered), CombineChoices(chunks_per_shard=5)) == LAYOUT


def test_merging_leaves_the_other_accumulator_as_it_was() -> None:
    other = SchemaAccumulator().add(schema_of(time_index(0), virtual_file(0)))
    before = plan_layout(SchemaAccumulator().merge(other))
    SchemaAccumulator().add(schema_of(time_index(1), virtual_file(1))).merge(other).add(
        schema_of(time_index(2), virtual_file(2, dtype="i4"))
    )
    assert plan_layout(SchemaAccumulator().merge(other)) == before


def test_shards_hold_each_reference_once_at_its_place() -> None:
    numbers = [n for key, fragment in SHARDS.items() if key.path == "v" for n in fragment.numbers.tolist()]
    assert numbers == list(range(7 * 2 * 2))
    third = SHARDS[("v", 2)]  # type: ignore[index]
    assert third.locations == ("s3://archive/002.nc", "s3://archive/003.nc")
    assert third.numbers.tolist() == [10, 11, 12, 13, 14]
    assert third.offsets.tolist() == [200, 300, 0, 100, 200]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_uneven_inputs_places_each_chunk_where_its_elements_are(steps, randomness, size) -> None:  # type: ignore[no-untyped-def]
    inputs = [
        (time_index(n, len(steps)), virtual_file(n, count * chunk, first=100.0 * n, chunk_steps=chunk, codecs=ZLIB))
        for n, (count, chunk) in enumerate(steps)
    ]
    choices = {"chunk_grid": "rectilinear", "gaps": "keep", "chunks_per_shard": size}
    layout, shards = combine(inputs, **choices)
    shuffled = randomness.sample(inputs, len(inputs))
    assert combine([*shuffled, shuffled[0]], **choices) == (layout, shards)
    grid = layout.arrays["v"].metadata.chunk_grid
    expected = [chunk for count, chunk in steps for _ in range(count)]
    assert [grid.length(0, place) for place in range(grid.grid_shape[0])] == expected
    assert set(grid.uneven) == ({0} if len(set(expected)) > 1 else set())
    found = {
        number: (fragment.locations[location], offset)
        for fragment in shards.values()
        for number, location, offset in zip(
            *(column.tolist() for column in (fragment.numbers, fragment.location_ids, fragment.offsets)), strict=True
        )
    }
    owners = [(f"s3://archive/{n:03}.nc", row) for n, (count, _) in enumerate(steps) for row in range(count)]
    assert found == {
        2 * place + column: (url, 100 * (2 * row + column))
        for place, (url, row) in enumerate(owners)
        for column in range(2)
    }
