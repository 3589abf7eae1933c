"""Where inputs disagree: each case in one sentence that names both files and both values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from vz_beam.combine.attributes import NAMING
from vz_beam.combine.canonical import canonical_text
from vz_beam.combine.loaded import MOST_LISTED, describe_difference
from vz_beam.combine.schema import Facts, join_path
from vz_beam.combine.skipped import SkippedInput, one_line
from vz_beam.combine.survey import Survey
from vz_beam.combine.witness import Witness


class Agreement(NamedTuple):
    """Where inputs disagree, and where they differ as far as they may."""

    problems: list[str]
    notes: list[str]


def agreement(survey: Survey) -> Agreement:
    """Every disagreement of the inputs, sorted; empty where they agree."""
    absent = [] if survey.choices.variables == "union" else _absent_variables(survey)
    values = _values(survey)
    problems = [*differing_facts(survey.facts), *_attributes(survey), *_lengths(survey), *values.problems, *absent]
    problems += _in_several_parts(survey)
    return Agreement(problems, values.notes)


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


def _attributes(survey: Survey) -> list[str]:
    found = []
    for path, union in sorted(survey.attributes.items()):
        owner = f"{path!r}" if not path.endswith("/") else f"group {path!r}"
        for name, first, other in union.conflicts(survey.choices.attributes):
            texts = canonical_text(first.value), canonical_text(other.value)
            found.append(_sentence(f"{owner} attribute {name}", texts[0], first.witness, texts[1], other.witness))
    return found


def _values(survey: Survey) -> Agreement:
    found: dict[str, list[str]] = {}
    tolerated: dict[str, str] = {}
    told: set[tuple[str, Any, Any]] = set()
    for path, first, other in survey.rivals:
        sentences = found.setdefault(path, [])
        known = (path, (first.dtype, first.shape, first.piece), (other.dtype, other.shape, other.piece))
        if len(sentences) >= MOST_LISTED or known in told:
            continue
        told.add(known)
        difference = describe_difference(path, first.array(), other.array())
        if difference is None:
            continue
        files = f"in {first.record.label} and {other.record.label}"
        tolerance = survey.choices.tolerance_of(path)
        if tolerance and describe_difference(path, first.array(), other.array(), tolerance) is None:
            tolerated.setdefault(path, f"values of {path!r} differ within {tolerance:g}: {difference}, {files}")
        else:
            sentences.append(f"values of {path!r}: {difference}, {files}")
    return Agreement([sentence for path in sorted(found) for sentence in found[path]], list(tolerated.values()))


def _in_several_parts(survey: Survey) -> list[str]:
    """Virtual data variables that inputs of several keys of a merged dimension have: only values could tell which.

    Coordinates, what other variables name (bounds, grid mappings, cell measures) and what lacks the concatenated
    dimensions are in all files and kept once.
    """
    if set(survey.dims) == set(survey.concat_dims):
        return []
    named, joined = _named_by_others(survey), set(survey.concat_dims)
    holders: dict[str, dict[tuple[int, ...], Witness]] = {}
    for part, variants in sorted(survey.parts().items()):
        for paths, witness in variants.items():
            for path in paths:
                known = holders.setdefault(path, {})
                known[part] = min(witness, known.get(part, witness))
    found = []
    for path, parts in sorted(holders.items()):
        known_variable = survey.representatives.get(path)
        if len(parts) < 2 or known_variable is None or known_variable.metadata is None:
            continue
        if known_variable.is_coordinate or not known_variable.dims or path in named:
            continue
        if survey.concat_dims and survey.concat_dims != survey.new_dims and not joined & set(known_variable.dims):
            continue  # kept once, as what lacks the concatenated dimension is
        first, second = sorted(parts.values())[:2]
        found.append(
            f"variable {path!r} is in {first.label} and in {second.label}, which are to be laid side by side, and only "
            f"values could tell whether it is the same: load it (loadable_variables=[{path!r}]), or drop it from all "
            "but one"
        )
    return found


def _named_by_others(survey: Survey) -> set[str]:
    found: set[str] = set()
    for path, union in survey.attributes.items():
        group = path.rpartition("/")[0]
        for name in NAMING & union.firsts.keys():
            words = str(union.firsts[name].value).replace(":", " ").split()
            found.update(join_path(group, word) for word in words)
    return found


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
