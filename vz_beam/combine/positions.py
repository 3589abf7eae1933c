"""What a dimension coordinate says about the places of inputs: do they run one way, is something missing between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.canonical import is_cftime
from vz_beam.combine.loaded import MOST_LISTED

_SAME_STEP = 1e-3
"""Differences are the same step up to this part of it: coordinates are rounded, mostly to single precision."""
_SHORTEST_MONTH = 27 * 86400.0
"""Seconds: steps as long as this may be calendar months, or years, which have no one length."""


class PositionCheck(NamedTuple):
    """Problems, and what is worth a note."""

    problems: list[str]
    notes: list[str]


class Series(NamedTuple):
    """The pieces of a coordinate one after the other, those of empty inputs left out.

    Args:
        values: of all pieces.
        sizes: int64[pieces], elements.
        places: int64[pieces], that each has among all inputs, ascending.
    """

    values: NDArray[Any]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of_pieces(cls, pieces: Mapping[int, NDArray[Any]]) -> Series:
        """Of pieces by place, in the order of places."""
        filled = {place: array.ravel() for place, array in pieces.items() if array.size}
        sizes = np.array([array.size for array in filled.values()], np.int64)
        values = np.concatenate(list(filled.values())) if filled else np.empty(0)
        return cls(values, sizes, np.array(list(filled), np.int64))

    def without_missing(self) -> Series:
        """The same without NaN and NaT, which stand for inputs that a store lacks and say of no place where it is."""
        if self.values.dtype.kind not in "fmM" or not (is_missing := self.values != self.values).any():
            return self
        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)[~is_missing]
        sizes = np.bincount(owners, minlength=len(self.sizes))
        return Series(self.values[~is_missing], sizes[sizes > 0], self.places[sizes > 0])


def check_positions(
    name: str,
    dim: str,
    series: Series,
    label_of: Callable[[int], str],
    *,
    overlaps: str = "raise",
    gaps: str = "warn",
) -> PositionCheck:
    """Whether the pieces of a dimension coordinate run one way, with no step left out between them.

    Where every input has one and the same single value, the coordinate tells inputs apart no more than its absence
    would: that is a note.

    Args:
        name: path of the coordinate.
        dim: its dimension.
        series: its values.
        label_of: gives the name of an input by its place.
        overlaps: what becomes of pieces that overlap the one before, repeat it or run backwards: ``"raise"`` makes
            each a problem, ``"warn"`` a note, ``"keep"`` nothing.
        gaps: the same for places where a regular coordinate leaves out steps.
    """
    values, sizes, places = series.without_missing()
    if len(places) < 2 or not (values.dtype.kind in "iufmM" or is_cftime(values)):
        return PositionCheck([], [])
    firsts = np.cumsum(sizes) - sizes
    lows, highs = np.minimum.reduceat(values, firsts), np.maximum.reduceat(values, firsts)
    if (sizes == 1).all() and (lows == lows[0]).all():
        note = f"coordinate {name!r} is {lows[0]} in all {len(places)} inputs, and cannot tell their order"
        return PositionCheck([], [note])
    problems: list[str] = []
    notes: list[str] = []
    rising = _is_rising(values, firsts, sizes)
    good = highs[:-1] < lows[1:] if rising else lows[:-1] > highs[1:]
    told = {"raise": problems, "warn": notes, "keep": []}[overlaps]
    for one in np.flatnonzero(~good)[:MOST_LISTED].tolist():
        backwards = highs[one + 1] < lows[one] if rising else lows[one + 1] > highs[one]
        told.append(
            f"coordinate {name!r} {'runs backwards' if backwards else 'overlaps'} along {dim!r}: "
            f"{lows[one]} to {highs[one]} in {label_of(int(places[one]))}, then {lows[one + 1]} to {highs[one + 1]} in "
            f"{label_of(int(places[one + 1]))} (give each file once, in the order of this coordinate, or say "
            "order_by='coordinate'; overlaps='keep' takes them as they are)"
        )
    told = {"raise": problems, "warn": notes, "keep": []}[gaps]
    if gaps != "keep" and good.all():
        for one, count in _steps_left_out(values, firsts)[:MOST_LISTED]:
            if places[one + 1] == places[one] + 1:  # else an input is absent there, which is told as such
                told.append(
                    f"coordinate {name!r} has a gap along {dim!r}: {_steps(count)} left out between "
                    f"{values[firsts[one + 1] - 1]} in {label_of(int(places[one]))} and {values[firsts[one + 1]]} in "
                    f"{label_of(int(places[one + 1]))} (add the files between; gaps='keep' takes it as it is)"
                )
    return PositionCheck(problems, notes)


def _is_rising(values: NDArray[Any], firsts: NDArray[np.int64], sizes: NDArray[np.int64]) -> bool:
    longer = np.flatnonzero(sizes > 1)
    if not len(longer):
        return bool(values[0] <= values[-1])
    start = firsts[longer[0]]
    return bool(values[start] <= values[start + sizes[longer[0]] - 1])


def _steps_left_out(values: NDArray[Any], firsts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(place of the input before, number of steps) of each gap; nothing where the coordinate is not regular."""
    for steps in _differences(values):
        if (found := _regular_step(steps)) is None:
            continue
        between = steps[firsts[1:] - 1]
        counts = np.rint(between / found).astype(np.int64) - 1
        return [(int(one), int(counts[one])) for one in np.flatnonzero(counts > 0)]
    return []


def _differences(values: NDArray[Any]) -> list[NDArray[np.float64]]:
    """float64[n - 1]: from each value to the next; for long steps of time also in calendar months."""
    if values.dtype.kind in "iuf":
        return [np.diff(values.astype(np.float64))]
    if values.dtype.kind == "O":
        steps = np.array([(b - a).total_seconds() for a, b in itertools.pairwise(values)])
        months = np.diff(np.array([12.0 * value.year + value.month for value in values]))
    else:
        steps = np.diff(values) / np.timedelta64(1, "s")
        months = np.diff(values.astype("M8[M]").astype(np.float64)) if values.dtype.kind == "M" else steps
    return [steps, months] if np.abs(steps).min() >= _SHORTEST_MONTH else [steps]


def _regular_step(steps: NDArray[np.float64]) -> float | None:
    """The step of a regular coordinate: two thirds of the differences have it, the others are multiples of it.

    >>> _regular_step(np.array([1.0, 1, 3, 1])), _regular_step(np.array([1.0, 2, 4, 8])), _regular_step(np.array([5.0]))
    (1.0, None, None)
    """
    if len(steps) < 3 or not np.isfinite(steps).all():
        return None
    step = float(np.median(steps))
    if not step:
        return None
    ratio = steps / step
    whole = np.abs(ratio - np.rint(ratio)) <= _SAME_STEP * np.maximum(1, np.abs(ratio))
    regular = np.rint(ratio) == 1
    return step if whole.all() and (ratio > 0).all() and regular.mean() >= 2 / 3 else None


def _steps(count: int) -> str:
    return "1 step is" if count == 1 else f"{count:,} steps are"
