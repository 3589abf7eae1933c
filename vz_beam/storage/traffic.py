"""Requests and bytes that go to servers, counted for whoever wants to know."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Traffic:
    """What the sources that were opened meanwhile have asked servers for. Any number of threads may note.

    ``requests`` are answered ones, ``repeated`` those that failed and were sent again, ``nbytes`` those of the answers.
    """

    __slots__ = ("_lock", "nbytes", "repeated", "requests")

    def __init__(self) -> None:
        self.requests = self.repeated = self.nbytes = 0
        self._lock = threading.Lock()

    def note(self, nbytes: int = 0, requests: int = 1) -> None:
        """Counts answers of ``nbytes`` in all."""
        with self._lock:
            self.requests += requests
            self.nbytes += nbytes

    def note_repeated(self) -> None:
        """Counts a request that failed and is sent again."""
        with self._lock:
            self.repeated += 1


_CURRENT: ContextVar[Traffic | None] = ContextVar("vz_beam_traffic", default=None)


def current_traffic() -> Traffic:
    """Where a source that is opened now notes its requests; one that nobody looks at, where nobody counts."""
    return _CURRENT.get() or Traffic()


@contextmanager
def counting(traffic: Traffic) -> Iterator[Traffic]:
    """Sources that are opened by this thread meanwhile note their requests in ``traffic``, however late they come."""
    token = _CURRENT.set(traffic)
    try:
        yield traffic
    finally:
        _CURRENT.reset(token)
