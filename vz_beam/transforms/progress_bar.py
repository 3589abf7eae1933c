"""Progress of a run on this machine: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TextIO

from vz_beam.transforms.progress_log import Progress, ProgressLog

TERMINAL_SECONDS = 0.2
PLAIN_SECONDS = 10.0
"""A log file wants few lines, an eye wants movement."""
BAR_WIDTH = 24


class ProgressBar:
    """Shows what a :class:`ProgressLog` says while its ``with`` block runs.

    Args:
        log: where workers note what they did.
        total: number of files, 0 where that is not known.
        stream: where to show it; standard error by default.
    """

    def __init__(self, log: ProgressLog, total: int, stream: TextIO | None = None) -> None:
        self._log = log
        self._total = total
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = 0.0

    def __enter__(self) -> ProgressBar:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._show(last=True)

    def _run(self) -> None:
        while not self._stop.wait(TERMINAL_SECONDS if self._is_terminal else PLAIN_SECONDS):
            self._show()

    def _show(self, last: bool = False) -> None:
        text = describe(self._log.read(), self._total, time.monotonic() - self._started, bar=self._is_terminal)
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


def describe(progress: Progress, total: int, seconds: float, *, bar: bool) -> str:
    """One line: files of how many, references, failures, files per second, time left.

    >>> describe(Progress(50, 12000, 1), 102, 10.0, bar=False)
    '51 of 102 files, 12,000 references, 1 failed, 5.1 files/s, 0:10 left'
    """
    done = progress.files + progress.failures
    rate = done / seconds if seconds > 0 else 0.0
    parts = [
        f"{done:,} of {total:,} files" if total else f"{done:,} files",
        f"{progress.references:,} references",
        f"{progress.failures:,} failed",
        f"{rate:.1f} files/s",
    ]
    if total and done == total:
        parts.append("writing the store" if bar else f"opened in {_clock(seconds)}")
    elif total and rate:
        parts.append(f"{_clock((total - done) / rate)} left")
    text = ", ".join(parts)
    if not (bar and total):
        return text
    filled = min(BAR_WIDTH, BAR_WIDTH * done // total)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
