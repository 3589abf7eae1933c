"""A pipeline from files to a store, run to its end, with its progress shown and its summary handed back."""

from __future__ import annotations

import inspect
import os
import pickle
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from vz_beam import errors
from vz_beam.combine.new_inputs import new_inputs, split_in_rounds
from vz_beam.datasets.appending import known_inputs
from vz_beam.errors import InputError, InputsChangedError, MismatchError, StoreExistsError, VzBeamError
from vz_beam.patterns.file_pattern import FilePattern
from vz_beam.patterns.file_sequence import pattern_from_file_sequence
from vz_beam.patterns.foreign import as_pattern_items
from vz_beam.patterns.index import Index
from vz_beam.storage.glob_pattern import pattern_from_glob
from vz_beam.storage.urls import url_in_stores
from vz_beam.transforms.combining import CombineManifests
from vz_beam.transforms.counters import counts_of
from vz_beam.transforms.opening import OpenWithVirtualizarr
from vz_beam.transforms.progress_bar import ProgressBar
from vz_beam.transforms.progress_log import ProgressLog
from vz_beam.transforms.replacing import Replacements, replaced_inputs
from vz_beam.transforms.rounds import joined_summary
from vz_beam.transforms.runners import check_runner, local_runner
from vz_beam.transforms.writing import WriteReferences
from vz_beam.writers.store_summary import StoreSummary

NOT_CHOICES = frozenset({"store", "progress", "goes_on"})
SPLIT_OPTIONS: dict[str, type[Any]] = {
    "source_storage_options": OpenWithVirtualizarr,
    "target_storage_options": WriteReferences,
}
"""``storage_options`` is a word of two transforms, so that each has one of its own here."""


def run_build(
    files_or_pattern: Any,
    target: str | os.PathLike[str],
    *,
    concat_dim: str | None,
    workers: int,
    worker_command: str | None,
    runner: Any,
    options: PipelineOptions | Mapping[str, Any] | None,
    progress: bool,
    choices: Mapping[str, Any],
    inputs_per_round: int | None = None,
    changed: str = "raise",
) -> StoreSummary:
    """What :func:`vz_beam.transforms.building.build` says; ``worker_command`` starts a worker process."""
    if inputs_per_round is not None and inputs_per_round < 1:
        raise InputError(f"inputs_per_round={inputs_per_round}: a round has one input at least")
    listing_options = choices.get("source_storage_options", choices.get("storage_options"))
    pairs = inputs_of(files_or_pattern, concat_dim, listing_options)
    opening, combining, writing = choices_by_transform(choices)
    combining = with_absent(combining, files_or_pattern)
    append_dim = writing.pop("append_dim", None) if writing.get("mode") != "append" and inputs_per_round else None
    running = {
        "workers": workers, "worker_command": worker_command, "runner": runner, "options": options, "progress": progress
    }  # fmt: skip
    rounds: list[StoreSummary] = []
    if writing.get("mode") == "append":
        count = len(pairs)
        new = without_known(pairs, target, opening, combining, writing, changed)
        pairs, combining = new.pairs, new.combining
        chosen: dict[str, Any] = {"target": target, "opening": opening, "combining": combining, "writing": writing}
        for some in filter(None, (new.changed, new.fills)):
            rounds.append(run_pipeline(partial(replaced_inputs, inputs_of_store=some, **chosen), some.pairs, **running))
            chosen["writing"] = writing = {**writing, "goes_on": True}
        if not pairs:
            return joined_summary(rounds) if rounds else _nothing_new(target, writing, count)
    elif changed != "raise":
        raise InputError(f"changed={changed!r} is for mode='append', which finds inputs that have changed")
    if writing.get("mode", "create") == "create":
        _check_absent(target, writing)
    if inputs_per_round is None:
        return joined_summary([*rounds, run_once(pairs, target, opening, combining, writing, running)])
    absent = combining.pop("absent", ())
    for part, absent_here in split_in_rounds(pairs, absent, writing.get("append_dim", append_dim), inputs_per_round):
        if rounds:
            writing = {**writing, "mode": "append", "goes_on": True}
            writing.setdefault("append_dim", append_dim)
        rounds.append(run_once(part, target, opening, {**combining, "absent": absent_here}, writing, running))
    return joined_summary(rounds)


