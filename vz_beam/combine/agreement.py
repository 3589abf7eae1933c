"""Where inputs disagree: each case in one sentence that names both files and both values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vz_beam.combine.loaded import MOST_LISTED, describe_difference
from vz_beam.combine.schema import Facts, Witness
from vz_beam.combine.skipped import SkippedInput, one_line
from vz_beam.combine.survey import Survey


def disagreements(survey: Survey, *, absent_are_missing: bool = False) -> list[str]:
    """Every disagreement of the inputs, sorted; empty where they agree.

    With ``absent_are_missing``, inputs may lack variables that others have.
    """
    absent = [] if absent_are_missing else _absent_variables(survey)
    return [*differing_facts(survey.facts), *_lengths(survey), *_values(survey), *absent]


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


def _lengths(survey: Survey) -> list[str]:
    found = []
    for group, dim, number, lengths in survey.clashes:
        where = f" of group {group!r}" if group else ""
        variants = sorted((witness, length) for length, witness in lengths.items())
        for witness, length in variants[1:MOST_LISTED]:
            what = f"the length of dimension {dim!r}{where}" + (f" at {dim}={number}" if number >= 0 else "")
            found.append(_sentence(what, str(variants[0][1]), variants[0][0], str(length), witness))
    return found


def _values(survey: Survey) -> list[str]:
    found: dict[str, list[str]] = {}
    told: set[tuple[str, Any, Any]] = set()
    for path, first, other in survey.rivals:
        sentences = found.setdefault(path, [])
        known = (path, (first.dtype, first.shape, first.piece), (other.dtype, other.shape, other.piece))
        if len(sentences) >= MOST_LISTED or known in told:
            continue
        told.add(known)
        difference = describe_difference(path, first.array(), other.array())
        if difference is not None:
            sentences.append(f"values of {path!r}: {difference}, in {first.record.label} and {other.record.label}")
    return [sentence for path in sorted(found) for sentence in found[path]]


def _absent_variables(survey: Survey) -> list[str]:
    merged = [axis for axis, dim in enumerate(survey.dims) if dim not in survey.concat_dims]
    skipped: dict[tuple[tuple[int, ...], frozenset[str]], dict[str, SkippedInput]] = {}
    for skip in survey.gathered.first_skipped():
        if (skipper := survey.gathered.inputs.get(skip.index.numbers)) is not None:
            part = tuple(skip.index.numbers[axis] for axis in merged)
            for path in skip.reasons:
                skipped.setdefault((part, frozenset(form.path for form in skipper.form)), {}).setdefault(path, skip)
    found = []
    for part, variants in sorted(survey.parts().items()):
        by_witness = sorted((witness, paths) for paths, witness in variants.items())
        holders: dict[str, Witness] = {}
        for witness, paths in by_witness:
            for path in paths:
                holders.setdefault(path, witness)
        for witness, paths in by_witness:
            for path in sorted(holders.keys() - paths - survey.left_out):
                absent = witness.label
                if (known := skipped.get((part, paths), {}).get(path)) is not None:
                    absent = f"{known.url}, where it was skipped: {one_line(known.reasons[path])}"
                found.append(f"variable {path!r} is in {holders[path].label} and not in {absent}")
    return found


def _sentence(what: str, first: str, first_witness: Witness, second: str, second_witness: Witness) -> str:
    return f"{what}: {first} in {first_witness.label}, {second} in {second_witness.label}"
