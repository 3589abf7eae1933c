"""From many datasets to one layout and the references of its shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import apache_beam as beam
import xarray as xr
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.windowed_value import WindowedValue

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.choices import CHUNKS_PER_SHARD, CombineChoices
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.combine.placing import InputReferences, place_in_shards, references_of
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.rewriting import RewriteKey, RewritePart, rewrites
from vz_beam.combine.schema import FailedInput, InputSchema, schema_of
from vz_beam.combine.skipped import SkippedInput, skipped_inputs
from vz_beam.patterns.index import Index
from vz_beam.storage.identity import IDENTITY_KEY, Identity
from vz_beam.transforms.streaming import CombinedStream, combined_stream, is_stream

HELD_CHUNKS = 1_000_000
"""References that a worker holds before it sends them on: 20 MB and some, a small part of a worker's memory."""


class Combined(NamedTuple):
    """The two streams of combining, and what was left out; they go into ``WriteReferences`` as they are.

    ``fragments`` has every shard of the layout at least once, with an empty fragment where no reference reaches it.
    """

    layout: PCollection[Layout]
    fragments: PCollection[tuple[ShardKey, Fragment]]
    failures: PCollection[FailedInput]
    skipped: PCollection[SkippedInput]
    inputs: PCollection[Identity]


class CombinedWithRewrites(NamedTuple):
    """The same where chunks may be written anew, with the parts that such chunks are made of."""

    layout: PCollection[Layout]
    fragments: PCollection[tuple[ShardKey, Fragment]]
    failures: PCollection[FailedInput]
    skipped: PCollection[SkippedInput]
    inputs: PCollection[Identity]
    rewrites: PCollection[tuple[RewriteKey, RewritePart]]


class CombineManifests(beam.PTransform[Any, Any]):
    """One layout and the references of its shards, from ``(Index, xr.Dataset)`` or an :class:`Opened`.

    Only schemas are gathered in one place; references go straight from their file to their shard.

    Args:
        chunks_per_shard: chunks of an array that one worker writes as one object.
        mismatch: as in :class:`vz_beam.combine.choices.CombineChoices`, and so are all that follow but ``layout``.
        holes: see ``mismatch``.
        absent: see ``mismatch``.
        order_by: see ``mismatch``.
        variables: see ``mismatch``.
        fill_values: see ``mismatch``.
        attributes: see ``mismatch``.
        tolerance: see ``mismatch``.
        overlaps: see ``mismatch``.
        gaps: see ``mismatch``.
        chunk_grid: see ``mismatch``.
        layout: a layout to place into, which saves the planning pass.
    """

    def __init__(
        self,
        *,
        chunks_per_shard: int = CHUNKS_PER_SHARD,
        mismatch: str = "raise",
        holes: str = "raise",
        absent: Iterable[Index] = (),
        order_by: str = "index",
        variables: str = "raise",
        fill_values: Mapping[str, Any] = MappingProxyType({}),
        attributes: Mapping[str, str] = MappingProxyType({}),
        tolerance: float | Mapping[str, float] = 0.0,
        overlaps: str = "raise",
        gaps: str = "warn",
        chunk_grid: str = "regular",
        layout: Layout | None = None,
    ) -> None:
        super().__init__()
        self._choices = CombineChoices(
            chunks_per_shard=chunks_per_shard,
            mismatch=mismatch,
            holes=holes,
            absent=tuple(absent),
            order_by=order_by,
            variables=variables,
            fill_values=fill_values,
            attributes=attributes,
            tolerance=tolerance,
            overlaps=overlaps,
            gaps=gaps,
            chunk_grid=chunk_grid,
        )
        self._layout = layout

    def expand(self, inputs: Any) -> Combined | CombinedWithRewrites | CombinedStream:
        """The layout and the fragments; of a stream, its windows."""
        datasets, failures, skipped = inputs if isinstance(inputs, tuple) else (inputs, None, None)
        if is_stream(datasets):
            return combined_stream(datasets, failures, skipped, self._choices, self._layout is not None)
        pipeline = datasets.pipeline
        if skipped is None:
            skipped = datasets | "Skipped" >> beam.FlatMapTuple(skipped_inputs).with_output_types(SkippedInput)
        if self._layout is not None:
            layout = pipeline | "Given layout" >> beam.Create([self._layout]).with_output_types(Layout)
        else:
            # what was left out goes past: flattened into the schemas it would part them from their combining, and each
            # would be sent to it with its coordinates
            schemas = datasets | "Schema" >> beam.MapTuple(schema_of).with_output_types(InputSchema)
            gathered = schemas | "Gather schemas" >> beam.CombineGlobally(GatherSchemas())
            left_out = [() if part is None else beam.pvalue.AsList(part) for part in (failures, skipped)]
            plan = beam.Map(_plan, self._choices, *left_out)
            layout = gathered | "Plan" >> plan.with_output_types(Layout)
        references = datasets | "References" >> beam.MapTuple(references_of).with_output_types(InputReferences)
        # told here, since a Flatten behind placing would write all fragments down once more
        every_shard = layout | "Every shard" >> beam.Map(lambda _: NO_INPUT).with_output_types(InputReferences)
        placing = beam.ParDo(PlaceReferences(), beam.pvalue.AsSingleton(layout))
        fragments = (
            (references, every_shard)
            | "With every shard" >> beam.Flatten()
            | "Place" >> placing.with_output_types(tuple[ShardKey, Fragment])
        )
        if failures is None:
            failures = pipeline | "No failures" >> beam.Create([]).with_output_types(FailedInput)
        identities = datasets | "Identities" >> beam.FlatMapTuple(_identities).with_output_types(Identity)
        combined = Combined(layout, fragments, failures, skipped, identities)
        if not self._may_rewrite():
            return combined
        finding = beam.FlatMap(_rewrites, beam.pvalue.AsSingleton(layout))
        to_rewrite = references | "Find what is rewritten" >> finding.with_output_types(tuple[RewriteKey, RewritePart])
        return CombinedWithRewrites(*combined, to_rewrite)

    def _may_rewrite(self) -> bool:
        if self._layout is None:
            return self._choices.mismatch == "rewrite"
        return any(array.rewriting is not None for array in self._layout.arrays.values())