def run_once(
    pairs: Sequence[tuple[Index, str]],
    target: str | os.PathLike[str],
    opening: Mapping[str, Any],
    combining: Mapping[str, Any],
    writing: Mapping[str, Any],
    running: Mapping[str, Any],
) -> StoreSummary:
    """One pipeline over inputs; the choices are those of the three transforms and of :func:`run_pipeline`."""

    def wired(inputs: Any, log: ProgressLog) -> Any:
        opened = inputs | OpenWithVirtualizarr(**opening, progress=log)
        return opened | CombineManifests(**combining) | WriteReferences(target, **writing)

    summary: StoreSummary = run_pipeline(wired, pairs, **running)
    return summary


def run_pipeline(
    wired: Callable[[Any, ProgressLog], Any],
    pairs: Sequence[tuple[Index, str]],
    *,
    workers: int = 1,
    worker_command: str | None = None,
    runner: Any = None,
    options: PipelineOptions | Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Any:
    """The one element that a pipeline over the inputs ``pairs`` gives.

    Args:
        wired: what to do with the PCollection of inputs; opened files are noted in the log that it gets.
        pairs: (index, URL) of every input.
        workers: processes on this machine.
        worker_command: starts one of them.
        runner: a Beam runner to use instead.
        options: Beam's pipeline options.
        progress: whether to show progress on standard error.
    """
    given = options if isinstance(options, PipelineOptions) else PipelineOptions.from_dictionary(dict(options or {}))
    if runner is None:
        runner = local_runner(given, workers, worker_command)
    check_runner(runner)
    with tempfile.TemporaryDirectory(prefix="vz_beam_") as folder:
        log = ProgressLog(str(Path(folder, "progress")))
        result = Path(folder, "result")
        pipeline = beam.Pipeline(runner=runner, options=given)
        # not reshuffled here: opening does
        inputs = pipeline | "Inputs" >> beam.Create(pairs, reshuffle=False).with_output_types(tuple[Index, str])
        _ = wired(inputs, log) | "Hand back" >> beam.Map(_save, str(result))
        try:
            with ProgressBar(log, len(pairs)) if progress else nullcontext():
                outcome = pipeline.run()
                outcome.wait_until_finish()
        except Exception as error:
            raise original_error(error) from error
        if not result.exists():
            raise InputError(
                f"the runner {runner} works elsewhere and cannot hand back a summary: run the transforms in a pipeline "
                "of your own"
            )
        with result.open("rb") as file:
            found = pickle.load(file)
    return replace(found, counts=counts_of(outcome)) if isinstance(found, StoreSummary) else found


class NewInputs(NamedTuple):
    """(index, URL) of what a store lacks, the choices of combining these, what has changed, and what fills holes."""

    pairs: list[tuple[Index, str]]
    combining: dict[str, Any]
    changed: Replacements
    fills: Replacements


def without_known(
    pairs: Sequence[tuple[Index, str]],
    target: str | os.PathLike[str],
    opening: Mapping[str, Any],
    combining: Mapping[str, Any],
    writing: Mapping[str, Any],
    changed: str = "raise",
) -> NewInputs:
    """The inputs that the store at ``target`` does not have yet, or not as they are now.

    Raises:
        InputsChangedError: names those that have changed, with ``changed="raise"``.
        InputError: inputs of one place of the pattern of which the store has some.
    """
    writes = WriteReferences(target, **writing)
    known = known_inputs(
        writes.writer,
        writes.target,
        [url for _, url in pairs],
        writing.get("storage_options"),
        opening.get("storage_options"),
        opening.get("registry"),
    )
    if changed not in ("raise", "replace"):
        raise InputError(f"changed={changed!r} is neither 'raise' nor 'replace'")
    if known.changed and changed == "raise":
        url = writes.target.url
        raise InputsChangedError(tuple(f"{one} has changed since {url} was written of it" for one in known.changed))
    others = set(known.changed)
    changed_inputs = Replacements([pair for pair in pairs if pair[1] in others])
    holes = {
        url: hole
        for index, url in pairs
        if url not in known.same | others and (hole := known.holes.find(index, url_in_stores(url))) is not None
    }
    fills = Replacements([pair for pair in pairs if pair[1] in holes], holes)
    have = known.same | others | holes.keys()
    left, still_absent = new_inputs(
        pairs,
        combining.get("absent", ()),
        have.__contains__,
        writing.get("append_dim"),
        lambda index: known.holes.find(index) is not None,
    )
    return NewInputs(left, {**combining, "absent": still_absent}, changed_inputs, fills)


def _check_absent(target: str | os.PathLike[str], writing: Mapping[str, Any]) -> None:
    """Refuse a store that is there before inputs are opened; what else may be at its place is seen later."""
    writes = WriteReferences(target, **writing)
    try:
        writes.writer.input_table(writes.target, writing.get("storage_options"))
    except VzBeamError:
        return
    raise StoreExistsError(
        f"{writes.target.url} is there already. Way out: mode='append' to add what it lacks, mode='overwrite' to "
        "replace it, another name, or delete it yourself"
    )


def _nothing_new(target: str | os.PathLike[str], writing: Mapping[str, Any], count: int) -> StoreSummary:
    writes = WriteReferences(target, **writing)
    note = f"nothing is new: the store has all of the {count:,} inputs, and stays as it is"
    return StoreSummary(writes.target.url, writes.writer.name, 0, notes=(note,))


def with_absent(combining: Mapping[str, Any], files_or_pattern: Any) -> dict[str, Any]:
    """The choices of combining, with the inputs that a pattern says are absent."""
    if isinstance(files_or_pattern, FilePattern):
        return {"absent": list(files_or_pattern.missing()), **combining}
    return dict(combining)


def inputs_of(
    files_or_pattern: Any, concat_dim: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> list[tuple[Index, str]]:
    """(index, URL) of every input.

    Raises:
        PatternError: no input, or several without a dimension to join them along.
    """
    if hasattr(files_or_pattern, "items") and not isinstance(files_or_pattern, Mapping):
        if concat_dim is not None:
            raise InputError("concat_dim is for lists of files: a pattern has its own dimensions")
        return list(as_pattern_items(files_or_pattern))
    if isinstance(files_or_pattern, (str, os.PathLike)):
        return list(pattern_from_glob(os.fspath(files_or_pattern), concat_dim, storage_options=storage_options).items())
    if not isinstance(files_or_pattern, Iterable):
        raise InputError(f"files are a glob, a list or a pattern, not a {type(files_or_pattern).__name__}")
    return list(pattern_from_file_sequence([os.fspath(url) for url in files_or_pattern], concat_dim).items())


def original_error(error: BaseException) -> BaseException:
    """The error of vz_beam inside one that Beam raised, without Beam's remarks; itself where there is none."""
    if isinstance(error, VzBeamError):
        if error.args and isinstance(error.args[0], str):
            error.args = (_without_remark(error.args[0]), *error.args[1:])
        return error
    found = list(re.finditer(r"^vz_beam\.errors\.(\w+): ", str(error), re.MULTILINE))
    for match in reversed(found):
        kind = getattr(errors, match[1], None)
        if isinstance(kind, type) and issubclass(kind, VzBeamError):
            text = _without_remark(str(error)[match.end() :])
            if issubclass(kind, MismatchError):
                return kind(tuple(re.findall(r"^  \* (.*)$", text, re.MULTILINE)))
            return kind(text)
    return error


def _without_remark(text: str) -> str:
    return re.split(r" \[while running '|\n\nDuring handling of the above exception", text, maxsplit=1)[0].rstrip()


def choices_by_transform(choices: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The choices of a build as those of opening, combining and writing.

    Raises:
        InputError: words that none of them knows.
    """
    transforms: tuple[type[Any], ...] = (OpenWithVirtualizarr, CombineManifests, WriteReferences)
    words = [inspect.signature(transform).parameters.keys() - NOT_CHOICES for transform in transforms]
    chosen: tuple[dict[str, Any], ...] = ({}, {}, {})
    unknown = []
    for name, value in choices.items():
        if name in SPLIT_OPTIONS:
            chosen[transforms.index(SPLIT_OPTIONS[name])]["storage_options"] = value
        if name == "storage_options":
            chosen[2].setdefault("source_storage_options", value)
        takers = [place for place, known in enumerate(words) if name in known]
        for place in takers:
            chosen[place].setdefault(name, value)
        if not takers and name not in SPLIT_OPTIONS:
            unknown.append(name)
    if unknown:
        raise InputError(f"build() does not know {unknown}; it knows {', '.join(sorted(set().union(*words)))}")
    return chosen[0], chosen[1], chosen[2]


def _save(result: Any, path: str) -> None:
    with open(path, "wb") as file:
        pickle.dump(result, file)
