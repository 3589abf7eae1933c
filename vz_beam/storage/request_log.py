"""A source that writes down what is asked of it: tests use it to prove that chunk data is never read."""

from __future__ import annotations

from collections.abc import Sequence

from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.passing_source import PassingSource


class RequestLog(PassingSource):
    """Passes every request on to ``source`` and keeps its range in ``requests``, in order.

    ``rounds`` counts the calls: ranges that are asked for together are one round.

    ``siblings`` are the logs of the files that were opened beside this one.
    """

    __slots__ = ("requests", "rounds", "siblings")

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        self.requests: list[tuple[int, int]] = []
        self.rounds = 0
        self.siblings: list[RequestLog] = []

    @property
    def nbytes(self) -> int:
        """Sum of the lengths of all requests, bytes."""
        return sum(stop - start for start, stop in self.requests)

    def notice(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Writes the ranges down."""
        self.rounds += 1
        self.requests.extend(ranges)

    def beside(self, source: ByteSource) -> RequestLog:
        """A log of its own, in ``siblings``."""
        log = RequestLog(source)
        self.siblings.append(log)
        return log
