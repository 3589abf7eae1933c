"""Where logs go: what other libraries say about themselves is kept from the user's terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from vz_beam.errors import InputError
from vz_beam.transforms.appended_file import append_to
from vz_beam.transforms.event_log import FILE_VARIABLE

STANDARD_ERROR = 2
"""The number of the file that worker processes inherit to write to."""

_ICECHUNK_LOGS = "ICECHUNK_NO_LOGS"


@contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Shows warnings of vz_beam in one line each, and nothing of other libraries; with ``verbose`` everything.

    Errors need no log: they are raised. All is as before afterwards.
    """
    with ExitStack() as stack:
        if verbose:
            stack.enter_context(_logs_shown())
        else:
            stack.enter_context(_logs_disabled())
            if _ICECHUNK_LOGS not in os.environ:
                os.environ[_ICECHUNK_LOGS] = "1"  # read where icechunk is imported, which then is faster too
                stack.callback(os.environ.pop, _ICECHUNK_LOGS, None)
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", category=UserWarning, module="vz_beam")
            warnings.showwarning = _show
            stack.enter_context(_silent_workers())
            stack.callback(setattr, threading, "excepthook", threading.excepthook)
            threading.excepthook = lambda arguments: None  # of Beam: what matters is raised in the main thread
        yield


@contextmanager
def logged_to(path: str | None) -> Iterator[None]:
    """Has this process and its workers append what happens to a file; ``None`` is none.

    Raises:
        InputError: it cannot be written.
    """
    if path is None:
        yield
        return
    before = os.environ.get(FILE_VARIABLE)
    try:
        append_to(path, b"")
    except OSError as error:
        raise InputError(f"the log file {path!r} cannot be written: {error.strerror}") from None
    os.environ[FILE_VARIABLE] = os.path.abspath(path)
    try:
        yield
    finally:
        os.environ.pop(FILE_VARIABLE)
        if before is not None:
            os.environ[FILE_VARIABLE] = before


@contextmanager
def _logs_shown() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)


@contextmanager
def _logs_disabled() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)


@contextmanager
def _silent_workers() -> Iterator[None]:
    """Nothing of processes that start now reaches standard error; ``sys.stderr`` of this one goes where it went.

    Beam's workers log to the file that they inherit before they read any option that could stop them.
    """
    original = sys.stderr
    kept = os.dup(STANDARD_ERROR)
    try:
        if _number_of(original) == STANDARD_ERROR:
            original.flush()
            encoding, errors = original.encoding, original.errors
            sys.stderr = os.fdopen(kept, "w", 1, encoding, errors, closefd=False)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STANDARD_ERROR)
        os.close(nowhere)
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = original
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)


def _number_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None  # a stream in memory, such as a test's


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> Any:
    print(f"vz-beam: warning: {message}", file=file or sys.stderr)
