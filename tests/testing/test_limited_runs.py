from __future__ import annotations

import os
import signal
import time

import pytest

from vz_beam.errors import FormatError
from vz_beam.testing.limited_runs import CRASH, FOREIGN, HANG, MEMORY, OPENED, WRONG, Limits, run_cases


def ended(number: int) -> None:
    """Cases that end in each way there is."""
    match number:
        case 1:
            raise FormatError("a.h5 is damaged")
        case 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 3:
            time.sleep(60)
        case 4:
            len(b"x" * (60 * 2**20))
        case 5:
            raise KeyError("x")
        case 6:
            raise AssertionError("chunks reach over the end")


def test_each_way_to_end_is_told_and_the_others_go_on() -> None:
    results = list(run_cases(range(9), ended, Limits(seconds=2, memory_bytes=30 * 2**20)))
    assert [result.number for result in results] == list(range(9))
    outcomes = [OPENED, "FormatError", CRASH, HANG, MEMORY, FOREIGN, WRONG, OPENED, OPENED]
    assert [result.outcome for result in results] == outcomes
    assert [result.is_failure for result in results] == [False, False, *[True] * 5, False, False]
    assert results[2].detail == "SIGSEGV"
    assert "KeyError: 'x' at test_limited_runs.py" in results[5].detail


def ask_for_too_much(_: int) -> None:
    bytearray(2**40)


def test_memory_that_is_asked_for_is_limited() -> None:
    (result,) = run_cases([0], ask_for_too_much, Limits())
    assert (result.outcome, result.detail[:11]) == (FOREIGN, "MemoryError")


@pytest.mark.parametrize("count", [0, 1, 130])
def test_cases_run_in_order_whatever_their_number(count: int) -> None:
    assert [result.number for result in run_cases(range(count), lambda _: None, Limits())] == list(range(count))