def _plan(
    gathered: SchemaAccumulator,
    choices: CombineChoices,
    failures: Iterable[FailedInput],
    skipped: Iterable[SkippedInput],
) -> Layout:
    return plan_layout(gathered.with_left_out(failures, skipped), choices)


def _identities(index: Index, dataset: xr.Dataset | xr.DataTree) -> Iterator[Identity]:
    """What the file was when it was opened; nothing where the user's own steps have lost it."""
    if (identity := dataset.encoding.get(IDENTITY_KEY)) is not None:
        yield identity


def _rewrites(references: InputReferences, layout: Layout) -> Iterator[tuple[RewriteKey, RewritePart]]:
    return rewrites(layout, references)


class GatherSchemas(beam.CombineFn):
    """:class:`SchemaAccumulator` as Beam combines it."""

    def create_accumulator(self) -> SchemaAccumulator:
        return SchemaAccumulator()

    def add_input(self, accumulator: SchemaAccumulator, element: InputSchema) -> SchemaAccumulator:
        return accumulator.add(element)

    def merge_accumulators(self, accumulators: Iterable[SchemaAccumulator]) -> SchemaAccumulator:
        merged = SchemaAccumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: SchemaAccumulator) -> SchemaAccumulator:
        return accumulator


NO_INPUT = InputReferences({}, "", ())
"""Stands for no input: it has a part in every shard, and no reference for any."""


class PlaceReferences(beam.DoFn):
    """:func:`place_in_shards`, with the fragments of a bundle merged: few large elements cost less than many small."""

    def start_bundle(self) -> None:
        """Nothing is held yet."""
        self._held: dict[tuple[ShardKey, BoundedWindow], list[Fragment]] = {}
        self._held_chunks = 0

    def process(
        self, element: InputReferences, layout: Layout, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        """Nothing, until what is held is worth sending on."""
        if element == NO_INPUT:
            for key in layout.shard_keys():
                self._held.setdefault((key, window), [])
            return
        for key, fragment in place_in_shards(layout, element):
            self._held.setdefault((key, window), []).append(fragment)
            self._held_chunks += len(fragment)
        if self._held_chunks >= HELD_CHUNKS:
            yield from self._released()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """All that is still held."""
        return self._released()

    def _released(self) -> Iterator[WindowedValue]:
        held, self._held, self._held_chunks = self._held, {}, 0
        for (key, window), fragments in held.items():
            yield WindowedValue((key, merge_fragments(fragments, key.path)), window.max_timestamp(), (window,))
