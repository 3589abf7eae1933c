"""Other shapes of virtual arrays, where each chunk stays the same elements in the same order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vz_beam.errors import ManifestError
from vz_beam.manifests.axis_order import TRANSPOSE, normal_axis
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import check_even

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray


def squeeze(a: ManifestArray, axis: int | Sequence[int] | None = None) -> ManifestArray:
    """The array without its axes of length 1, or without those named, whose chunks must be 1 long or can be cut."""
    if axis is None:
        axes = {place for place, length in enumerate(a.shape) if length == 1}
    else:
        axes = {normal_axis(place, a.ndim) for place in (axis if isinstance(axis, (tuple, list)) else (axis,))}
    if long := [place for place in axes if a.shape[place] != 1]:
        raise ManifestError(f"axis {long[0]} has {a.shape[long[0]]} elements: only axes of length 1 can be dropped")
    return a[tuple(0 if place in axes else slice(None) for place in range(a.ndim))]


def reshape(a: ManifestArray, shape: int | Sequence[int], order: str = "C", copy: bool | None = None) -> ManifestArray:
    """The array in another shape of as many elements, in C order, as :func:`numpy.reshape`.

    Axes of length 1 come and go, neighbouring axes become one, and one becomes several, where chunks allow: a chunk
    must be a run of elements of the merged axis.

    Raises:
        ManifestError: chunks that would become parts of several, with both shapes.
    """
    wanted = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
    if order not in ("C", "A"):
        raise ManifestError(f"reshape in order {order!r} would move elements: only 'C' is possible")
    if wanted.count(-1) == 1 and a.size:
        known = math.prod(length for length in wanted if length != -1)
        wanted = tuple(a.size // known if length == -1 and known else length for length in wanted)
    if wanted == a.shape:
        return a
    check_even(a.metadata)
    if math.prod(wanted) != a.size or min(wanted, default=0) < 0:
        raise ManifestError(f"{a.size} elements of shape {a.shape} do not make shape {wanted}")
    metadata = a.metadata
    serializer = metadata.serializer
    if any(codec.name == TRANSPOSE for codec in metadata.codecs) or (
        serializer and "chunk_shape" in serializer.configuration
    ):
        raise ManifestError("a transposed or sharded array keeps its number of axes: reshape it before, or when read")
    chunk_shape: list[int] = []
    for own, new in _groups(a.shape, wanted):
        merged = _merged([(a.shape[axis], metadata.chunk_shape[axis]) for axis in own])
        chunks = None if merged is None else _split([wanted[axis] for axis in new], *merged)
        if chunks is None:
            raise ManifestError(
                f"shape {a.shape} in chunks of {metadata.chunk_shape} cannot become {wanted}: chunks would be parts of "
                "several. Reshape after opening the written store"
            )
        chunk_shape += chunks
    new_metadata = replace(metadata, shape=wanted, chunk_shape=tuple(chunk_shape), dimension_names=None)
    grid_shape, manifest = new_metadata.chunk_grid.grid_shape, a.manifest
    if not manifest.nrefs:
        return type(a)(new_metadata, ChunkManifest.empty(grid_shape))
    columns = (manifest.location_ids, manifest.offsets, manifest.lengths)
    ids, offsets, lengths = (column.reshape(grid_shape) for column in columns)
    return type(a)(
        new_metadata, ChunkManifest.from_columns(manifest.locations, ids, offsets, lengths, manifest.inlined)
    )


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> Iterator[tuple[list[int], list[int]]]:
    """The smallest runs of axes of both shapes that have as many elements, by their numbers."""
    if 0 in old:
        yield list(range(len(old))), list(range(len(new)))
        return
    i = j = 0
    while i < len(old) or j < len(new):
        own, other = [i] if i < len(old) else [], [j] if j < len(new) else []
        i, j = i + len(own), j + len(other)
        while (left := math.prod(old[k] for k in own)) != (right := math.prod(new[k] for k in other)):
            if left < right:
                own.append(i)
                i += 1
            else:
                other.append(j)
                j += 1
        yield own, other


def _merged(axes: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Length and chunk length of axes made one; ``None`` where chunks are no runs of its elements.

    >>> _merged([(4, 1), (6, 3)]), _merged([(4, 2), (6, 6)]), _merged([(4, 2), (6, 3)])
    ((24, 3), (24, 12), None)
    """
    length, chunk = 1, 1
    for number, (more, part) in enumerate(axes):
        if number == 0 or length == chunk == 1:
            length, chunk = more, part
        elif chunk == 1 and more % part == 0:
            length, chunk = length * more, part
        elif part == more:
            length, chunk = length * more, chunk * more
        else:
            return None
    return length, chunk


def _split(lengths: list[int], length: int, chunk: int) -> list[int] | None:
    """Chunk lengths of one axis made several; ``None`` where chunks are no blocks of them.

    >>> _split([4, 6], 24, 3), _split([4, 6], 24, 12), _split([4, 6], 24, 4)
    ([1, 3], [2, 6], None)
    """
    chunks: list[int] = []
    for place, own in enumerate(lengths[::-1]):
        rest = math.prod(lengths[: len(lengths) - 1 - place])
        if rest == 1 or chunk == 1 or own % chunk == 0:
            chunks.append(chunk)
            chunk = 1
        elif chunk % own == 0:
            chunks.append(own)
            chunk //= own
        else:
            return None
    return chunks[::-1] if chunk == 1 else None
