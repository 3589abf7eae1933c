"""One chunk grid for inputs of uneven lengths or chunks, where bytes can be referenced in other pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.survey import Survey
from vz_beam.combine.witness import Witness
from vz_beam.manifests.axis_order import stored_order
from vz_beam.manifests.metadata import ArrayMetadata

_SMALL_BYTES = 1024
"""A chunk below this costs more to find than to read."""
_MANY_CHUNKS = 100_000
"""Chunks of an array that may be small: a Parquet file of references, read in 10 ms."""


class Cutting(NamedTuple):
    """What is to be said of chunks that are cut, and whether they would be too small and too many to be read."""

    text: str
    is_too_fine: bool


def cutting(
    path: str, own: Mapping[tuple[int, ...], Witness], common: tuple[int, ...], shape: tuple[int, ...], itemsize: int
) -> Cutting:
    """About cutting the chunks ``own`` of the array at ``path``, which has ``shape``, into ``common`` ones."""
    count = math.prod(-(-length // chunk) for length, chunk in zip(shape, common, strict=True))
    nbytes = math.prod(common) * itemsize
    whose = ", ".join(f"{chunk} in {witness.label}" for chunk, witness in list(own.items())[:2])
    pieces = f"{common} elements, {nbytes:,} bytes: {count:,} of them"
    if nbytes < _SMALL_BYTES and count > _MANY_CHUNKS:
        return Cutting(
            f"{path!r} has chunks of {whose}, and the largest that all inputs can be cut into have {pieces}, too many "
            f"to read (load it: loadable_variables=[{path!r}])",
            True,
        )
    return Cutting(f"the uncompressed chunks of {path!r}, {whose}, are cut into {pieces}", False)


def common_chunk_shape(
    survey: Survey, path: str, metadata: ArrayMetadata, dims: tuple[str, ...], order: Mapping[str, NDArray[np.int64]]
) -> tuple[int, ...]:
    """The largest chunks into which the chunks of all inputs can be cut, elements, so that they make one grid.

    Args:
        survey: of all inputs.
        path: of the array.
        metadata: of any input.
        dims: of the array.
        order: numbers along each concatenated dimension, in the order of their places.
    """
    group = path.rpartition("/")[0]
    shapes: list[int] = []
    cut = -1
    stored = stored_order(metadata)
    for axis, dim in enumerate(dims):
        pairs = _lengths_and_chunks(survey, path, axis, dim, survey.lengths[group, dim])
        ends = np.zeros(0, np.int64)
        if dim in order:
            placed = np.maximum(survey.lengths[group, dim][order[dim]], 0)
            ends = np.cumsum(placed[placed > 0])[:-1]
        chunk = _common_divisor(pairs, ends)
        if any(chunk != own for _, own in pairs):
            cut = max(cut, stored.index(axis))
        shapes.append(chunk)
    # the parts of a chunk are runs of bytes only where they are 1 long along all axes that vary more slowly
    return tuple(1 if stored.index(axis) < cut else chunk for axis, chunk in enumerate(shapes))


def _lengths_and_chunks(
    survey: Survey, path: str, axis: int, dim: str, lengths: NDArray[np.int64]
) -> set[tuple[int, int]]:
    """(length, chunk) of the inputs along one axis, elements; inputs without any are left out."""
    along = survey.axis(dim)
    found: set[tuple[int, int]] = set()
    for one in survey.alike:
        for form in one.form:
            if form.path == path and form.chunk_shape is not None:
                here = lengths[:1] if along is None else np.unique(lengths[one.numbers[:, along]])
                found.update((length, form.chunk_shape[axis]) for length in here.tolist() if length > 0)
    return found


def _common_divisor(pairs: set[tuple[int, int]], ends: NDArray[np.int64]) -> int:
    """The greatest length of chunks that begin where inputs end, and that lie in the chunks of each input.

    >>> _common_divisor({(31, 31), (28, 28)}, np.array([31, 59])), _common_divisor({(4, 2), (3, 2)}, np.array([4]))
    (1, 2)
    """
    several = [chunk for length, chunk in pairs if length > chunk]
    common = math.gcd(*several, *ends.tolist())
    if not common:
        chunks = {chunk for _, chunk in pairs}
        return chunks.pop() if len(chunks) == 1 else max((length for length, _ in pairs), default=1)
    for length, chunk in sorted(pairs):
        # of the last chunk all bytes have to be there, also those behind the end
        if length <= chunk < -(-length // common) * common:
            common = math.gcd(common, length)
    return common
