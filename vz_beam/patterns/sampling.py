"""Some inputs of a pattern that stand for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vz_beam.patterns.index import Index


def sampled(pairs: Sequence[tuple[Index, str]], count: int) -> list[tuple[Index, str]]:
    """About ``count`` of the inputs, evenly spaced along the longest dimension, the first and last among them.

    Of each chosen place along that dimension all inputs are taken, so that the other dimensions stay whole.

    >>> from vz_beam.patterns import ConcatDim, FilePattern
    >>> pattern = FilePattern(lambda time: f"{time}.nc", ConcatDim("time", list(range(9))))
    >>> [url for _, url in sampled(list(pattern.items()), 3)]
    ['0.nc', '4.nc', '8.nc']
    """
    if count >= len(pairs) or not pairs[0][0].positions:
        return list(pairs)
    axes = range(len(pairs[0][0].positions))
    places = [sorted({index.numbers[axis] for index, _ in pairs}) for axis in axes]
    longest = max(axes, key=lambda axis: len(places[axis]))
    several = math.ceil(len(pairs) / len(places[longest]))
    chosen = max(2, count // several) if count > 1 else 1
    last = len(places[longest]) - 1
    numbers = {places[longest][round(step * last / max(1, chosen - 1))] for step in range(min(chosen, last + 1))}
    return [(index, url) for index, url in pairs if index.numbers[longest] in numbers]
