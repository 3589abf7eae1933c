"""Inputs that have changed since a store was written of them: opened by workers, replaced by one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
import xarray as xr

from vz_beam.combine.choices import CombineChoices
from vz_beam.datasets.replacing import replace_inputs
from vz_beam.patterns.index import Index
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.source_pool import SourcePool
from vz_beam.transforms.opening import Opened, OpenWithVirtualizarr
from vz_beam.transforms.progress_log import ProgressLog
from vz_beam.transforms.writing import WriteReferences
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget


def replaced_inputs(
    inputs: Any,
    log: ProgressLog,
    *,
    pairs: Sequence[tuple[Index, str]],
    target: Any,
    opening: Mapping[str, Any],
    combining: Mapping[str, Any],
    writing: Mapping[str, Any],
) -> Any:
    """A PCollection of the one summary of the store with what ``inputs`` hold now; one that fails ends the run.

    Args:
        inputs: PCollection of (index, URL).
        log: where opened files are noted.
        pairs: the same.
        target: of the store.
        opening: choices of :class:`OpenWithVirtualizarr`.
        combining: choices of ``CombineManifests``.
        writing: choices of :class:`WriteReferences`.
    """
    strict = {**opening, "errors": "raise", "max_failures": None}
    opened = inputs | OpenWithVirtualizarr(**strict, progress=log)
    datasets = opened.datasets if isinstance(opened, Opened) else opened
    writes = WriteReferences(target, **writing)
    step = (
        writes.writer,
        writes.target,
        CombineChoices(**{name: choice for name, choice in combining.items() if name not in ("layout", "absent")}),
        dict(pairs),
        HeldOptions(writing.get("storage_options")),
        HeldOptions(opening.get("storage_options"), opening.get("registry")),
    )
    one = inputs.pipeline | "One" >> beam.Create([None])
    return one | "Replace" >> beam.Map(_replace, beam.pvalue.AsList(datasets), *step)


def _replace(
    _: None,
    opened: list[tuple[Index, xr.Dataset | xr.DataTree]],
    writer: Writer,
    target: WriteTarget,
    choices: CombineChoices,
    urls: Mapping[Index, str],
    options: HeldOptions,
    source_options: HeldOptions,
) -> StoreSummary:
    changed = dict(sorted(((urls[index], dataset) for index, dataset in opened), key=lambda pair: pair[0]))
    with SourcePool(source_options.storage_options, source_options.registry) as open_location:
        return replace_inputs(writer, target, changed, choices, options.storage_options, open_location)
