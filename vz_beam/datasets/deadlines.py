"""Steps that end after some seconds, whatever they do in Python."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vz_beam.errors import InputError, LimitError


class _Late(BaseException):
    """Raised in the thread of a step by its clock; not an Exception, so that no step takes it for one of its own."""


def check_limits(timeout_seconds: float | None, max_metadata_bytes: int | None) -> None:
    """Refuses limits that no file can keep.

    Raises:
        InputError: one that is not above 0.
    """
    for word, limit in (("timeout_seconds", timeout_seconds), ("max_metadata_bytes", max_metadata_bytes)):
        if limit is not None and not limit > 0:
            raise InputError(f"{word}={limit}: every file needs more than that. Way out: leave it out, for no limit")


@contextmanager
def deadline(seconds: float | None, name: str) -> Iterator[None]:
    """Ends what is done in the block once ``seconds`` have passed; ``None`` lets it go on.

    The step is ended between two instructions of Python: a request that waits, or a long call of a library, comes back
    first. Requests have time limits of their own.

    Args:
        seconds: from the beginning of the block.
        name: of the input, for the message.

    Raises:
        LimitError: the time is over.
    """
    if seconds is None:
        yield
        return
    thread = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    is_done = False

    def end() -> None:
        with lock:
            if not is_done:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(_Late))

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        try:
            yield
        finally:
            with lock:
                is_done = True
            clock.cancel()
    except _Late:
        raise LimitError(
            f"{name} was not opened within timeout_seconds={seconds:g}. Way out: more time, if the file is what it "
            "should be"
        ) from None
