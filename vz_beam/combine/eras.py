"""Inputs that disagree with most others: who they are, in what, and which agree among themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.canonical import canonical_text
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.loaded import describe_difference
from vz_beam.combine.own_grids import partial_numbers
from vz_beam.combine.schema import FailedInput, join_path
from vz_beam.combine.survey import Survey
from vz_beam.errors import MismatchError

_MOST_TOLD = 5
"""Differences of one input that a message tells."""

Numbers = tuple[int, ...]


def deviating(survey: Survey) -> dict[Numbers, str]:
    """What sets inputs apart from most others, by their numbers; nothing for those that are with the majority.

    The majority is found for each variable by itself, by the number of inputs; of equally many the first ones win.
    """
    told = dict.fromkeys(range(len(survey.alike)), "")
    for what, votes in _questions(survey):
        counts: dict[str, int] = {}
        for place, answer in votes.items():
            counts[answer] = counts.get(answer, 0) + len(survey.alike[place].numbers)
        most = max(counts, key=lambda answer: counts[answer])  # of equal ones the first, as the classes are in order
        witness = next(survey.alike[place].first.label for place, answer in votes.items() if answer == most)
        for place, answer in votes.items():
            if answer != most and told[place].count(";") < _MOST_TOLD:
                told[place] += f"; {what}: {answer} here, {most} in {witness} and {counts[most] - 1} others"
    return {
        tuple(numbers): text.removeprefix("; ")
        for place, text in told.items()
        if text
        for numbers in survey.alike[place].numbers.tolist()
    }


def excluded(gathered: SchemaAccumulator, survey: Survey) -> dict[Numbers, FailedInput]:
    """The inputs that disagree with most others, as failures."""
    return {
        numbers: FailedInput(
            gathered.index_of(numbers), gathered.inputs[numbers].label, MismatchError.__name__, reason, 1
        )
        for numbers, reason in sorted(deviating(survey).items())
    }


def eras(gathered: SchemaAccumulator, choices: CombineChoices) -> list[tuple[SchemaAccumulator, str]]:
    """Groups of inputs that agree among themselves, in the order of their first ones, and what sets each apart.

    Where an input ends inside a chunk, and others follow, another era begins. Inputs of one place along the
    concatenated dimensions stay together.
    """
    found: list[tuple[SchemaAccumulator, str]] = []
    rest, why = gathered, ""
    while rest.inputs:
        survey = Survey(rest, choices)
        reasons = deviating(survey)
        axes = [axis for axis, dim in enumerate(survey.dims) if dim in survey.concat_dims]
        places = {tuple(numbers[axis] for axis in axes) for numbers in reasons}
        away = {n for n in rest.inputs if tuple(n[axis] for axis in axes) in places} if reasons else set()
        if len(away) == len(rest.inputs):
            away = set(reasons)
        agreeing = runs(rest.without(dict.fromkeys(away, "in another era")), choices)
        found.append((agreeing[0], why))
        found += [(run, "the inputs before end inside a chunk") for run in agreeing[1:]]
        why = next((reasons[numbers] for numbers in sorted(away) if numbers in reasons), "")
        rest = rest.without(dict.fromkeys(rest.inputs.keys() - away, "in another era"))
    return sorted(found, key=lambda era: min(era[0].inputs))


def runs(era: SchemaAccumulator, choices: CombineChoices) -> list[SchemaAccumulator]:
    """Inputs that agree, parted where one ends inside a chunk that cannot be cut, and others follow.

    They are taken in the pattern's order.
    """
    survey = Survey(era, choices)
    ends: dict[int, set[int]] = {}
    for path, known in survey.representatives.items():
        if known.metadata is None or path in survey.cuttable:
            continue
        for own, dim in enumerate(known.dims):
            axis = survey.axis(dim)
            if axis is not None:
                ends.setdefault(axis, set()).update(partial_numbers(survey, path, own, dim))
    if not any(ends.values()):
        return [era]
    borders = {axis: np.array(sorted(numbers), np.int64) for axis, numbers in ends.items()}
    groups: dict[tuple[int, ...], set[Numbers]] = {}
    for numbers in era.inputs:
        run = tuple(int(np.searchsorted(found, numbers[axis])) for axis, found in sorted(borders.items()))
        groups.setdefault(run, set()).add(numbers)
    return [
        era.without(dict.fromkeys(era.inputs.keys() - members, "in another era"))
        for _, members in sorted(groups.items())
    ]


def layout_of_eras(layouts: Mapping[str, Layout], members: Mapping[Numbers, str]) -> Layout:
    """One layout with a group for each era, whose names are those of ``layouts``; ``members`` says each input's."""
    first = next(iter(layouts.values()))
    arrays: dict[str, ArrayLayout] = {}
    groups: dict[str, Mapping[str, Any]] = {"": {}}
    starts: dict[str, NDArray[np.int64]] = {}
    left_out: set[str] = set()
    notes: list[str] = []
    for name, layout in layouts.items():
        arrays |= {join_path(name, path): array for path, array in layout.arrays.items()}
        groups |= {join_path(name, path).rstrip("/"): attributes for path, attributes in layout.groups.items()}
        starts |= {join_path(name, dim): places for dim, places in layout.starts.items()}
        left_out |= {join_path(name, path) for path in layout.left_out}
        notes += [f"{name}: {note}" for note in layout.notes]
    return replace(
        first,
        arrays=arrays,
        groups=groups,
        starts=starts,
        inputs=sum(layout.inputs for layout in layouts.values()),
        notes=tuple(notes),
        left_out=frozenset(left_out),
        eras=dict(members),
    )


def _questions(survey: Survey) -> Iterator[tuple[str, dict[int, str]]]:
    """What inputs must agree on, one question at a time, and the answer of each class of inputs that has one."""
    facts: dict[tuple[str, str], dict[int, str]] = {}
    lengths: dict[tuple[str, str], dict[int, str]] = {}
    for place, one in enumerate(survey.alike):
        for form in survey.variables(one):
            for fact, text in survey.facts_of(form):
                facts.setdefault((form.path, fact), {})[place] = text
        for group, dim, length in survey.lengths_in(one):
            if survey.axis(dim) is None:
                lengths.setdefault((group, dim), {})[place] = str(length)
    for (path, fact), votes in sorted(facts.items()):
        holders = [p for p, one in enumerate(survey.alike) if any(f.path == path for f in survey.variables(one))]
        yield f"{path!r} {fact}", {place: votes.get(place, "absent") for place in holders}
    for (group, dim), votes in sorted(lengths.items()):
        yield f"the length of dimension {join_path(group, dim)!r}", votes
    for path in sorted({path for one in survey.alike for path in one.constants} - survey.left_out):
        yield f"values of {path!r}", dict(_values(path, survey))


def _values(path: str, survey: Survey) -> Iterator[tuple[int, str]]:
    """The class of each input among those of equal values, told by the first value that sets it apart."""
    kinds: list[tuple[NDArray[Any], str]] = []
    tolerance = survey.choices.tolerance_of(path)
    for place, one in enumerate(survey.alike):
        if path not in one.constants:
            continue
        array = one.constants[path].array()
        known = next((text for kind, text in kinds if describe_difference(path, kind, array, tolerance) is None), None)
        if known is None:
            shown = ", ".join(map(canonical_text, array.ravel()[:3].tolist()))
            known = f"[{shown}{', ...' if array.size > 3 else ''}] of {one.first.label}"
            kinds.append((array, known))
        yield place, known
