"""What Ctrl-C does: it ends the command soon, whatever Beam still waits for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 5.0
"""For an orderly end. Beam waits two minutes for workers that the same Ctrl-C has ended (measured with Beam 2.77)."""


class Interrupt:
    """Whether SIGINT has come: Beam may make an error of its own of the ``KeyboardInterrupt``."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self.has_come = False
        self._leave = leave
        self._timer = threading.Timer(GRACE_SECONDS, leave)
        self._timer.daemon = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handles the signal."""
        if self.has_come:
            self._leave()
            return
        self.has_come = True
        self._timer.start()
        raise KeyboardInterrupt

    def ended(self) -> None:
        """The command has ended by itself."""
        self._timer.cancel()


@contextmanager
def interruptible(exit_code: int, say: Callable[[], None]) -> Iterator[Interrupt]:
    """Raises ``KeyboardInterrupt`` at SIGINT; at a second one, or after some seconds, the process ends at once."""

    def leave() -> None:
        say()
        os._exit(exit_code)

    interrupt = Interrupt(leave)
    previous = signal.getsignal(signal.SIGINT)
    # only the main thread hears signals, and who has had them ignored (nohup) wants no interrupt
    if threading.current_thread() is not threading.main_thread() or previous is not signal.default_int_handler:
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        interrupt.ended()
        signal.signal(signal.SIGINT, previous)
