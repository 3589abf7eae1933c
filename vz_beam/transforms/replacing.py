"""Inputs put into places that a store has already: opened by workers, put there by one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import xarray as xr

from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.hole import Hole
from vz_beam.combine.schema import FailedInput
from vz_beam.combine.skipped import SkippedInput
from vz_beam.datasets.replacing import replace_inputs
from vz_beam.patterns.index import Index
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.source_pool import SourcePool
from vz_beam.transforms.opening import Opened, OpenWithVirtualizarr
from vz_beam.transforms.progress_log import ProgressLog
from vz_beam.transforms.writing import WriteReferences
from vz_beam.writers.left_out import record_failures, record_skipped
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget


@dataclass(frozen=True, slots=True)
class Replacements:
    """Inputs that go into places of a store.

    Args:
        pairs: (index, URL) of each.
        holes: by URL, the place of each that has none of its own yet; the others are in the store and have changed.
    """

    pairs: Sequence[tuple[Index, str]]
    holes: Mapping[str, Hole] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.pairs)


def replaced_inputs(
    inputs: Any,
    log: ProgressLog,
    *,
    inputs_of_store: Replacements,
    target: Any,
    opening: Mapping[str, Any],
    combining: Mapping[str, Any],
    writing: Mapping[str, Any],
) -> Any:
    """A PCollection of the one summary of the store with what ``inputs`` hold now.

    One that has changed and fails ends the run: its references would be wrong. One that fails to fill a hole leaves it.

    Args:
        inputs: PCollection of (index, URL).
        log: where opened files are noted.
        inputs_of_store: the same, and their places.
        target: of the store.
        opening: choices of :class:`OpenWithVirtualizarr`.
        combining: choices of ``CombineManifests``.
        writing: choices of :class:`WriteReferences`.
    """
    strict = {} if inputs_of_store.holes else {"errors": "raise"}
    opened = inputs | OpenWithVirtualizarr(**{**opening, "max_failures": None, **strict}, progress=log)
    outputs: tuple[Any, ...] = opened if isinstance(opened, Opened) else (opened,)
    writes = WriteReferences(target, **writing)
    step = (
        writes.writer,
        writes.target,
        CombineChoices(**{name: choice for name, choice in combining.items() if name not in ("layout", "absent")}),
        inputs_of_store,
        HeldOptions(writing.get("storage_options")),
        HeldOptions(opening.get("storage_options"), opening.get("registry")),
    )
    one = inputs.pipeline | "One" >> beam.Create([None])
    sides = [beam.pvalue.AsList(part) for part in outputs]
    return one | "Replace" >> beam.Map(_replace, step, *sides)


def _replace(
    _: None,
    step: tuple[Writer, WriteTarget, CombineChoices, Replacements, HeldOptions, HeldOptions],
    opened: list[tuple[Index, xr.Dataset | xr.DataTree]],
    failures: Sequence[FailedInput] = (),
    skipped: Sequence[SkippedInput] = (),
) -> StoreSummary:
    writer, target, choices, inputs, options, source_options = step
    urls = dict(inputs.pairs)
    found = dict(sorted(((urls[index], dataset) for index, dataset in opened), key=lambda pair: pair[0]))
    summary = StoreSummary(target.url, writer.name, 0, files=len(failures))
    if found:
        with SourcePool(source_options.storage_options, source_options.registry) as open_location:
            summary = replace_inputs(
                writer, target, found, choices, options.storage_options, open_location, holes=inputs.holes
            )
    summary = record_failures(summary, failures, options.storage_options, goes_on=True, tried=urls.values())
    return record_skipped(summary, skipped, options.storage_options, goes_on=True)
