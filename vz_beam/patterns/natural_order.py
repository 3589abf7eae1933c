"""The order that people expect of numbered names: ``a2`` before ``a10``."""

from __future__ import annotations

import re

_NUMBER = re.compile("([0-9]+)")


def natural_key(name: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """A sort key that compares runs of digits as numbers; names that differ only in leading zeros go by text.

    >>> sorted(["a10.nc", "a9.nc", "a010.nc"], key=natural_key)
    ['a9.nc', 'a010.nc', 'a10.nc']
    """
    parts = _NUMBER.split(name)  # texts at even places, digits at odd ones: like is compared with like
    return tuple(_number(part) if place % 2 else part for place, part in enumerate(parts)), name


def _number(digits: str) -> tuple[int, str]:
    significant = digits.lstrip("0")
    return len(significant), significant
