"""Streams: each window of what arrives is put to the end of a store by one commit, in the order of the windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import coders
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp

from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.schema import FailedInput
from vz_beam.combine.skipped import SkippedInput
from vz_beam.datasets.publishing import Arrived, GrowingStore
from vz_beam.errors import InputError
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.source_pool import SourcePool
from vz_beam.storage.url_secrets import without_secrets
from vz_beam.transforms.counters import count, timed
from vz_beam.transforms.event_log import NOTICE, log_event, log_failure
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget

FAILED = "failed"

_END_TIMER = TimerSpec("end", TimeDomain.WATERMARK)
# What Beam hands to the methods of a DoFn.
_WAITING = beam.DoFn.StateParam(BagStateSpec("waiting", coders.PickleCoder()))
_NEXT = beam.DoFn.StateParam(ReadModifyWriteStateSpec("next", coders.VarIntCoder()))
_DONE = beam.DoFn.StateParam(ReadModifyWriteStateSpec("done", coders.VarIntCoder()))
_END = beam.DoFn.TimerParam(_END_TIMER)


class Published(NamedTuple):
    """What writing a stream gives: the store after each commit, and every input that is in no store.

    An input that comes too late for its window, and for which the store has no hole, is among the failures.
    """

    summaries: PCollection[StoreSummary]
    failures: PCollection[FailedInput]


class Arrival(NamedTuple):
    """One thing that arrives.

    Args:
        end: of its window, microseconds.
        choices: how inputs are combined; Beam has no other way for them to get to where timers are.
        what: an input, or what was left out of one.
    """

    end: int
    choices: CombineChoices
    what: Arrived | SkippedInput


class CombinedStream(NamedTuple):
    """What ``CombineManifests`` gives of a stream: windows are combined where they are published."""

    arrivals: PCollection[Arrival]


def is_stream(inputs: PCollection[Any]) -> bool:
    """Whether there is no end, or windows say which inputs belong together."""
    return not inputs.is_bounded or not inputs.windowing.is_default()


def combined_stream(
    datasets: PCollection[Any], failures: Any, skipped: Any, choices: CombineChoices, has_layout: bool
) -> CombinedStream:
    """The windows of a stream, and how each is to be combined.

    Raises:
        InputError: windows that never end or that merge, choices that need all inputs at once.
    """
    windows = datasets.windowing.windowfn
    if isinstance(windows, GlobalWindows):
        raise InputError(
            "a stream has no end, and without windows nobody knows what belongs together. Way out: "
            "pattern | beam.WindowInto(beam.window.FixedWindows(60)) | OpenWithVirtualizarr() | ..."
        )
    if windows.is_merging():
        raise InputError(f"{windows} may still merge with later ones: use windows that end, such as FixedWindows")
    if has_layout:
        raise InputError("layout is for inputs that are all known: a stream grows")
    if choices.mismatch in ("split", "rewrite"):
        raise InputError(
            f"mismatch={choices.mismatch!r} looks at all inputs, and a stream has no end. Way out: 'raise', by which "
            "those that do not fit are failures"
        )
    parts = {"opened": datasets, "failed": failures, "skipped": skipped}
    arrivals = [
        part | f"Windows of those {label}" >> beam.ParDo(_InWindow(choices)).with_output_types(Arrival)
        for label, part in parts.items()
        if part is not None
    ]
    return CombinedStream(arrivals | "All that arrives" >> beam.Flatten())


def published(
    stream: CombinedStream, writer: Writer, target: WriteTarget, options: HeldOptions, source_options: HeldOptions
) -> Published:
    """The steps that write a stream.

    Raises:
        InputError: a mode that cannot work.
    """
    if target.mode != "append":
        raise InputError(
            f"mode={target.mode!r}: a stream grows its store, and makes it where there is none. Way out: mode='append'"
        )
    keyed = stream.arrivals | "Of this store" >> beam.WithKeys(target.url).with_output_types(tuple[str, Arrival])
    # no window of the runner's own: it drops what comes late, and nothing may be dropped
    kept = keyed | "Windows are kept by the store" >> beam.WindowInto(GlobalWindows())
    publishing = beam.ParDo(_PublishWindows(writer, target, options, source_options))
    done = kept | "Publish" >> publishing.with_outputs(FAILED, main="summaries")
    return Published(done.summaries, done[FAILED])


class _InWindow(beam.DoFn):
    """What has arrived, with the end of its window."""

    def __init__(self, choices: CombineChoices) -> None:
        self._choices = choices

    def process(self, element: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Arrival]:
        what = element
        if isinstance(element, FailedInput):
            what = Arrived(element.index, None, element)
        elif not isinstance(element, SkippedInput):
            what = Arrived(*element)
        yield Arrival(window.end.micros, self._choices, what)


class _PublishWindows(beam.DoFn):
    """Keeps what arrives until its window ends, then publishes the windows that have ended, in order.

    State is that of one store, so one worker at a time publishes into it. A bundle that is repeated finds its inputs in
    the store, and changes nothing.
    """

    def __init__(
        self,
        writer: Writer,
        target: WriteTarget,
        options: HeldOptions,
        source_options: HeldOptions,
    ) -> None:
        self._writer = writer
        self._target = target
        self._options = options
        self._source_options = source_options

    def process(
        self,
        element: tuple[str, Arrival],
        waiting: Any = _WAITING,
        next_end: Any = _NEXT,
        done: Any = _DONE,
        end: Any = _END,
    ) -> Iterator[Any]:
        """Keeps what is in time; what is late goes into a hole of the store, or is a failure."""
        arrival = element[1]
        if (known := done.read()) is not None and arrival.end <= known:
            count("inputs_late")
            yield from self._published([arrival], late=True)
            return
        waiting.add(arrival)
        if (known := next_end.read()) is None or arrival.end < known:
            next_end.write(arrival.end)
            end.set(Timestamp(micros=arrival.end))

    @on_timer(_END_TIMER)
    def ended(
        self,
        now: Any = beam.DoFn.TimestampParam,
        waiting: Any = _WAITING,
        next_end: Any = _NEXT,
        done: Any = _DONE,
        end: Any = _END,
    ) -> Iterator[Any]:
        """Publishes the windows whose end has come, each by itself."""
        windows: dict[int, list[Arrival]] = {}
        for arrival in waiting.read():
            windows.setdefault(arrival.end, []).append(arrival)
        waiting.clear()
        next_end.clear()
        for micros in sorted(windows):
            if micros <= now.micros:
                count("windows_published")
                yield from self._published(windows[micros], late=False)
                done.write(micros)
                continue
            for arrival in windows[micros]:
                waiting.add(arrival)
        if left := [micros for micros in windows if micros > now.micros]:
            next_end.write(min(left))
            end.set(Timestamp(micros=min(left)))

    def _published(self, arrivals: list[Arrival], *, late: bool) -> Iterator[Any]:
        skipped = [one.what for one in arrivals if isinstance(one.what, SkippedInput)]
        inputs = [one.what for one in arrivals if isinstance(one.what, Arrived)]
        sources, choices = self._source_options, arrivals[0].choices
        with SourcePool(sources.storage_options, sources.registry) as open_location:
            place = (self._writer, self._target, choices, self._options.storage_options, open_location)
            with timed("publish"):
                found = GrowingStore(*place).publish(inputs, skipped, late=late)
        for summary in found.summaries:
            log_event(
                NOTICE,
                "window_published",
                store=without_secrets(summary.url),
                late=late,
                files=summary.files,
                added=summary.added,
            )
        told = {one.url for one in inputs if one.failure is not None}  # where they were opened
        for failure in found.failures:
            if failure.url not in told:
                log_failure(failure)
        yield from found.summaries
        yield from (beam.pvalue.TaggedOutput(FAILED, failure) for failure in found.failures)
