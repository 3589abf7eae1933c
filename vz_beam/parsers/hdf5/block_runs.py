"""Where a mapping lies on the chunk grids of a virtual dataset and of a source, axis by axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vz_beam.parsers.hdf5.selections import AxisSelection, Selection


@dataclass(frozen=True, slots=True)
class Runs:
    """Elements that follow each other on both sides: ``lengths[i]`` from ``virtual[i]`` on, and from ``source[i]``.

    All int64[n], elements.
    """

    virtual: NDArray[np.int64]
    source: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AxisPairs:
    """Which axis of a source runs along which axis of the virtual dataset.

    ``sources[a]`` is the axis of the source along axis ``a`` of the virtual dataset, ``None`` where the mapping has
    one element along it; ``runs[a]`` is ``None`` there. ``lone`` are the other axes of the source, with the position
    that is taken of each.
    """

    sources: tuple[int | None, ...]
    runs: tuple[Runs | None, ...]
    lone: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]


def axis_pairs(virtual: Selection, source: Selection) -> AxisPairs | None:
    """How two selections of equal size run along each other; ``None`` where they do not do so axis by axis."""
    if virtual.points is not None or source.points is not None:
        return None
    ours, theirs = virtual.lengths, source.lengths
    if ours == theirs:
        places: dict[int, int] = {axis: axis for axis in range(len(ours))}
    else:
        long_ours = [axis for axis, length in enumerate(ours) if length != 1]
        long_theirs = [axis for axis, length in enumerate(theirs) if length != 1]
        if [ours[axis] for axis in long_ours] != [theirs[axis] for axis in long_theirs]:
            return None
        places = dict(zip(long_ours, long_theirs, strict=True))
    taken = set(places.values())
    return AxisPairs(
        tuple(places.get(axis) for axis in range(len(ours))),
        tuple(
            _runs(virtual.axes[axis], source.axes[places[axis]]) if axis in places else None
            for axis in range(len(ours))
        ),
        tuple((axis, along.start) for axis, along in enumerate(source.axes) if axis not in taken),
        tuple(along.start for along in virtual.axes),
    )


def common_chunk_length(runs: Runs, virtual_length: int, source_chunk_length: int) -> int:
    """The longest chunk, elements, on whose borders all runs begin and end, and which divides the source's chunks.

    What reaches to the end of the virtual dataset may end anywhere: the rest of the last chunk is out of sight.

    >>> runs = Runs(np.array([0, 6]), np.array([0, 6]), np.array([6, 5]))
    >>> common_chunk_length(runs, 11, 12), common_chunk_length(runs, 20, 12)
    (6, 1)
    """
    inner = runs.lengths[runs.virtual + runs.lengths != virtual_length]
    return int(np.gcd.reduce(np.concatenate([runs.virtual, runs.source, inner, [source_chunk_length]])))


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    """Chunk numbers along one axis: ``virtual[i]`` is all of ``source[i]``; ``touched`` also holds chunks in part."""

    virtual: NDArray[np.int64]
    source: NDArray[np.int64]
    touched: NDArray[np.int64]


def chunk_columns(runs: Runs, virtual_length: int, chunk_length: int) -> ChunkColumns:
    """The chunks along one axis that runs fill, and those that they touch; chunks are as long on both sides.

    >>> columns = chunk_columns(Runs(np.array([4]), np.array([0]), np.array([7])), 20, 4)
    >>> columns.virtual.tolist(), columns.source.tolist(), columns.touched.tolist()
    ([1], [0], [1, 2])
    """
    ends = runs.virtual + runs.lengths
    first = -(-runs.virtual // chunk_length)
    last = np.where(ends == virtual_length, -(-ends // chunk_length), ends // chunk_length)
    aligned = (runs.virtual - runs.source) % chunk_length == 0
    counts = np.where(aligned, np.maximum(last - first, 0), 0)
    virtual = _ranges(first, counts)
    shift = np.repeat((runs.virtual - runs.source) // chunk_length, counts)
    touched_first = runs.virtual // chunk_length
    touched = np.unique(_ranges(touched_first, -(-ends // chunk_length) - touched_first))
    return ChunkColumns(virtual, virtual - shift, touched)


def dividing_chunk(chunk_shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The largest chunk that divides both, and whose bytes follow each other within a chunk of ``chunk_shape``.

    >>> dividing_chunk((10, 20), (5, 20)), dividing_chunk((10, 20), (10, 5))
    ((5, 20), (1, 5))
    """
    parts = [math.gcd(length, part) for length, part in zip(chunk_shape, wanted, strict=True)]
    cut = next((axis for axis in reversed(range(len(parts))) if parts[axis] != chunk_shape[axis]), 0)
    return (1,) * cut + tuple(parts[cut:])


def _runs(virtual: AxisSelection, source: AxisSelection) -> Runs:
    length = virtual.length
    cuts = np.union1d(virtual.cuts(length), source.cuts(length)).astype(np.int64)
    return Runs(virtual.positions(cuts), source.positions(cuts), np.diff(np.append(cuts, length)))


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """``starts[i]`` and the ``counts[i] - 1`` numbers after it, for all ``i``."""
    if not len(starts):
        return np.empty(0, np.int64)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    numbers: NDArray[np.int64] = np.repeat(starts, counts) + np.arange(int(counts.sum())) - before
    return numbers
