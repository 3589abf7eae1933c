"""Kindness to servers: how many files of one are opened at once, and how many requests it is sent a second."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.pvalue import PCollection
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from vz_beam.errors import InputError
from vz_beam.patterns.index import Index
from vz_beam.storage.traffic import Pace
from vz_beam.storage.urls import server_of

_LANES = 10
"""Of a server whose requests are limited and whose files are not, on workers that nobody has counted."""


class Kindness(NamedTuple):
    """What the servers of files are asked for at most, over all workers.

    Args:
        max_concurrency: files of one server that are open at once; ``None`` as many as there are workers.
        requests_per_second: that one server is sent; ``None`` as many as workers send.
    """

    max_concurrency: int | None = None
    requests_per_second: float | None = None

    def check(self, *, is_stream: bool) -> None:
        """Refuses limits that let nothing through, and any for a stream.

        Raises:
            InputError: see there.
        """
        files, requests = self
        if files is not None and files < 1:
            raise InputError(f"max_concurrency={files} must be at least 1")
        if requests is not None and not 0 < requests < math.inf:
            raise InputError(f"requests_per_second={requests} must be a number above 0")
        if is_stream and self != Kindness():
            raise InputError(
                f"max_concurrency={files}, requests_per_second={requests}: their lanes wait for windows to end, and "
                "lose what comes late. Way out: as many workers as files may be opened at once"
            )

    def lanes(self, pipeline: beam.Pipeline) -> int | None:
        """In how many lanes the files of each server are opened; ``None`` is none."""
        if self == Kindness():
            return None
        return self.max_concurrency or _workers_of(pipeline) or _LANES

    def share(self, pipeline: beam.Pipeline) -> float | None:
        """Requests a second of one who opens a file; with all others, no server is sent more than it may be."""
        lanes = self.lanes(pipeline)
        if lanes is None or self.requests_per_second is None:
            return None
        return self.requests_per_second / min(lanes, _workers_of(pipeline) or lanes)


class InLanes(beam.PTransform[Any, Any]):
    """The files of each server, dealt to lanes of equal length, in each of which one is worked on after the other.

    Args:
        lanes: of each server.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self._lanes = lanes

    def expand(self, inputs: PCollection[tuple[Index, str]]) -> PCollection[tuple[Index, str]]:
        """What came in; the step that takes it is one worker's in each lane."""
        spread: PCollection[tuple[Index, str]] = (
            inputs
            | "By server" >> beam.Map(_with_server)
            | "All of one server" >> beam.GroupByKey()
            | "Deal to lanes" >> beam.FlatMap(_dealt, self._lanes)
            | "One at a time in each lane" >> beam.GroupByKey()
            | "Leave lanes" >> beam.FlatMap(lambda lane: lane[1]).with_output_types(tuple[Index, str])
        )
        return spread


class Paces:
    """The paces of one who opens one file after the other: one for each server.

    Args:
        per_second: requests, of this one; ``None`` is no pace.
    """

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._by_server: dict[str, Pace] = {}

    def of(self, url: str) -> Pace | None:
        """How fast the server of a URL is asked."""
        if self._per_second is None:
            return None
        return self._by_server.setdefault(_server(url), Pace(self._per_second))


def _with_server(pair: tuple[Index, str]) -> tuple[str, tuple[Index, str]]:
    return _server(pair[1]), pair


def _server(url: str) -> str:
    try:
        return server_of(url)
    except (InputError, TypeError):  # whoever opens it says what is wrong
        return ""


def _dealt(
    server: tuple[str, Iterable[tuple[Index, str]]], lanes: int
) -> Iterator[tuple[tuple[str, int], tuple[Index, str]]]:
    name, pairs = server
    return (((name, number % lanes), pair) for number, pair in enumerate(pairs))


def _workers_of(pipeline: beam.Pipeline) -> int | None:
    """How many files the workers of a pipeline can open at once, where that is known: on this machine."""
    if not isinstance(pipeline.runner, FnApiRunner):
        return None
    return pipeline.options.view_as(DirectOptions).direct_num_workers or os.cpu_count()
