"""From a layout and the references of its shards to a store, made visible last."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from vz_beam.combine.append import moved_to_end
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.combine.rewriting import RewriteKey, RewritePart
from vz_beam.combine.schema import FailedInput
from vz_beam.combine.skipped import SkippedInput
from vz_beam.datasets.appending import grown_layout
from vz_beam.errors import InputError, TooManyFailuresError
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.identity import Identity
from vz_beam.storage.source_pool import SourcePool
from vz_beam.storage.target_root import folder_of, options_of
from vz_beam.storage.url_secrets import without_secrets
from vz_beam.storage.urls import canonical_url
from vz_beam.transforms.combining import Combined, CombinedWithRewrites
from vz_beam.transforms.counters import count, timed
from vz_beam.transforms.event_log import DETAIL, NOTICE, log_event
from vz_beam.transforms.failure_limits import MaxFailures, check_max_failures, is_too_many
from vz_beam.transforms.runners import check_runner
from vz_beam.transforms.streaming import CombinedStream, Published, published
from vz_beam.writers.left_out import record_failures, record_skipped
from vz_beam.writers.rewritten_chunks import RewriteReceipt, Rewritten, remove_others, rewrite_chunks
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget, find_writer


class WriteReferences(beam.PTransform[Any, Any]):
    """Writes a store of references; the result is a ``PCollection`` of its one :class:`StoreSummary`.

    Shards are written by many workers, in any order, and may be written twice. The store becomes visible at the end.

    Of a stream, or of inputs in windows, each window is put to the end of the store by one commit, when the watermark
    passes its end and in the order of the windows: the result is a :class:`Published`. Inputs that come again change
    nothing; one that comes late goes into its place where that is a hole of the store, else to the failures.

    Args:
        store: URL or path of the store, or a name below ``target_root``.
        format: ``"kerchunk-parquet"``, ``"kerchunk-json"``, ``"icechunk"`` or ``"zarr"``; ``None`` takes it from the
            suffix of ``store``.
        mode: ``"create"`` refuses an existing store, ``"overwrite"`` replaces it, ``"append"`` puts what is combined to
            its end: the store and the inputs must agree as inputs do among themselves.
        append_dim: with ``"append"``, the dimension along which the store grows; ``None`` is the one that joins the
            inputs.
        target_root: folder of the store: a URL, or an object with ``root_path`` as recipes get it injected.
        storage_options: for the target's store. Secrets among them are not sent to other processes.
        source_storage_options: for the inputs' stores, which are read again where chunks are rewritten; kept as those.
        registry: stores for the inputs, instead.
        max_failures: how many inputs may have failed, or which share of them, from 0 to 1; with more, nothing is
            published.
        goes_on: whether what is listed beside the store of inputs that failed, or were read in part, stays there: this
            is one round of several.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        *,
        format: str | None = None,
        mode: str = "create",
        append_dim: str | None = None,
        target_root: Any = None,
        storage_options: Mapping[str, Any] | None = None,
        source_storage_options: Mapping[str, Any] | None = None,
        registry: Any = None,
        max_failures: MaxFailures = None,
        goes_on: bool = False,
    ) -> None:
        super().__init__()
        name = os.fspath(store)
        if target_root is not None:
            name = f"{folder_of(target_root)}/{name.lstrip('/')}"
            storage_options = options_of(target_root) if storage_options is None else storage_options
        check_max_failures(max_failures)
        self._max_failures = max_failures
        self._options = HeldOptions(storage_options)
        self._source_options = HeldOptions(source_storage_options, registry)
        self.target = WriteTarget(
            canonical_url(name), mode, append_dim, goes_on=goes_on, sources=self._source_options.public
        )
        self.writer = find_writer(self.target.url, format)

    def expand(self, combined: Any) -> PCollection[StoreSummary] | Published:
        """The summary of the written store; of a stream, one of each commit, and what failed."""
        if isinstance(combined, CombinedStream):
            check_runner(combined.arrivals.pipeline.runner)
            if self._max_failures is not None:
                raise InputError("max_failures of WriteReferences needs an end: give it to OpenWithVirtualizarr")
            return published(combined, self.writer, self.target, self._options, self._source_options)
        if not isinstance(combined, (Combined, CombinedWithRewrites)):
            raise InputError(
                "WriteReferences takes what CombineManifests gives: ... | CombineManifests() | WriteReferences()"
            )
        layout, fragments, failures, skipped, inputs, *rewrites = combined
        check_runner(layout.pipeline.runner)
        step = (self.writer, self.target, self._options)
        beginning = beam.Map(_begin, *step, self._source_options)
        begun = layout | "Begin" >> beginning.with_output_types(Layout)
        shards = tuple[ShardKey, Fragment]
        rewritten: Any = ()
        if rewrites:
            done = (
                rewrites[0]
                | "Gather what is rewritten" >> beam.GroupByKey()
                | "Rewrite" >> beam.Map(_rewrite, beam.pvalue.AsSingleton(layout), *step[1:], self._source_options)
            )
            chunks = beam.FlatMap(_fragments_of).with_output_types(shards)
            fragments = (fragments, done | "Rewritten chunks" >> chunks) | "With those rewritten" >> beam.Flatten()
            rewritten = beam.pvalue.AsList(done | "Rewritten objects" >> beam.Map(_receipt_of))
        if self.target.mode == "append":
            moving = beam.FlatMap(_moved, beam.pvalue.AsSingleton(begun)).with_output_types(shards)
            every = beam.FlatMap(_every_shard).with_output_types(shards)
            ends = (fragments | "Move to the end" >> moving, begun | "Shards of the grown store" >> every)
            fragments = ends | "With those of the store" >> beam.Flatten()
        receipts = (
            fragments
            | "Gather shards" >> beam.GroupByKey()
            | "Write shard" >> beam.Map(_write_shard, beam.pvalue.AsSingleton(begun), *step)
        )
        # side inputs rather than global combinations: the commit waits for all of them, in two stages fewer each
        about = (rewritten, beam.pvalue.AsList(failures), beam.pvalue.AsIter(skipped), beam.pvalue.AsIter(inputs))
        commit = beam.Map(_commit, beam.pvalue.AsList(receipts), *about, *step, self._max_failures)
        summaries: PCollection[StoreSummary] = begun | "Commit" >> commit.with_output_types(StoreSummary)
        return summaries


