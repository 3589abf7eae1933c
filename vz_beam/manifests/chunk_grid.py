"""How an array is cut into chunks: ``grid_shape`` is always ``ceil(shape / chunk_shape)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vz_beam.errors import ManifestError


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """A regular grid over ``shape`` elements in chunks of ``chunk_shape`` elements.

    Edge chunks that reach over the shape are full chunks, as in HDF5 and Zarr.

    >>> ChunkGrid((5, 6), (2, 3)).grid_shape
    (3, 2)
    >>> ChunkGrid((), ()).size
    1
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]

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

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Number of chunks along each dimension; 0 where the array has no elements."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True))

    @property
    def size(self) -> int:
        """Number of chunks."""
        return math.prod(self.grid_shape)

    def is_partial(self, axis: int) -> bool:
        """Whether the last chunk along ``axis`` reaches over the shape."""
        return self.shape[axis] % self.chunk_shape[axis] != 0


def _lengths(lengths: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(int, lengths))
