"""A function mapped by a pipeline on this machine, for callers that know executors and not Beam."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from vz_beam.transforms.worker_nursery import worker_nursery

_T = TypeVar("_T")


class BeamExecutor(Executor):
    """Maps by a Beam pipeline whose workers are processes of this machine, as many as it lets this process use.

    Args:
        max_workers: how many; 1 works in this process.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        self._workers = max_workers or _processors()

    def map(self, fn: Callable[..., _T], *iterables: Iterable[Any], **_: Any) -> Iterator[_T]:
        """What ``fn`` gives for each, once all are there; ``fn``, arguments and results are pickled."""
        calls = list(enumerate(zip(*iterables, strict=True)))
        workers = max(1, min(self._workers, len(calls)))
        forks = workers > 1 and sys.platform == "linux"
        with tempfile.TemporaryDirectory(prefix="vz_beam_") as folder:
            with worker_nursery() if forks else nullcontext() as worker_command:
                _run(fn, calls, folder, workers, worker_command)
            return iter([_load(folder, number) for number, _ in calls])


def _run(fn: Callable[..., Any], calls: list[Any], folder: str, workers: int, worker_command: str | None) -> None:
    # loaded here, so that the nursery loads Beam at the same time on another core
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from vz_beam.transforms.runners import local_runner
    from vz_beam.transforms.running import original_error

    options = PipelineOptions([])
    pipeline = beam.Pipeline(runner=local_runner(options, workers, worker_command), options=options)
    inputs = pipeline | "Calls" >> beam.Create(calls, reshuffle=False) | "Spread" >> beam.Reshuffle()
    _ = inputs | "Map" >> beam.Map(_save, fn, folder)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        raise original_error(error) from error


def _save(call: tuple[int, tuple[Any, ...]], fn: Callable[..., Any], folder: str) -> None:
    """A file for each result: where a worker is another process, nothing else comes back from it."""
    number, arguments = call
    Path(folder, str(number)).write_bytes(pickle.dumps(fn(*arguments)))


def _load(folder: str, number: int) -> Any:
    return pickle.loads(Path(folder, str(number)).read_bytes())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