def _rewrite(
    gathered: tuple[RewriteKey, Iterable[RewritePart]],
    layout: Layout,
    target: WriteTarget,
    options: HeldOptions,
    source_options: HeldOptions,
) -> Rewritten:
    key, parts = gathered
    with SourcePool(source_options.storage_options, source_options.registry) as open_location:
        return rewrite_chunks(layout, key, parts, target, open_location, options.storage_options)


def _fragments_of(rewritten: Rewritten) -> Iterable[tuple[ShardKey, Fragment]]:
    return rewritten.fragments


def _receipt_of(rewritten: Rewritten) -> RewriteReceipt:
    return rewritten.receipt


def _begin(
    layout: Layout, writer: Writer, target: WriteTarget, options: HeldOptions, source_options: HeldOptions
) -> Layout:
    """The layout to write, which is that of the grown store where one grows."""
    if target.mode == "append":
        with SourcePool(source_options.storage_options, source_options.registry) as open_location:
            layout = grown_layout(writer, target, layout, options.storage_options, open_location)
    writer.begin(target, layout, options.storage_options)
    return layout


def _moved(shard: tuple[ShardKey, Fragment], grown: Layout) -> Iterable[tuple[ShardKey, Fragment]]:
    return moved_to_end(grown, *shard)


def _every_shard(layout: Layout) -> Iterable[tuple[ShardKey, Fragment]]:
    return ((key, Fragment.empty()) for key in layout.shard_keys())


def _write_shard(
    shard: tuple[ShardKey, Iterable[Fragment]],
    layout: Layout,
    writer: Writer,
    target: WriteTarget,
    options: HeldOptions,
) -> ShardReceipt:
    key, fragments = shard
    with timed("write_shard"):
        merged = merge_fragments(fragments, key.path)
        receipt = writer.write_shard(target, layout, key, merged, options.storage_options)
    count("shards_written")
    count("references_written", receipt.rows)
    count("bytes_written", receipt.nbytes)
    log_event(
        DETAIL,
        "shard_written",
        store=without_secrets(target.url),
        array=key.path,
        references=receipt.rows,
        bytes_written=receipt.nbytes,
    )
    return receipt


def _commit(
    layout: Layout,
    receipts: list[ShardReceipt],
    rewritten: Sequence[RewriteReceipt],
    failures: list[FailedInput],
    skipped: Iterable[SkippedInput],
    inputs: Iterable[Identity],
    writer: Writer,
    target: WriteTarget,
    options: HeldOptions,
    max_failures: MaxFailures,
) -> StoreSummary:
    failed = (*failures, *layout.excluded.values())
    if is_too_many(len(failed), layout.inputs + len(failed), max_failures):
        raise TooManyFailuresError(
            f"store {target.url} is not published: {len(failed):,} of {layout.inputs + len(failed):,} inputs failed, "
            f"and max_failures is {max_failures}; the first is {failed[0]}"
        )
    excluded = {failure.url for failure in layout.excluded.values()}
    used = (one for one in inputs if one.url not in excluded)
    with timed("commit"):
        summary = writer.commit(target, layout, receipts, options.storage_options, used)
    if rewritten or target.mode == "overwrite":
        remove_others(target, rewritten, options.storage_options)
    failures = [*failures, *layout.excluded.values()]
    noted = replace(summary, files=layout.inputs + len(failures), notes=(*layout.notes, *summary.notes))
    noted = replace(
        noted,
        rewritten_chunks=sum(receipt.chunks for receipt in rewritten),
        rewritten_nbytes=sum(receipt.nbytes for receipt in rewritten),
        copied_nbytes=sum(receipt.read_nbytes for receipt in rewritten),
    )
    log_event(
        NOTICE,
        "store_committed",
        store=without_secrets(target.url),
        mode=target.mode,
        files=noted.files,
        references=noted.references,
        added=noted.added,
        failed=len(failures),
    )
    with_failures = record_failures(noted, failures, options.storage_options, goes_on=target.goes_on)
    return record_skipped(with_failures, skipped, options.storage_options, goes_on=target.goes_on)
