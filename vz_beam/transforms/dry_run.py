"""A build without its writing: inputs are opened, their plan is made and told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.build_plan import BuildPlan, ReferenceCount
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.layout import Layout
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import FailedInput, InputSchema, join_path, nodes_of, schema_of, virtual_array
from vz_beam.combine.skipped import SkippedInput, distinct_inputs, skipped_variables
from vz_beam.datasets.appending import grown_layout
from vz_beam.errors import CombineError, InputError, MismatchError
from vz_beam.patterns.index import Index
from vz_beam.patterns.sampling import sampled
from vz_beam.storage.source_pool import SourcePool
from vz_beam.transforms.opening import Opened, OpenWithVirtualizarr
from vz_beam.transforms.running import choices_by_transform, inputs_of, run_pipeline, with_absent, without_known
from vz_beam.transforms.writing import WriteReferences
from vz_beam.writers.writer import find_writer

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

Counts = dict[str, ReferenceCount]


@dataclass(slots=True)
class Gathered:
    """What is known of the inputs so far: their schemas, and how many references each array has."""

    schemas: SchemaAccumulator = field(default_factory=SchemaAccumulator)
    counts: Counts = field(default_factory=dict)
    failures: list[FailedInput] = field(default_factory=list)
    skipped: list[SkippedInput] = field(default_factory=list)


def run_plan(
    files_or_pattern: Any,
    target: str | os.PathLike[str] | None,
    *,
    concat_dim: str | None,
    sample: int | None,
    workers: int,
    worker_command: str | None,
    runner: Any,
    options: PipelineOptions | Mapping[str, Any] | None,
    progress: bool,
    choices: Mapping[str, Any],
    changed: str = "raise",
) -> BuildPlan:
    """What :func:`vz_beam.transforms.building.plan_build` says; ``worker_command`` starts a worker process."""
    if sample is not None and sample < 1:
        raise InputError(f"sample={sample} must be at least 1")
    opening, combining, writing = choices_by_transform(choices)
    store = ""
    if target is not None:
        writer = find_writer(target, writing.get("format"))
        store = f"{os.fspath(target)} ({writer.name})"
    combining = with_absent(combining, files_or_pattern)
    combining.pop("layout", None)
    listing_options = choices.get("source_storage_options", choices.get("storage_options"))
    pairs = inputs_of(files_or_pattern, concat_dim, listing_options)
    notes: tuple[str, ...] = ()
    is_append = target is not None and writing.get("mode") == "append"
    if is_append:
        new = without_known(pairs, str(target), opening, combining, writing, changed)
        pairs, combining = new.pairs, new.combining
        notes = tuple(
            f"{what}: {len(part.pairs):,}"
            for what, part in (
                ("inputs of the store that have changed and would be replaced", new.changed),
                ("places of the store without an input that would be filled", new.fills),
            )
            if part
        )
        if not pairs:
            notes = notes or ("nothing is new: the store has all inputs",)
            return BuildPlan(0, 0, Layout({}, {}, notes=notes), store=store)
    chosen = CombineChoices(**combining)
    some = pairs if sample is None else sampled(pairs, sample)

    def wired(inputs: Any, log: Any) -> Any:
        opened = inputs | OpenWithVirtualizarr(**opening, progress=log)
        datasets, failures, skipped = opened if isinstance(opened, Opened) else (opened, None, None)
        schemas = datasets | "Schema and size" >> beam.MapTuple(_described)
        parts = [schemas, *(part for part in (failures, skipped) if part is not None)]
        return parts | "Together" >> beam.Flatten() | "Gather" >> beam.CombineGlobally(_Gather())

    gathered: Gathered = run_pipeline(
        wired, some, workers=workers, worker_command=worker_command, runner=runner, options=options, progress=progress
    )
    for index, _ in pairs if len(some) < len(pairs) else ():
        if index.numbers not in gathered.schemas.inputs:
            gathered.schemas.failed.setdefault(index.numbers, "not in the sample")
    layout = None
    problems: tuple[str, ...] = ()
    try:
        layout = plan_layout(gathered.schemas, chosen)
        if is_append:
            _check_append(str(target), layout, opening, writing)
            layout = replace(layout, notes=(*notes, *layout.notes))
    except MismatchError as error:
        layout, problems = None, error.disagreements
    except CombineError as error:
        layout, problems = None, (str(error),)
    return BuildPlan(
        len(pairs),
        len(some),
        layout,
        gathered.counts if layout is None else _placed(gathered, layout),
        problems,
        tuple(sorted(map(str, gathered.failures))),
        skipped_variables(distinct_inputs(gathered.skipped)),
        store,
    )


def _check_append(target: str, layout: Layout, opening: Mapping[str, Any], writing: Mapping[str, Any]) -> None:
    """Compares the store with what is to be put to its end, as :class:`WriteReferences` will."""
    writes = WriteReferences(target, **writing)
    with SourcePool(opening.get("storage_options"), opening.get("registry")) as open_location:
        grown_layout(writes.writer, writes.target, layout, writing.get("storage_options"), open_location)


def _placed(gathered: Gathered, layout: Layout) -> Counts:
    """The counts without those of arrays that all inputs have and one of them places."""
    schemas = gathered.schemas
    counts = dict(gathered.counts)
    for path in counts.keys() & layout.arrays.keys():
        dims = layout.arrays[path].metadata.dimension_names or ()
        for axis, (dim, operation) in enumerate(schemas.operations.items()):
            if operation == "concat" and dim not in dims:
                several = len({numbers[axis] for numbers in schemas.inputs})
                counts[path] = ReferenceCount(*(number // several for number in counts[path]))
    return counts


def _described(index: Index, dataset: xr.Dataset | xr.DataTree) -> tuple[InputSchema, Counts]:
    counts = {}
    for group, node in nodes_of(dataset):
        for name, variable in node.variables.items():
            if (array := virtual_array(variable)) is not None:
                manifest = array.manifest
                missing = array.metadata.chunk_grid.size - manifest.nrefs
                count = ReferenceCount(manifest.nrefs, missing, int(manifest.lengths.sum()))
                counts[join_path(group, str(name))] = count
    return schema_of(index, dataset), counts


class _Gather(beam.CombineFn):
    def create_accumulator(self) -> Gathered:
        return Gathered()

    def add_input(self, accumulator: Gathered, element: Any) -> Gathered:
        if isinstance(element, SkippedInput):
            accumulator.schemas.skip(element)
            accumulator.skipped.append(element)
        elif isinstance(element, FailedInput):
            accumulator.schemas.fail(element)
            accumulator.failures.append(element)
        else:
            schema, counts = element
            accumulator.schemas.add(schema)
            _add(accumulator.counts, counts)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Gathered]) -> Gathered:
        merged = Gathered()
        for accumulator in accumulators:
            merged.schemas.merge(accumulator.schemas)
            merged.failures += accumulator.failures
            merged.skipped += accumulator.skipped
            _add(merged.counts, accumulator.counts)
        return merged

    def extract_output(self, accumulator: Gathered) -> Gathered:
        return accumulator


def _add(counts: Counts, more: Mapping[str, ReferenceCount]) -> None:
    for path, count in more.items():
        counts[path] = counts.get(path, ReferenceCount()).plus(count)
