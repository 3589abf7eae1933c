"""From files to a store in one call, with no knowledge of Beam."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from vz_beam.transforms.worker_nursery import worker_nursery

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from vz_beam.combine.build_plan import BuildPlan
    from vz_beam.writers.store_summary import StoreSummary


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Loading Beam makes a million objects and no garbage; looking for it takes a quarter of the time (0.2 s)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def build(
    files_or_pattern: Any,
    target: str | os.PathLike[str],
    *,
    concat_dim: str | None = None,
    workers: int = 1,
    runner: Any = None,
    options: PipelineOptions | Mapping[str, Any] | None = None,
    progress: bool = True,
    **choices: Any,
) -> StoreSummary:
    """Builds one store of references.

    Args:
        files_or_pattern: a glob, a folder, a list of URLs or paths, or a pattern.
        target: URL or path of the store; its suffix says the format.
        concat_dim: the dimension along which a list of files is joined.
        workers: processes on this machine; 1 works in this one.
        runner: a Beam runner to use instead.
        options: Beam's pipeline options.
        progress: whether to show progress on standard error.
        **choices: those of the three transforms; ``storage_options`` is ``source_storage_options`` and
            ``target_storage_options`` here, and where only one is given as ``storage_options`` it is both.

    Returns:
        What was written, and every input that failed.

    Raises:
        VzBeamError: whatever went wrong, as the step that found it says it.
    """
    with _workers(workers, runner) as worker_command:
        # loaded here, so that the nursery loads Beam at the same time on another core: half of a small build's time
        with _paused_collector():
            from vz_beam.transforms.running import run_build

        return run_build(
            files_or_pattern,
            target,
            concat_dim=concat_dim,
            workers=workers,
            worker_command=worker_command,
            runner=runner,
            options=options,
            progress=progress,
            choices=choices,
        )


def plan_build(
    files_or_pattern: Any,
    target: str | os.PathLike[str] | None = None,
    *,
    concat_dim: str | None = None,
    sample: int | None = None,
    workers: int = 1,
    runner: Any = None,
    options: PipelineOptions | Mapping[str, Any] | None = None,
    progress: bool = True,
    **choices: Any,
) -> BuildPlan:
    """What :func:`build` would do with the same arguments: inputs are opened, and nothing is written.

    Args:
        files_or_pattern: as of :func:`build`.
        target: of the store, whose format is checked; it may be left out.
        concat_dim: as of :func:`build`.
        sample: about how many inputs to open, evenly spaced; ``None`` opens all.
        workers: as of :func:`build`.
        runner: as of :func:`build`.
        options: as of :func:`build`.
        progress: as of :func:`build`.
        **choices: those of :func:`build`.

    Raises:
        VzBeamError: inputs that cannot be read, unless ``errors="collect"``. Disagreements are in the plan.
    """
    with _workers(workers, runner) as worker_command:
        with _paused_collector():
            from vz_beam.transforms.dry_run import run_plan

        return run_plan(
            files_or_pattern,
            target,
            concat_dim=concat_dim,
            sample=sample,
            workers=workers,
            worker_command=worker_command,
            runner=runner,
            options=options,
            progress=progress,
            choices=choices,
        )


def _workers(count: int, runner: Any) -> AbstractContextManager[str | None]:
    """What starts a worker process of ours; forking is safe on Linux only, elsewhere Beam has its own, slower way."""
    forks = count > 1 and runner is None and sys.platform == "linux"
    return worker_nursery() if forks else nullcontext()
