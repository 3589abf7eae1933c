"""How an array is cut into chunks, evenly or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vz_beam.errors import ManifestError

_MOST_CHUNKS = 100_000_000
"""Of several lengths along one axis: each takes 16 bytes of memory."""


class UnevenChunks:
    """Chunks of any lengths along one axis, as Zarr's rectilinear grids have them.

    Args:
        lengths: int64[chunks], elements, each at least 1. The last chunk may reach over the array's shape.

    Attributes:
        starts: int64[chunks], elements, where each begins.
        longest: elements of the longest chunk.

    Raises:
        ManifestError: no chunk, or a length below 1.

    >>> UnevenChunks([31, 28, 31]).starts.tolist()
    [0, 31, 59]
    """

    __slots__ = ("lengths", "longest", "starts")

    def __init__(self, lengths: ArrayLike) -> None:
        self.lengths = np.array(lengths, np.int64)
        if self.lengths.ndim != 1 or not len(self.lengths) or self.lengths.min() < 1:
            raise ManifestError(f"uneven chunks need lengths of at least 1, not {lengths!r}")
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.longest = int(self.lengths.max())
        self.lengths.flags.writeable = self.starts.flags.writeable = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnevenChunks) and np.array_equal(self.lengths, other.lengths)

    def __hash__(self) -> int:
        return hash(self.lengths.tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        return (UnevenChunks, (self.lengths,))

    def __repr__(self) -> str:
        return f"{len(self.lengths):,} of {self.span}"

    @property
    def span(self) -> str:
        """The shortest and the longest length.

        >>> UnevenChunks([31, 28, 31]).span
        '28-31'
        """
        return f"{self.lengths.min()}-{self.longest}"

    @property
    def stop(self) -> int:
        """Elements, where the last chunk ends."""
        return int(self.starts[-1] + self.lengths[-1])

    def runs(self) -> list[list[int]]:
        """Equal lengths that follow each other, as ``[length, count]``.

        >>> UnevenChunks([4, 4, 2]).runs()
        [[4, 2], [2, 1]]
        """
        first = np.flatnonzero(np.diff(self.lengths, prepend=0))
        counts = np.diff(first, append=len(self.lengths))
        return np.stack([self.lengths[first], counts], axis=1).tolist()  # type: ignore[no-any-return]

    @classmethod
    def of_runs(cls, runs: Iterable[int | Sequence[int]], size: int | None = None) -> UnevenChunks:
        """What :meth:`runs` gives, in which a number may stand for a run of one.

        Args:
            runs: lengths, or pairs of a length and how many of it follow each other.
            size: elements, from which on chunks hold nothing and are left out.

        Raises:
            ManifestError: something else, or more chunks than memory should hold.
        """
        lengths: list[int] = []
        counts: list[int] = []
        stop = 0
        for run in runs:
            length, count = (run, 1) if isinstance(run, int) else tuple(run)
            if type(length) is not int or type(count) is not int or min(length, count) < 1:
                raise ManifestError(f"{run!r} is no run of chunks: a length, or [length, count], each at least 1")
            if size is not None:
                count = min(count, max(-(-(size - stop) // length), 0 if lengths else 1))
            stop += length * count
            lengths.append(length)
            counts.append(count)
        if sum(counts) > _MOST_CHUNKS:
            raise ManifestError(f"{sum(counts):,} uneven chunks along one axis, more than {_MOST_CHUNKS:,}")
        return cls(np.repeat(np.array(lengths, np.int64), counts))


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """The chunks of an array of ``shape`` elements.

    Edge chunks that reach over the shape are full chunks, as in HDF5 and Zarr.

    Args:
        shape: elements.
        chunk_shape: elements; of the longest chunk along the axes in ``uneven``.
        uneven: by axis, where chunks are not all of one length; the grid is rectilinear then, and regular otherwise.

    Raises:
        ManifestError: lengths that do not fit each other.

    >>> ChunkGrid((5, 6), (2, 3)).grid_shape
    (3, 2)
    >>> ChunkGrid((5, 6), (4, 3), {0: UnevenChunks([4, 1])}).grid_shape
    (2, 2)
    >>> ChunkGrid((), ()).size
    1
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    uneven: Mapping[int, UnevenChunks] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _lengths(self.shape))
        object.__setattr__(self, "chunk_shape", _lengths(self.chunk_shape))
        if len(self.shape) != len(self.chunk_shape):
            raise ManifestError(
                f"shape {self.shape} has {len(self.shape)} dimensions, "
                f"chunk shape {self.chunk_shape} has {len(self.chunk_shape)}"
            )
        if min(self.shape, default=0) < 0:
            raise ManifestError(f"shape {self.shape} has a negative length")
        if min(self.chunk_shape, default=1) < 1:
            raise ManifestError(f"chunk shape {self.chunk_shape} has a length below 1")
        for axis, chunks in self.uneven.items():
            length, longest = self.shape[axis], self.chunk_shape[axis]
            if not chunks.starts[-1] < length <= chunks.stop or chunks.longest != longest:
                raise ManifestError(
                    f"{length} elements along axis {axis}, in chunks of up to {longest}, are not in these: {chunks}"
                )

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Number of chunks along each dimension; 0 where the array has no elements."""
        regular = (-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True))
        return tuple(
            len(self.uneven[axis].lengths) if axis in self.uneven else count for axis, count in enumerate(regular)
        )

    @property
    def size(self) -> int:
        """Number of chunks."""
        return math.prod(self.grid_shape)

    @property
    def shown(self) -> str:
        """The shape of chunks for people.

        >>> ChunkGrid((59, 6), (31, 3), {0: UnevenChunks([31, 28])}).shown
        '28-31 x 3'
        """
        texts = [
            self.uneven[axis].span if axis in self.uneven else str(length)
            for axis, length in enumerate(self.chunk_shape)
        ]
        return " x ".join(texts)

    def is_partial(self, axis: int) -> bool:
        """Whether the last chunk along ``axis`` reaches over the shape."""
        return self.stop(axis, self.grid_shape[axis] - 1) > self.shape[axis] if self.shape[axis] else False

    def start(self, axis: int, place: int) -> int:
        """Elements along ``axis``, where the chunk at ``place`` begins."""
        return int(self.uneven[axis].starts[place]) if axis in self.uneven else place * self.chunk_shape[axis]

    def length(self, axis: int, place: int) -> int:
        """Elements of the chunk at ``place`` along ``axis``, those over the shape included."""
        return int(self.uneven[axis].lengths[place]) if axis in self.uneven else self.chunk_shape[axis]

    def stop(self, axis: int, place: int) -> int:
        """Elements along ``axis``, where the chunk at ``place`` ends, be it over the shape."""
        return self.start(axis, place) + self.length(axis, place)

    def place(self, axis: int, element: int) -> int:
        """Which chunk along ``axis`` an element is in."""
        if axis in self.uneven:
            return int(np.searchsorted(self.uneven[axis].starts, element, "right")) - 1
        return element // self.chunk_shape[axis]

    def places(self, axis: int, start: int, stop: int) -> range:
        """The chunks along ``axis`` that have any of the elements from ``start`` to ``stop``."""
        return range(self.place(axis, start), self.place(axis, stop - 1) + 1) if stop > start else range(0)

    def region(self, places: Sequence[int]) -> tuple[slice, ...]:
        """The elements of a chunk that are in the array."""
        return tuple(self._along(axis, place) for axis, place in enumerate(places))

    def clipped(self, axis: int) -> tuple[int, ...]:
        """Elements in each chunk along ``axis``, without those over the shape."""
        sizes = (slice_.stop - slice_.start for slice_ in (self._along(axis, i) for i in range(self.grid_shape[axis])))
        return tuple(sizes)

    def _along(self, axis: int, place: int) -> slice:
        return slice(self.start(axis, place), min(self.stop(axis, place), self.shape[axis]))

    def chunk_shape_at(self, places: Sequence[int]) -> tuple[int, ...]:
        """Elements of one chunk as it is stored."""
        return tuple(self.length(axis, place) for axis, place in enumerate(places))


def _lengths(lengths: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(int, lengths))
