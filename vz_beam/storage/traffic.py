"""Requests and bytes that go to servers: counted for whoever wants to know, and sent no faster than is kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Pace:
    """So many requests a second, evenly, and none saved up for later. Any number of threads may wait.

    Args:
        per_second: how many.
    """

    __slots__ = ("_lock", "_next", "_seconds")

    def __init__(self, per_second: float) -> None:
        self._seconds = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, requests: int) -> float:
        """Waits until it is the turn of these requests; how long it waited, seconds."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + requests * self._seconds
        if turn > now:
            time.sleep(turn - now)
        return turn - now


class Traffic:
    """What the sources that were opened meanwhile have asked servers for. Any number of threads may note.

    ``requests`` are answered ones, ``repeated`` those that failed and were sent again, ``nbytes`` those of the answers,
    ``waited`` the seconds that requests were held back.

    Args:
        pace: of the requests; ``None`` sends them at once.
    """

    __slots__ = ("_lock", "_pace", "nbytes", "repeated", "requests", "waited")

    def __init__(self, pace: Pace | None = None) -> None:
        self.requests = self.repeated = self.nbytes = 0
        self.waited = 0.0
        self._pace = pace
        self._lock = threading.Lock()

    def ask(self, requests: int = 1) -> None:
        """Called before requests are sent: waits until they may be."""
        if self._pace is not None:
            waited = self._pace.wait(requests)
            with self._lock:
                self.waited += waited

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
