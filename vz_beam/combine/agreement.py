"""Where inputs disagree: each case in one sentence that names both files and both values."""

from __future__ import annotations

from collections.abc import Mapping

from vz_beam.combine.accumulator import Presence, SchemaAccumulator
from vz_beam.combine.loaded import describe_difference
from vz_beam.combine.schema import Facts, LoadedValues, Witness
from vz_beam.combine.skipped import SkippedInput, one_line

MOST_LISTED = 20
"""Variants of one fact that an error lists; an archive whose every file is packed its own way has thousands."""


def disagreements(gathered: SchemaAccumulator) -> list[str]:
    """Every disagreement of the inputs, sorted; empty where they agree."""
    return [*differing_facts(gathered.facts), *_lengths(gathered), *_values(gathered), *_absent_variables(gathered)]


def differing_facts(facts_by_path: Mapping[str, Mapping[Facts, Witness]]) -> list[str]:
    """Where variables differ in what all inputs must agree on: metadata, and attributes that change the meaning."""
    found = []
    for path, by_facts in sorted(facts_by_path.items()):
        variants = sorted((witness, dict(facts)) for facts, witness in by_facts.items())
        first_witness, first = variants[0]
        for fact in sorted({fact for _, facts in variants for fact in facts}):
            expected = first.get(fact, "absent")
            others: dict[str, Witness] = {}
            for witness, facts in variants:
                others.setdefault(facts.get(fact, "absent"), witness)
            others.pop(expected)
            for text, witness in list(others.items())[:MOST_LISTED]:
                found.append(_sentence(f"{path!r} {fact}", expected, first_witness, text, witness))
    return found


def _lengths(gathered: SchemaAccumulator) -> list[str]:
    found = []
    for (group, dim), by_number in sorted(gathered.lengths.items()):
        where = f" of group {group!r}" if group else ""
        for number, lengths in sorted(by_number.items()):
            variants = sorted((witness, length) for length, witness in lengths.items())
            for witness, length in variants[1:MOST_LISTED]:
                what = f"the length of dimension {dim!r}{where}" + (f" at {dim}={number}" if number >= 0 else "")
                found.append(_sentence(what, str(variants[0][1]), variants[0][0], str(length), witness))
    return found


def _values(gathered: SchemaAccumulator) -> list[str]:
    found = []
    axes = list(gathered.operations)
    dims_of_files = {dim for _, dim in gathered.lengths}
    for path, by_place in sorted(gathered.values.items()):
        known = gathered.representatives[path]
        places: dict[tuple[int, ...], dict[str, tuple[Witness, LoadedValues]]] = {}
        for own, variants in by_place.items():
            # numbers along a dimension that only other inputs have do not tell values apart
            place = tuple(
                n if dim in known.dims or dim not in dims_of_files else -1 for dim, n in zip(axes, own, strict=True)
            )
            merged = places.setdefault(place, {})
            for digest, entry in variants.items():
                if digest not in merged or entry[0] < merged[digest][0]:
                    merged[digest] = entry
        for _, merged in sorted(places.items()):
            entries = sorted(merged.values(), key=lambda entry: entry[0])
            first = entries[0]
            for entry in entries[1:MOST_LISTED]:
                difference = describe_difference(path, first[1].variable, entry[1].variable)
                found.append(f"values of {path!r}: {difference}, in {first[0].label} and {entry[0].label}")
    return found


def _absent_variables(gathered: SchemaAccumulator) -> list[str]:
    merge_axes = [axis for axis, operation in enumerate(gathered.operations.values()) if operation == "merge"]
    holders: dict[tuple[tuple[int, ...], str], Presence] = {}
    lists: dict[tuple[int, ...], dict[tuple[str, ...], Presence]] = {}
    for numbers, presence in gathered.present.items():
        part = tuple(numbers[axis] for axis in merge_axes)
        variants = lists.setdefault(part, {})
        if presence.paths not in variants or presence < variants[presence.paths]:
            variants[presence.paths] = presence
    skipped: dict[tuple[tuple[int, ...], tuple[str, ...]], dict[str, SkippedInput]] = {}
    for skip in gathered.first_skipped():
        if (skipper := gathered.present.get(skip.index.numbers)) is not None:
            part = tuple(skip.index.numbers[axis] for axis in merge_axes)
            for path in skip.reasons:
                skipped.setdefault((part, skipper.paths), {}).setdefault(path, skip)
    found = []
    for part, variants in sorted(lists.items()):
        for presence in sorted(variants.values()):
            for path in presence.paths:
                holders.setdefault((part, path), presence)
        everything = {path for paths in variants for path in paths}
        for presence in sorted(variants.values()):
            for path in sorted(everything.difference(presence.paths)):
                holder = holders[part, path].witness.label
                absent = presence.witness.label
                if (known := skipped.get((part, presence.paths), {}).get(path)) is not None:
                    absent = f"{known.url}, where it was skipped: {one_line(known.reasons[path])}"
                found.append(f"variable {path!r} is in {holder} and not in {absent}")
    return found


def _sentence(what: str, first: str, first_witness: Witness, second: str, second_witness: Witness) -> str:
    return f"{what}: {first} in {first_witness.label}, {second} in {second_witness.label}"
