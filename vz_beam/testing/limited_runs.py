"""Cases run in processes of their own, so that crashes, hangs and hunger for memory end one case and not all."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from vz_beam.errors import VzBeamError

_BATCH = 50
"""Cases of one process: starting one takes as long as a few cases."""
OPENED = "opened"
CRASH, HANG, MEMORY, FOREIGN, WRONG = "crash", "hang", "memory", "foreign exception", "wrong result"
FAILURES = (CRASH, HANG, MEMORY, FOREIGN, WRONG)
_SHOWN_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What one case may take.

    Args:
        seconds: until it is killed.
        memory_bytes: of RAM beyond what the process has at its start.
        address_bytes: of memory that may be asked for beyond what the process has at its start, used or not; more of
            it is refused by the operating system.
    """

    seconds: float = 10
    memory_bytes: int = 2**30
    address_bytes: int = 2**32


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case ended.

    Args:
        number: of the case.
        outcome: ``OPENED``, the name of one of our errors, or one of ``FAILURES``.
        detail: the error, or what a failure looks like.
        seconds: that it took.
        memory_bytes: of RAM that it took on top.
    """

    number: int
    outcome: str
    detail: str = ""
    seconds: float = 0
    memory_bytes: int = 0

    @property
    def is_failure(self) -> bool:
        """Whether this must not happen, whatever the file."""
        return self.outcome in FAILURES


def run_cases(numbers: Sequence[int], run: Callable[[int], None], limits: Limits) -> Iterator[CaseResult]:
    """The result of ``run(number)`` for each of ``numbers``, in order.

    Args:
        numbers: of the cases.
        run: raises one of our errors, AssertionError for a result that is wrong, or nothing.
        limits: of one case.
    """
    done = 0
    while done < len(numbers):
        for result in _batch(numbers[done : done + _BATCH], run, limits):
            done += 1
            yield result


def _batch(numbers: Sequence[int], run: Callable[[int], None], limits: Limits) -> Iterator[CaseResult]:
    """Results up to the first case that ends its process, that one included."""
    out, into = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of numpy's libraries, which are idle here
        process = os.fork()
    if not process:
        try:
            os.close(out)
            _limit(limits)
            for number in numbers:
                signal.setitimer(signal.ITIMER_REAL, limits.seconds)
                result = _result(number, run, limits)
                os.write(into, json.dumps(asdict(result)).encode() + b"\n")
        finally:
            os._exit(0)  # neither buffers nor exit handlers of the parent are this process's business
    os.close(into)
    count = 0
    with os.fdopen(out, "rb") as lines:
        for line in lines:
            count += 1
            yield CaseResult(**json.loads(line))
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if count < len(numbers):
        name = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        outcome = HANG if status == -signal.SIGALRM else CRASH
        yield CaseResult(numbers[count], outcome, name, limits.seconds if outcome == HANG else 0)


def _limit(limits: Limits) -> None:
    faulthandler.disable()  # the parent tells of crashes
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a handler would wait for C code to come back
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    address_bytes = limits.address_bytes + _status_bytes("VmSize", 0)
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))


def _result(number: int, run: Callable[[int], None], limits: Limits) -> CaseResult:
    before, start = _peak_bytes(), time.perf_counter()
    outcome, detail = OPENED, ""
    try:
        run(number)
    except VzBeamError as error:
        outcome, detail = type(error).__name__, str(error)[:500]
    except AssertionError as error:
        outcome, detail = WRONG, str(error)[:500]
    except Exception as error:
        outcome, detail = FOREIGN, _told(error)
    seconds, taken = time.perf_counter() - start, _peak_bytes(reset=False) - before
    if taken > limits.memory_bytes and outcome not in FAILURES:
        outcome, detail = MEMORY, f"{taken / 2**20:.0f} MiB, then {outcome}: {detail}"
    return CaseResult(number, outcome, detail, round(seconds, 4), taken)


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_SHOWN_FRAMES:]
    where = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__}: {str(error)[:300]} at {where}"


def _peak_bytes(reset: bool = True) -> int:
    """The most RAM that this process had at once, since its start or the last reset, bytes."""
    if reset:
        with suppress(OSError), open("/proc/self/clear_refs", "w") as control:
            control.write("5")
    # not Linux: since the start of the process, so only the first case beyond the limit is told
    return _status_bytes("VmHWM", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _status_bytes(name: str, otherwise: int) -> int:
    """What Linux says of this process's memory, bytes; ``otherwise`` on other systems."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))
    except OSError:
        return otherwise
