"""An input as errors and notes name it."""

from __future__ import annotations

from typing import NamedTuple


class Witness(NamedTuple):
    """An input that can be named in an error: its numbers along the pattern's dimensions, and its URL."""

    numbers: tuple[int, ...]
    label: str
