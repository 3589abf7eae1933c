"""Which elements a selection of a dataspace means: those of virtual datasets and of their sources.

Source: HDF5 file format specification 3.0, sections VIII.A, "Dataspace Selection", and IV.A.2.i, "Virtual Storage".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from h5py import h5s
from numpy.typing import NDArray

from vz_beam.errors import UnsupportedError

UNLIMITED = int(h5s.UNLIMITED) % 2**64
_MOST_POINTS = 2**20
"""Elements of a selection that is no regular one: they are listed, 8 bytes a dimension, and can only be inlined."""


@dataclass(frozen=True, slots=True)
class AxisSelection:
    """Positions along one axis: ``count`` blocks of ``block`` elements each, ``stride`` apart, from ``start``.

    Blocks that touch are one block. ``count``, or ``block`` where it is one, can be ``UNLIMITED``.
    """

    start: int
    stride: int
    count: int
    block: int

    def __post_init__(self) -> None:
        if self.count != 1 and self.block == self.stride:
            block = UNLIMITED if self.count == UNLIMITED else self.block * self.count
            object.__setattr__(self, "block", block)
            object.__setattr__(self, "count", 1)

    @property
    def is_unlimited(self) -> bool:
        """Whether it goes on for ever."""
        return UNLIMITED in (self.count, self.block)

    @property
    def length(self) -> int:
        """Number of positions."""
        assert not self.is_unlimited
        return self.count * self.block

    def length_below(self, stop: int) -> int:
        """Number of positions below ``stop``.

        >>> AxisSelection(1, 4, UNLIMITED, 2).length_below(6), AxisSelection(1, 1, 1, UNLIMITED).length_below(6)
        (3, 5)
        """
        room = max(stop - self.start, 0)
        if self.count == 1:
            return min(room, self.block)
        blocks, rest = divmod(room, self.stride)
        length = blocks * self.block + min(rest, self.block)
        return length if self.count == UNLIMITED else min(length, self.length)

    def positions(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of the elements ``numbers``, counted along the selection."""
        if self.count == 1:
            return numbers + self.start
        return self.start + numbers // self.block * self.stride + numbers % self.block

    def stop(self, length: int) -> int:
        """Where the first ``length`` elements end."""
        return int(self.positions(np.array(length - 1))) + 1 if length else 0

    def cuts(self, length: int) -> NDArray[np.int64]:
        """The numbers, among the first ``length`` elements, at which blocks begin."""
        return np.arange(0, length, length if self.count == 1 else self.block) if length else np.empty(0, np.int64)

    def within(self, length: int) -> AxisSelection:
        """Its first ``length`` elements, of which the last block may be a part, so that blocks of one remain."""
        if length == 0 or self.count == 1:
            return replace(self, count=1, block=length)
        if length % self.block:
            raise UnsupportedError("an unlimited selection ends within one of its blocks")
        return replace(self, count=length // self.block)


@dataclass(frozen=True, slots=True)
class Selection:
    """Elements of one dataspace, in the order in which HDF5 takes them.

    Args:
        axes: a regular selection; empty where it is none, and for scalars.
        points: int64[n, rank], the elements of a selection that is not regular.
        is_all: whether it means the whole dataspace, of whatever shape that is.
    """

    axes: tuple[AxisSelection, ...]
    points: NDArray[np.int64] | None = None
    is_all: bool = False

    @property
    def unlimited_axis(self) -> int | None:
        """The axis along which it goes on for ever."""
        return next((number for number, axis in enumerate(self.axes) if axis.is_unlimited), None)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of positions along each axis, or the number of points."""
        return (len(self.points),) if self.points is not None else tuple(axis.length for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.lengths)

    def with_axis(self, number: int, axis: AxisSelection) -> Selection:
        """The same with another selection along one axis."""
        return replace(self, axes=(*self.axes[:number], axis, *self.axes[number + 1 :]))

    def coordinates(self) -> NDArray[np.int64]:
        """All elements, int64[size, rank].

        Raises:
            UnsupportedError: too many to be listed.
        """
        if self.points is not None:
            return self.points
        _check_listed(self.size)
        along = [axis.positions(np.arange(axis.length)) for axis in self.axes]
        grid = np.meshgrid(*along, indexing="ij") if along else [np.zeros(())]
        return np.stack([part.ravel() for part in grid], axis=1).astype(np.int64)


def whole(shape: tuple[int, ...]) -> Selection:
    """All elements of ``shape``."""
    return Selection(tuple(AxisSelection(0, 1, 1, length) for length in shape), is_all=True)


def selection_of(space: h5s.SpaceID) -> Selection | None:
    """What is selected in ``space``; ``None`` where that is nothing.

    Raises:
        UnsupportedError: an irregular selection of too many elements.
    """
    kind = space.get_select_type()
    if kind == h5s.SEL_NONE:
        return None
    if kind == h5s.SEL_ALL:
        return whole(space.get_simple_extent_dims())
    if kind == h5s.SEL_HYPERSLABS and space.is_regular_hyperslab():
        start, stride, count, block = space.get_regular_hyperslab()
        axes = tuple(
            AxisSelection(*(int(number) for number in numbers))
            for numbers in zip(start, stride, count, block, strict=True)
        )
        return Selection(axes)
    if kind != h5s.SEL_HYPERSLABS:
        raise UnsupportedError(
            f"a selection of kind {kind}, which virtual datasets of HDF5 2 cannot have, is not known"
        )
    _check_listed(int(space.get_select_npoints()))
    return Selection((), _points_of(space.get_select_hyper_blocklist()))


def _points_of(blocks: Any) -> NDArray[np.int64]:
    """The elements of blocks [first corner, last corner], in C order as HDF5 takes them."""
    parts = []
    for first, last in np.asarray(blocks, np.int64).tolist():
        ranges = [np.arange(start, stop + 1) for start, stop in zip(first, last, strict=True)]
        parts.append(np.stack([part.ravel() for part in np.meshgrid(*ranges, indexing="ij")], axis=1))
    points: NDArray[np.int64] = np.concatenate(parts)
    return points[np.lexsort(points.T[::-1])]


def _check_listed(count: int) -> None:
    if count > _MOST_POINTS:
        raise UnsupportedError(f"a selection of {count} elements is not one of regular blocks")
