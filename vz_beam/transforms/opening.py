"""From (index, url) to (index, virtual dataset)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import xarray as xr
from apache_beam.pvalue import PCollection

from vz_beam.combine.schema import FailedInput, nodes_of
from vz_beam.combine.skipped import SkippedInput, skipped_inputs
from vz_beam.datasets.accessor import count_references
from vz_beam.datasets.deadlines import check_limits, deadline
from vz_beam.datasets.opening import (
    check_unsupported,
    is_refused,
    open_virtual_dataset,
    open_virtual_datatree,
)
from vz_beam.datasets.scalar_dimensions import tree_with_scalar_dimensions, with_scalar_dimensions
from vz_beam.errors import InputError, TooManyFailuresError, TransientSourceError
from vz_beam.patterns.foreign import as_index
from vz_beam.patterns.index import Index
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.identity import IDENTITY_KEY
from vz_beam.storage.source_pool import SourcePool
from vz_beam.storage.surroundings import surroundings_of
from vz_beam.storage.traffic import Traffic, counting
from vz_beam.storage.url_secrets import shown, without_secrets
from vz_beam.storage.urls import canonical_url
from vz_beam.transforms import coders as coders  # registers the coders of keys
from vz_beam.transforms.combining import CombineManifests
from vz_beam.transforms.counters import count, opened_together, timed
from vz_beam.transforms.event_log import DETAIL, NOTICE, log_event, log_failure
from vz_beam.transforms.failure_limits import MaxFailures, check_max_failures
from vz_beam.transforms.lanes import InLanes, Kindness, Paces
from vz_beam.transforms.progress_log import ProgressLog
from vz_beam.transforms.streaming import is_stream

FIRST_WAIT_SECONDS = 0.5
"""Before the second attempt; doubled for each further one, with jitter so that workers do not come back together."""
_TRAFFIC = {"requests": "requests", "repeated": "requests_repeated", "nbytes": "bytes_read"}
"""Names of counters."""
FAILED = "failed"
SKIPPED = "skipped"


class Opened(NamedTuple):
    """What opening gives where something may be left out; it goes into ``CombineManifests`` as it is.

    A step between, ``opened | beam.MapTuple(...)``, gets the datasets; what was left out goes past it.
    """

    datasets: PCollection[tuple[Index, xr.Dataset | xr.DataTree]]
    failures: PCollection[FailedInput]
    skipped: PCollection[SkippedInput]

    def __or__(self, transform: Any) -> Any:
        if isinstance(getattr(transform, "transform", transform), CombineManifests):
            return transform.__ror__(self)
        datasets = self.datasets | transform
        if not isinstance(datasets, PCollection):
            raise InputError(f"{transform} does not give one PCollection: apply it to the datasets of what was opened")
        return self._replace(datasets=datasets)


class OpenWithVirtualizarr(beam.PTransform[Any, Any]):
    """Opens each file as a virtual dataset or tree: ``(Index, url)`` to ``(Index, xr.Dataset or xr.DataTree)``.

    The files of a stream are opened by the workers that they arrive at: ``beam.Reshuffle()`` before the windows spreads
    them.

    Args:
        parser: ``None`` finds one by content, then by name.
        loadable_variables: names to load; ``None`` loads one-dimensional dimension coordinates.
        drop_variables: names to leave out, where a file has them; paths from the root of the file count as well.
        preprocess: a function of each dataset or tree, which gives the one to use.
        storage_options: for the store that serves the URLs. Secrets among them are not sent to other processes.
        registry: an object store registry, under the same rule.
        group: path of the group to open.
        tree: whether to open all groups, or all below ``group``, as a tree.
        errors: ``"raise"`` ends the run at the first file that fails; ``"collect"`` goes on, and the result is an
            :class:`Opened` whose ``failures`` flow on to the summary.
        unsupported: ``"raise"`` ends the run at the first file with variables that references cannot express, all of
            which are named; ``"skip"`` leaves them out, and the result is an :class:`Opened` whose ``skipped`` flow on
            to the summary. ``None`` is as the parser says, which raises unless told otherwise.
        max_failures: with ``"collect"``, how many files may fail until a worker ends the run; a share, from 0 to 1, is
            looked at by ``WriteReferences`` alone.
        attempts: how often a file is tried where the failure may pass.
        max_concurrency: how many files of one server (host, or bucket) are opened at once at most, over all workers.
        requests_per_second: how many requests one server is sent at most, over all workers. Each of the
            ``max_concurrency`` lanes gets an equal share, so this should be no more than workers open at once; on this
            machine, where that is known, the share is of as many as there are. Waiting counts as opening does.
        timeout_seconds: how long one file may take to be opened, ``preprocess`` included, in each attempt.
        max_metadata_bytes: how much of one file may be read to find its chunks; values that are loaded do not count.
        allow_external: whether files elsewhere that a file names are read, as :func:`open_virtual_dataset` says.
        progress: where to note opened files, for a progress bar on this machine.
    """

    def __init__(
        self,
        parser: Any = None,
        *,
        loadable_variables: Iterable[str] | None = None,
        drop_variables: Iterable[str] | None = None,
        preprocess: Callable[[Any], Any] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        registry: Any = None,
        group: str | None = None,
        tree: bool = False,
        errors: str = "raise",
        max_failures: MaxFailures = None,
        attempts: int = 3,
        max_concurrency: int | None = None,
        requests_per_second: float | None = None,
        timeout_seconds: float | None = None,
        max_metadata_bytes: int | None = None,
        unsupported: str | None = None,
        allow_external: bool = False,
        progress: ProgressLog | None = None,
    ) -> None:
        super().__init__()
        if errors not in ("raise", "collect"):
            raise InputError(f"errors={errors!r} is neither 'raise' nor 'collect'")
        if attempts < 1:
            raise InputError(f"attempts={attempts} must be at least 1")
        self._kindness = Kindness(max_concurrency, requests_per_second)
        self._kindness.check(is_stream=False)
        check_limits(timeout_seconds, max_metadata_bytes)
        check_unsupported(unsupported)
        check_max_failures(max_failures)
        if max_failures is not None and errors == "raise":
            raise InputError(f"max_failures={max_failures} is for errors='collect'")
        self._is_whole = errors == "raise" and is_refused(parser, unsupported)
        self._opener = _OpenFile(
            parser,
            None if loadable_variables is None else _names(loadable_variables),
            _names(drop_variables or ()),
            preprocess,
            HeldOptions(storage_options, registry),
            group,
            tree,
            errors,
            max_failures,
            attempts,
            unsupported,
            progress or ProgressLog(None),
            timeout_seconds,
            max_metadata_bytes,
            allow_external,
        )

    def expand(self, inputs: PCollection[tuple[Any, str]]) -> Any:
        """The datasets, or an :class:`Opened`."""
        indexed = inputs | "Index" >> beam.MapTuple(_indexed).with_output_types(tuple[Index, str])
        kind: Any = xr.DataTree if self._opener.tree else xr.Dataset
        if is_stream(inputs):
            self._kindness.check(is_stream=True)
            spread = indexed  # reshuffling would lose what comes late
        elif (lanes := self._kindness.lanes(inputs.pipeline)) is None:
            spread = indexed | "Spread" >> beam.Reshuffle()
        else:
            spread = indexed | "Lanes" >> InLanes(lanes)
        self._opener.paces = Paces(self._kindness.share(inputs.pipeline))
        typed = beam.ParDo(self._opener).with_output_types(tuple[Index, kind])
        opened = spread | "Open" >> typed.with_outputs(FAILED, SKIPPED, main="opened")
        return opened.opened if self._is_whole else Opened(opened.opened, opened[FAILED], opened[SKIPPED])


class _OpenFile(beam.DoFn):
    def __init__(
        self,
        parser: Any,
        loadable_variables: tuple[str, ...] | None,
        drop_variables: tuple[str, ...],
        preprocess: Callable[[Any], Any] | None,
        options: HeldOptions,
        group: str | None,
        tree: bool,
        errors: str,
        max_failures: MaxFailures,
        attempts: int,
        unsupported: str | None,
        progress: ProgressLog,
        timeout_seconds: float | None,
        max_metadata_bytes: int | None,
        allow_external: bool,
    ) -> None:
        self._max_failures = max_failures if type(max_failures) is int else None
        self._failures_here = 0
        self._parser = parser
        self._loadable_variables = loadable_variables
        self._drop_variables = drop_variables
        self._preprocess = preprocess
        self._options = options
        self._group = group
        self.tree = tree
        self._errors = errors
        self._attempts = attempts
        self._unsupported = unsupported
        self._progress = progress
        self._timeout_seconds = timeout_seconds
        self._max_metadata_bytes = max_metadata_bytes
        self._allow_external = allow_external
        self.paces = Paces(None)

    def process(self, element: tuple[Index, str]) -> Iterator[Any]:
        index, url = element
        traffic = Traffic(self.paces.of(url))
        with timed("open"), opened_together.counted("files_at_once"), counting(traffic):
            outputs = list(self._attempted(index, url, traffic))
        for name in ("requests", "repeated", "nbytes"):
            count(_TRAFFIC[name], getattr(traffic, name))
        count("requests_held_back_milliseconds", round(traffic.waited * 1000))
        yield from outputs

    def _attempted(self, index: Index, url: str, traffic: Traffic) -> Iterator[Any]:
        for attempt in range(1, self._attempts + 1):
            began = time.monotonic()
            try:
                with deadline(self._timeout_seconds, shown(str(url))):
                    dataset, skipped = self._open(index, url)
            except TransientSourceError as error:
                if attempt < self._attempts:
                    wait = FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                    count("files_repeated")
                    log_event(
                        NOTICE,
                        "file_repeated",
                        url=without_secrets(str(url)),
                        error=type(error).__name__,
                        message=str(error),
                        attempt=attempt,
                        wait_seconds=round(wait, 3),
                    )
                    time.sleep(wait)
                    continue
                yield self._failure(index, url, error, attempt)
            except Exception as error:  # returned as an output, or raised: never dropped
                yield self._failure(index, url, error, attempt)
            else:
                references = count_references(dataset)
                count("files_opened")
                count("references_opened", references)
                self._progress.note_opened(references)
                log_event(
                    DETAIL,
                    "file_opened",
                    url=without_secrets(str(url)),
                    references=references,
                    requests=traffic.requests,
                    bytes_read=traffic.nbytes,
                    seconds=round(time.monotonic() - began, 3),
                )
                yield index, dataset
                yield from (beam.pvalue.TaggedOutput(SKIPPED, one) for one in skipped)
            return

    def _open(self, index: Index, url: str) -> tuple[xr.Dataset | xr.DataTree, Iterable[SkippedInput]]:
        opening = open_virtual_datatree if self.tree else open_virtual_dataset
        dataset = opening(
            url,
            self._options.registry,
            self._parser,
            drop_variables=self._drop_variables,
            loadable_variables=self._loadable_variables,
            group=self._group,
            storage_options=self._options.storage_options,
            unsupported=self._unsupported,
            unknown_names="ignore",
            max_metadata_bytes=self._max_metadata_bytes,
            allow_external=self._allow_external,
        )
        skipped = skipped_inputs(index, dataset)
        if isinstance(dataset, xr.Dataset) and not dataset.variables and not skipped:
            self._check_groups(url)
        if self._preprocess is not None:
            known = {key: dataset.encoding[key] for key in ("source", IDENTITY_KEY)}
            dataset = self._preprocess(dataset)
            for key, value in known.items():
                dataset.encoding.setdefault(key, value)
        options, registry = self._options.storage_options, self._options.registry
        around = surroundings_of(canonical_url(url), registry, self._allow_external)
        with SourcePool(options, registry, around) as open_location:
            if isinstance(dataset, xr.Dataset):
                dataset = with_scalar_dimensions(dataset, index.concat_dims, open_location)
            else:
                dataset = tree_with_scalar_dimensions(dataset, index.concat_dims, open_location)
        return dataset, skipped

    def _check_groups(self, url: str) -> None:
        """Refuses files whose variables are all in groups that nobody asked for."""
        tree = open_virtual_datatree(
            url,
            self._options.registry,
            self._parser,
            loadable_variables=[],
            group=self._group,
            storage_options=self._options.storage_options,
            unsupported="skip",
            allow_external=self._allow_external,
        )
        if groups := [path for path, node in nodes_of(tree) if node.variables]:
            raise InputError(
                f"{shown(str(url))}: there is no variable in group {self._group or '/'!r}, and there are some in "
                f"{groups[:5]}. Way out: name one of these groups (group=...), or take all as a tree (tree=True)"
            )

    def _failure(self, index: Index, url: str, error: Exception, attempts: int) -> Any:
        failure = FailedInput(index, without_secrets(str(url)), type(error).__name__, str(error), attempts)
        log_failure(failure)
        if self._errors == "raise":
            raise error
        count("files_failed")
        count(f"files_failed_{type(error).__name__}")
        self._progress.note_failed()
        self._failures_here += 1
        if self._max_failures is not None and self._failures_here > self._max_failures:
            raise TooManyFailuresError(
                f"{self._failures_here:,} files failed, and max_failures is {self._max_failures:,}; the last one is "
                f"{shown(str(url))}: {type(error).__name__}: {error}"
            )
        return beam.pvalue.TaggedOutput(FAILED, failure)


def _indexed(index: Any, url: str) -> tuple[Index, str]:
    return as_index(index), url


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
