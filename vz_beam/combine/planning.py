"""From what all inputs say to one layout: agreement first, then order, sizes and loaded values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.agreement import agreement
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.era_pieces import PIECES_KEY, pieces_of, pieces_text
from vz_beam.combine.eras import eras, excluded, layout_of_eras
from vz_beam.combine.group_attributes import group_attributes
from vz_beam.combine.holes import complete_lengths, note_of_absent_inputs, numbers_in_use, open_holes
from vz_beam.combine.layout import Layout
from vz_beam.combine.layout_planner import LayoutPlanner
from vz_beam.combine.skipped import one_line, skipped_variables
from vz_beam.combine.survey import Survey
from vz_beam.errors import CombineError, MismatchError


def plan_layout(gathered: SchemaAccumulator, choices: CombineChoices | None = None) -> Layout:
    """The plan of the combined dataset, from the schemas of all inputs.

    Raises:
        MismatchError: inputs that disagree; every disagreement with both files and both values.
        HolesError: inputs that the pattern promises and that did not arrive, where that is not allowed, or where
            nothing can stand for them.
        CombineError: no input at all, or none with a variable that was not skipped.
    """
    choices = choices or CombineChoices()
    if not gathered.inputs:
        failures = [str(gathered.failed[key]) for key in sorted(gathered.failed)]
        why = f"all {len(failures)} failed: {'; '.join(failures[:3])}" if failures else "the pattern is empty"
        raise CombineError(f"there is no input to combine, {why}")
    if gathered.skipped and not any(gathered.known):
        found = skipped_variables(gathered.first_skipped())
        variables = "; ".join(f"{one.path!r} (such as in {one.url}): {one_line(one.reason)}" for one in found)
        raise CombineError(
            f"there is nothing to combine, every variable of the inputs was skipped: {variables}. "
            "Way out: leave these files out"
        )
    for index in choices.absent:
        gathered.expect(index)
    failed = tuple(str(gathered.failed[key]) for key in sorted(gathered.failed))
    if choices.mismatch == "exclude":
        left_out = excluded(gathered, Survey(gathered, choices))
        layout = _plan(gathered.without(left_out), choices)
        return replace(layout, failed=failed, excluded=left_out)
    if choices.mismatch == "split" and len(found_eras := eras(gathered, choices)) > 1:
        layouts = {f"era_{number}": _plan(era, choices) for number, (era, _) in enumerate(found_eras, 1)}
        members = {place: name for name, (era, _) in zip(layouts, found_eras, strict=True) for place in era.inputs}
        layout = _with_pieces(layout_of_eras(layouts, members), layouts, members, gathered)
        told = (_told_era(name, era, why) for name, (era, why) in zip(layouts, found_eras, strict=True))
        return replace(layout, failed=failed, notes=(*told, *layout.notes))
    return replace(_plan(gathered, choices), failed=failed)


def _with_pieces(
    layout: Layout, layouts: Mapping[str, Layout], members: Mapping[tuple[int, ...], str], gathered: SchemaAccumulator
) -> Layout:
    """The layout of eras, which says how they follow each other where all inputs do so along one dimension."""
    positions = gathered.index_of(next(iter(members))).positions
    axes = [axis for axis, position in enumerate(positions) if position.operation == "concat"]
    if len(axes) != 1 or len(positions) != len(axes):
        return layout
    dim = positions[axes[0]].dimension
    pieces = pieces_of(layouts, {numbers[axes[0]]: era for numbers, era in members.items()}, dim)
    if not pieces:
        return layout
    root = {**layout.groups[""], PIECES_KEY: pieces_text(dim, pieces)}
    return replace(layout, groups={**layout.groups, "": root})


def _told_era(name: str, era: SchemaAccumulator, why: str) -> str:
    first, last = (era.inputs[numbers].label for numbers in (min(era.inputs), max(era.inputs)))
    return f"{name}: {len(era.inputs)} inputs, from {first} to {last}" + (f" ({why})" if why else "")


def _plan(gathered: SchemaAccumulator, choices: CombineChoices) -> Layout:
    """The plan of inputs that are to be one dataset."""
    survey = Survey(gathered, choices)
    numbers = numbers_in_use(survey, choices.holes)
    agreed = agreement(survey)
    if agreed.problems:
        raise MismatchError(tuple(agreed.problems))
    complete_lengths(survey, numbers)
    planner = LayoutPlanner(survey, numbers, choices)
    if problems := planner.problems():
        raise MismatchError(tuple(problems))
    arrays = planner.arrays()
    notes = [*agreed.notes, *planner.notes, *note_of_absent_inputs(survey, numbers)]
    notes += [f"variable {path!r} is left out, since not all inputs have it" for path in survey.left_out]
    starts = planner.start_arrays()
    return Layout(
        arrays=arrays,
        groups=group_attributes(survey, arrays),
        starts=starts,
        new_dims=survey.new_dims,
        chunks_per_shard=choices.chunks_per_shard,
        inputs=len(gathered.inputs),
        notes=tuple(sorted(notes)),
        left_out=survey.left_out,
        choices=replace(choices, absent=()),
        holes=open_holes(survey, numbers, starts),
    )
