"""From files to a store in one call, with no knowledge of Beam."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from vz_beam.transforms.worker_nursery import worker_nursery

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from vz_beam.combine.build_plan import BuildPlan
    from vz_beam.transforms.watching import Round
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
    inputs_per_round: int | None = None,
    changed: str = "raise",
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
        inputs_per_round: build in rounds of that many inputs, each published before the next begins: memory is that of
            one round, and a run that was killed goes on with ``mode="append"``. Readers see the store grow.
        changed: what ``mode="append"`` does about inputs of the store that are not what they were: ``"raise"`` names
            them, ``"replace"`` opens them again and first of all writes the store anew with what they hold now.
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
            inputs_per_round=inputs_per_round,
            changed=changed,
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
    changed: str = "raise",
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
        changed: as of :func:`build`.
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
            changed=changed,
        )


def watch(
    source: str | os.PathLike[str] | Callable[[], Sequence[str]],
    target: str | os.PathLike[str],
    *,
    concat_dim: str,
    every: float = 10.0,
    rounds: int | None = None,
    idle_seconds: float | None = None,
    inputs_per_round: int = 1000,
    attempts: int = 3,
    workers: int = 1,
    runner: Any = None,
    options: PipelineOptions | Mapping[str, Any] | None = None,
    **choices: Any,
) -> Iterator[Round]:
    """Looks at a source again and again, and puts what is new in it to the end of a store, one commit a round.

    A store that is not there is created. Inputs follow each other in natural order of their names. What is in the
    store already is passed over, so that a watch that was stopped or killed goes on where it was; readers see a round
    whole or not at all. An input that fails is tried again in later rounds, holds up no other, and is listed in
    ``failures.jsonl`` beside the store in the end; so is one that comes too late for its place.

    Args:
        source: a glob, folder or prefix on any protocol; ``"@FILE"`` for a text file of URLs, one a line, that grows;
            ``"-"`` for standard input; ``"kafka://HOST:PORT/TOPIC"`` or ``"pubsub://PROJECT/SUBSCRIPTION"`` for
            messages that name files; or a function that gives the URLs that are there now. Where it has a method
            ``settle``, this is called after each round with a function that says of a URL whether it need not come
            again.
        target: as of :func:`build`.
        concat_dim: the dimension along which inputs follow each other.
        every: seconds from one look at the source to the next.
        rounds: how many there are at most; ``None`` is for ever.
        idle_seconds: ends where nothing has been new for so long; ``None`` waits for ever.
        inputs_per_round: at most.
        attempts: rounds in which an input is tried.
        workers: as of :func:`build`.
        runner: as of :func:`build`.
        options: as of :func:`build`.
        **choices: those of :func:`build`, but for ``mode`` and ``append_dim``.

    Yields:
        What each round did.

    Raises:
        StoreError: another run writes to the same store.
        InputError: choices that cannot work, a store that does not say what it was made of.
    """
    with _workers(workers, runner) as worker_command:
        with _paused_collector():
            from vz_beam.transforms.watching import Watch, run_watch, source_of

        running = {
            "workers": workers, "worker_command": worker_command, "runner": runner, "options": options,
            "progress": False,
        }  # fmt: skip
        look = (
            source
            if callable(source)
            else source_of(source, choices.get("source_storage_options", choices.get("storage_options")))
        )
        watching = Watch(look, target, concat_dim, inputs_per_round, attempts, choices, running)
        try:
            yield from run_watch(watching, every=every, most_rounds=rounds, idle_seconds=idle_seconds)
        finally:
            if not callable(source) and (close := getattr(look, "close", None)) is not None:
                close()


def _workers(count: int, runner: Any) -> AbstractContextManager[str | None]:
    """What starts a worker process of ours; forking is safe on Linux only, elsewhere Beam has its own, slower way."""
    forks = count > 1 and runner is None and sys.platform == "linux"
    return worker_nursery() if forks else nullcontext()
