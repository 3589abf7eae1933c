"""Functions mapped by a pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from vz_beam.errors import FormatError
from vz_beam.transforms.beam_executor import BeamExecutor


def described(number: int, text: str) -> tuple[int, str, int]:
    return number, text, os.getpid()


def broken(number: int) -> int:
    raise FormatError(f"number {number} is broken")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_arguments(workers: int) -> None:
    with BeamExecutor(workers) as executor:
        results = list(executor.map(described, range(9), "abcdefghi"))
    assert [result[:2] for result in results] == list(zip(range(9), "abcdefghi", strict=True))
    assert (os.getpid() in {result[2] for result in results}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_a_function_is_raised_as_it_is(workers: int) -> None:
    with pytest.raises(FormatError, match=r"^number \d is broken$"):
        BeamExecutor(workers).map(broken, [1, 2])


def test_nothing_is_mapped_to_nothing_and_closures_are_taken() -> None:
    add: Callable[[int], int] = (lambda one: lambda number: number + one)(1)
    assert list(BeamExecutor().map(add, [])) == []
    assert list(BeamExecutor(2).map(add, [1, 2, 3])) == [2, 3, 4]
