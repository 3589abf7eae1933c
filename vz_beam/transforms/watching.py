"""A source that is looked at again and again: what is new in it is put to the end of a store, in rounds."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TextIO

from vz_beam.combine.schema import FailedInput
from vz_beam.datasets.verification import Verifier
from vz_beam.errors import InputError, PatternError, StoreError, StoreNotFoundError, TransientSourceError, VzBeamError
from vz_beam.patterns.index import Index, Position
from vz_beam.patterns.natural_order import natural_key
from vz_beam.storage.kafka_notices import KafkaNotices
from vz_beam.storage.listing import list_files
from vz_beam.storage.pubsub_notices import PubSubNotices
from vz_beam.storage.url_secrets import without_secrets
from vz_beam.storage.urls import canonical_url, scheme_of, url_in_stores
from vz_beam.transforms.event_log import NOTICE, TROUBLE, log_event
from vz_beam.transforms.rounds import joined_summary
from vz_beam.transforms.running import choices_by_transform, run_once
from vz_beam.transforms.writing import WriteReferences
from vz_beam.writers.left_out import record_failures
from vz_beam.writers.store_summary import StoreSummary

ATTEMPTS = 3
"""Rounds in which an input is tried."""
STANDARD_INPUT = "-"
LIST_MARK = "@"
"""A source that begins with it is a text file of URLs."""
_NOTICES = {kind.scheme: kind for kind in (KafkaNotices, PubSubNotices)}
"""Sources of messages that name files, by scheme."""


class Round(NamedTuple):
    """What one round did.

    Args:
        number: from 1.
        summary: of the store, with what came to it; ``None`` where nothing did.
        failures: a text for each input that failed: it is tried again in the next rounds, and listed in
            ``failures.jsonl`` beside the store where it has failed for the last time.
        inputs: number of inputs of the store now.
        seconds: from the look at the source to the published store.
    """

    number: int
    summary: StoreSummary | None
    failures: tuple[str, ...]
    inputs: int
    seconds: float


class Watch:
    """The rounds of one source and one store.

    Exactly once comes from the store: it knows its inputs, each round is one conditional commit, and a watch that was
    killed goes on after the last of these.

    Args:
        look: gives the URLs that are in the source now.
        target: URL or path of the store.
        concat_dim: the dimension along which inputs follow each other.
        inputs_per_round: at most.
        attempts: rounds in which an input is tried.
        choices: those of the three transforms.
        running: how pipelines are run.
    """

    def __init__(
        self,
        look: Callable[[], Sequence[str]],
        target: str | os.PathLike[str],
        concat_dim: str,
        inputs_per_round: int,
        attempts: int,
        choices: Mapping[str, Any],
        running: Mapping[str, Any],
    ) -> None:
        self._look = look
        self._target = target
        self._dim = concat_dim
        self._most = inputs_per_round
        self._attempts = attempts
        self._opening, self._combining, writing = choices_by_transform(choices)
        for word in ("mode", "append_dim"):
            if word in writing:
                raise InputError(f"{word} is not for a watch, which creates the store and then appends to it")
        self._writing = writing
        self._running = running
        self._tries: dict[str, int] = {}
        self._given_up: list[FailedInput] = []
        self._blind = 0
        self._count = 0
        self._store = canonical_url(WriteReferences(target, **writing).target.url)
        try:
            known = Verifier(self._store, writing.get("storage_options")).inputs()
            self._known = {one.url for one in known}
            self._is_there = True
        except StoreNotFoundError:
            self._known, self._is_there = set(), False
        if self._is_there and not self._known:
            raise InputError(
                f"{self._store} does not say what it was made of, so that nobody knows what is new. Way out: another "
                "store, or build it anew"
            )

    def rounds(self) -> Iterator[Round]:
        """The rounds that what is new in the source makes; none where nothing is."""
        began = time.monotonic()
        new = [url for url in self._seen() if url_in_stores(url) not in self._known]
        new = sorted(dict.fromkeys(new), key=natural_key)
        new = [url for url in new if self._tries.get(url, 0) < self._attempts]
        for start in range(0, len(new), self._most):
            done = self._round(new[start : start + self._most], began)
            self._settle()
            yield done
            began = time.monotonic()

    @property
    def is_blind(self) -> bool:
        """Whether the source could not be looked at the last time."""
        return self._blind > 0

    def _seen(self) -> Sequence[str]:
        """What is in the source; nothing where it does not answer for once, which is warned of."""
        try:
            self._settle()
            found = self._look()
        except TransientSourceError as error:
            self._blind += 1
            if self._blind >= self._attempts:
                raise
            log_event(TROUBLE, "look_failed", error=type(error).__name__, message=str(error), attempt=self._blind)
            warnings.warn(f"the source is looked at again later: {error}", stacklevel=2)
            return ()
        self._blind = 0
        return found

    def _settle(self) -> None:
        """Tells a source that wants to know it what need not come again; where it does not answer, later will do."""
        if (settle := getattr(self._look, "settle", None)) is not None:
            with suppress(TransientSourceError):
                settle(self._is_done)

    def _is_done(self, url: str) -> bool:
        given_up = self._is_there and self._tries.get(url, 0) >= self._attempts  # listed beside the store
        return given_up or url_in_stores(url) in self._known

    def _round(self, urls: Sequence[str], began: float) -> Round:
        self._count += 1
        failures: list[FailedInput] = []
        done = self._tried(urls, failures)
        summary = joined_summary(done) if done else None
        self._given_up += [failure for failure in failures if failure.attempts >= self._attempts]
        if self._given_up and self._is_there:
            about = summary or StoreSummary(self._store, "", 0)
            record_failures(about, self._given_up, self._writing.get("storage_options"), goes_on=True)
            self._given_up = []
        texts = tuple(map(str, failures))
        took = time.monotonic() - began
        log_event(
            NOTICE,
            "round_done",
            store=without_secrets(self._store),
            round=self._count,
            files=summary.files if summary else 0,
            failed=len(failures),
            inputs=len(self._known),
            seconds=round(took, 3),
        )
        return Round(self._count, summary, texts, len(self._known), took)

    def _tried(self, urls: Sequence[str], failures: list[FailedInput]) -> list[StoreSummary]:
        """One pipeline over inputs; where it fails, one over each half, so that one input holds up no other."""
        try:
            return [self._published(urls)]
        except (StoreError, InputError, PatternError):
            raise
        except TransientSourceError as error:
            if len(urls) == 1:
                failures.append(self._failed(urls[0], error, is_try=False))
                return []
        except VzBeamError as error:
            if len(urls) == 1:
                failures.append(self._failed(urls[0], error, is_try=True))
                return []
        half = len(urls) // 2
        return self._tried(urls[:half], failures) + self._tried(urls[half:], failures)

    def _published(self, urls: Sequence[str]) -> StoreSummary:
        places = range(len(self._known), len(self._known) + len(urls))
        pairs = [
            (Index((Position(self._dim, "concat", number, len(urls), key=place),)), url)
            for number, (place, url) in enumerate(zip(places, urls, strict=True))
        ]
        how = {"mode": "append", "append_dim": self._dim} if self._is_there else {"mode": "create"}
        writing = {**self._writing, **how, "goes_on": self._is_there}
        summary = run_once(pairs, self._target, self._opening, self._combining, writing, self._running)
        self._is_there = True
        self._known |= {url_in_stores(url) for url in urls}
        return summary

    def _failed(self, url: str, error: VzBeamError, *, is_try: bool) -> FailedInput:
        self._tries[url] = self._tries.get(url, 0) + is_try
        index = Index((Position(self._dim, "concat", len(self._known)),))
        return FailedInput(index, without_secrets(url), type(error).__name__, str(error), self._tries[url])


def run_watch(
    watch: Watch,
    *,
    every: float,
    most_rounds: int | None,
    idle_seconds: float | None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Round]:
    """The rounds of a watch, for ever or until one of the two ends comes."""
    count, last = 0, time.monotonic()
    while True:
        began = time.monotonic()
        for each in watch.rounds():
            yield each
            count += 1
            last = time.monotonic()
            if most_rounds is not None and count >= most_rounds:
                return
        if idle_seconds is not None and time.monotonic() - last >= idle_seconds and not watch.is_blind:
            return
        sleep(max(0.0, every - (time.monotonic() - began)))


def source_of(
    source: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None, lines: TextIO | None = None
) -> Callable[[], Sequence[str]]:
    """What looks at a source: a glob, folder or prefix on any protocol, ``@FILE``, ``kafka://...``, or ``-``.

    Args:
        source: that is looked at.
        storage_options: for listing it.
        lines: instead of standard input.

    Raises:
        InputError: an empty source, or a file of URLs that is not there.
    """
    text = os.fspath(source)
    if text == STANDARD_INPUT:
        return _Lines(lines or sys.stdin)
    if text.startswith(LIST_MARK):
        name = text.removeprefix(LIST_MARK)
        if not os.path.exists(name):
            raise InputError(f"the list of URLs {name!r} is not there")
        return lambda: _urls(_read(name))

    if (notices := _NOTICES.get(scheme_of(text))) is not None:
        return notices(text)

    def listed() -> Sequence[str]:
        try:
            return list_files(text, storage_options)
        except PatternError:
            return ()  # nothing yet

    if not text:
        raise InputError("an empty text names no source: give a glob such as 'data/*.nc', a folder, @FILE or -")
    return listed


class _Lines:
    """URLs that come line by line, read by a thread of their own."""

    def __init__(self, lines: TextIO) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._seen: list[str] = []
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: TextIO) -> None:
        for line in lines:
            self._queue.put(line)

    def __call__(self) -> Sequence[str]:
        while not self._queue.empty():
            self._seen += _urls(self._queue.get())
        return self._seen


def _read(name: str) -> str:
    with open(name, encoding="utf-8") as file:
        text = file.read()
    return text[: text.rfind("\n") + 1]  # what is written at this moment comes whole the next time


def _urls(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
