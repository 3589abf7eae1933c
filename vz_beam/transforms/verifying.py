"""From the summary of a store to what became of comparing it with the files that it points at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from vz_beam.datasets.compared_chunks import SampledChunk
from vz_beam.datasets.verification import NO_INPUTS, SAMPLE, Verification, Verifier
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.identity import Identity
from vz_beam.storage.urls import canonical_url
from vz_beam.writers.store_summary import StoreSummary

_INPUTS_TOGETHER = 500
"""Inputs that one element asks for."""
Task = tuple[str, Sequence[SampledChunk], Sequence[str], Sequence[Identity], tuple[str, ...]]
"""A store's URL, chunks of one file, the store's inputs that they may lie in, inputs to be looked at, and notes."""


class VerifyReferences(beam.PTransform[Any, Any]):
    """Compares stores with the files that they point at; a ``PCollection`` of one :class:`Verification` a store.

    Sampled chunks are read through the store by an ordinary reader (fsspec and zarr, or icechunk and zarr), and from
    their files by the libraries of their formats; inputs that have changed or vanished since are named.

    Args:
        sample: number of chunks of each store.
        seed: which ones.
        storage_options: for the stores. Secrets among them are not sent to other processes.
        source_storage_options: for the files, kept as those; ``None`` takes those of the stores.
        registry: stores for the files, instead.
    """

    def __init__(
        self,
        *,
        sample: int = SAMPLE,
        seed: int = 0,
        storage_options: Mapping[str, Any] | None = None,
        source_storage_options: Mapping[str, Any] | None = None,
        registry: Any = None,
    ) -> None:
        super().__init__()
        self._choice = (sample, seed)
        self._options = HeldOptions(storage_options)
        sources = storage_options if source_storage_options is None else source_storage_options
        self._source_options = HeldOptions(sources, registry)

    def expand(self, stores: PCollection[StoreSummary | str]) -> PCollection[Verification]:
        """What was found of each store; stores are summaries, as ``WriteReferences`` gives them, or URLs."""
        options = (self._options, self._source_options)
        tasks: Any = stores | "Sample" >> beam.FlatMap(_tasks, *self._choice, *options).with_output_types(Any)
        spread = tasks | "Spread" >> beam.Reshuffle()
        found = spread | "Compare" >> beam.Map(_verified, *options).with_output_types(tuple[str, Verification])
        merged = found | "Merge" >> beam.CombinePerKey(_merged)
        return merged | "Found" >> beam.Values()  # type: ignore[no-any-return]


def _verifier(url: str, options: HeldOptions, source_options: HeldOptions) -> Verifier:
    return Verifier(url, options.storage_options, source_options.storage_options, source_options.registry)


def _tasks(
    store: StoreSummary | str, sample: int, seed: int, options: HeldOptions, source_options: HeldOptions
) -> Iterator[Task]:
    url = canonical_url(store if isinstance(store, str) else store.url)
    verifier = _verifier(url, options, source_options)
    inputs = verifier.inputs()
    by_file: dict[str, list[SampledChunk]] = {}
    for chunk in verifier.sample(sample, seed):
        by_file.setdefault(chunk.url, []).append(chunk)
    folders = [one.url for one in inputs if one.url not in by_file]
    for name, chunks in by_file.items():
        holders = [folder for folder in folders if name.startswith(f"{folder}/")]
        yield url, chunks, holders, (), ()
    for start in range(0, len(inputs), _INPUTS_TOGETHER):
        yield url, (), (), inputs[start : start + _INPUTS_TOGETHER], ()
    yield url, (), (), (), () if inputs else (NO_INPUTS,)


def _verified(task: Task, options: HeldOptions, source_options: HeldOptions) -> tuple[str, Verification]:
    url, chunks, holders, inputs, notes = task
    verifier = _verifier(url, options, source_options)
    found = Verification(url, notes=notes)
    if chunks:
        found = found.merge(verifier.compare(chunks, holders))
    return url, found.merge(verifier.look_at(inputs)) if inputs else found


def _merged(found: Iterable[Verification]) -> Verification | None:
    total: Verification | None = None
    for each in found:
        if each is not None:
            total = each if total is None else total.merge(each)
    return total
