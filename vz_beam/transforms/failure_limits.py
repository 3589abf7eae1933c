"""How many inputs may fail."""

from __future__ import annotations

from vz_beam.errors import InputError

MaxFailures = int | float | None
"""A number of inputs, a share of them, or any number."""


def check_max_failures(max_failures: MaxFailures) -> None:
    """Refuses what is neither a number of inputs nor a share of them.

    Raises:
        InputError: such a value.
    """
    is_share = type(max_failures) is float and 0 <= max_failures <= 1
    is_number = type(max_failures) is int and max_failures >= 0
    if max_failures is not None and not is_number and not is_share:
        raise InputError(f"max_failures={max_failures!r} is neither a number of inputs, nor a share from 0.0 to 1.0")


def is_too_many(failed: int, inputs: int, max_failures: MaxFailures) -> bool:
    """Whether more of the inputs failed than may.

    >>> is_too_many(3, 10, 2), is_too_many(3, 10, 0.3), is_too_many(3, 10, None)
    (True, False, False)
    """
    if max_failures is None:
        return False
    return failed > (max_failures if type(max_failures) is int else max_failures * inputs)
