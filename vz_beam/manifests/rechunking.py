"""Other chunks for uncompressed arrays, out of the same bytes: smaller ones, and neighbours made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import ManifestError
from vz_beam.manifests.axis_order import stored_order
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.chunk_selection import AxisPart, check_bytes_are_elements, take
from vz_beam.manifests.metadata import check_even

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray


def rechunked(array: ManifestArray, chunk_shape: Sequence[int]) -> ManifestArray:
    """The same values in chunks of ``chunk_shape`` elements, without reading or copying any.

    Along each axis chunks become smaller, by a length that divides the old one, or larger, by a multiple of it. Parts
    must be one run of bytes of their chunk, and chunks that become one must lie one after the other in one file.
    Inlined chunks can be cut in any way. (VirtualiZarr cannot rechunk.)

    Raises:
        ManifestError: says which axis, which chunk, and why not.
    """
    wanted = tuple(map(int, chunk_shape))
    if len(wanted) != array.ndim or min(wanted, default=1) < 1:
        raise ManifestError(f"chunks of {wanted} do not fit an array of shape {array.shape}")
    check_even(array.metadata)
    own = array.metadata.chunk_shape
    if wanted == own:
        return array
    if array.manifest.nrefs:
        check_bytes_are_elements(array.metadata)
    parts = [_split(array, axis, min(wanted[axis], own[axis])) for axis in range(array.ndim)]
    result = take(array, parts)
    for axis in stored_order(array.metadata)[::-1]:
        result = _merged(result, axis, wanted[axis])
    return result


def _split(array: ManifestArray, axis: int, chunk: int) -> AxisPart:
    length, own = array.shape[axis], array.metadata.chunk_shape[axis]
    positions = np.arange(0, length, chunk)
    starts = positions % own
    if (starts + chunk > own).any():
        raise ManifestError(
            f"chunks of {own} along axis {axis} cannot be cut into {chunk}, which does not divide {own}: parts would "
            f"reach over two chunks. The greatest length that both share is {np.gcd(own, chunk)}"
        )
    return AxisPart(length, chunk, positions // own, starts)


def _merged(array: ManifestArray, axis: int, chunk: int) -> ManifestArray:
    """The array with chunks along ``axis`` joined to chunks of ``chunk``."""
    metadata, manifest = array.metadata, array.manifest
    own = metadata.chunk_shape[axis]
    if own == chunk:
        return array
    if chunk % own:
        raise ManifestError(f"chunks of {own} along axis {axis} do not make {chunk}, which is no multiple of {own}")
    new = replace(metadata, chunk_shape=tuple(chunk if a == axis else c for a, c in enumerate(metadata.chunk_shape)))
    grid_shape = new.chunk_grid.grid_shape
    if not manifest.nrefs:
        return type(array)(new, ChunkManifest.empty(grid_shape))
    order = stored_order(metadata)
    if wide := [a for a in order[: order.index(axis)] if metadata.chunk_shape[a] > 1]:
        raise ManifestError(
            f"chunks cannot be joined along axis {axis}: their elements would interleave, since they are "
            f"{metadata.chunk_shape[wide[0]]} long along axis {wide[0]}"
        )
    count, several = manifest.grid_shape[axis], chunk // own
    if count % several:
        raise ManifestError(
            f"{count} chunks of {own} along axis {axis} do not make whole chunks of {chunk}: the bytes of the last one "
            "would be other data"
        )
    ids, offsets, lengths = (
        _grouped(column, axis, several) for column in (manifest.location_ids, manifest.offsets, manifest.lengths)
    )
    together = (ids[1:] == ids[:-1]) & ((ids[1:] < 0) | (offsets[1:] == offsets[:-1] + lengths[:-1]))
    whole = (ids < 0) | (lengths == metadata.chunk_nbytes)
    if not (together.all() and whole.all()):
        place = tuple(int(n[0]) for n in np.nonzero(~(together.all(axis=0) & whole.all(axis=0))))
        raise ManifestError(
            f"chunks that would become the one at {place} do not lie one after the other in one file (axis {axis})"
        )
    inlined: dict[int, bytes] = {}
    if manifest.inlined:
        numbers = _grouped(np.arange(ids.size).reshape(manifest.grid_shape), axis, several)
        for number in np.flatnonzero(ids[0] == INLINED).tolist():
            inlined[number] = b"".join(manifest.inlined[n] for n in numbers.reshape(several, -1)[:, number].tolist())
    sums = np.where(ids[0] == MISSING, 0, lengths.sum(axis=0, dtype=np.uint64)).astype(np.uint64)
    return type(array)(new, ChunkManifest.from_columns(manifest.locations, ids[0], offsets[0], sums, inlined))


def _grouped(column: NDArray[Any], axis: int, several: int) -> NDArray[Any]:
    """dtype[several, *new grid shape]: the members of each group of neighbours along ``axis``."""
    shape = column.shape
    split = column.reshape(*shape[:axis], shape[axis] // several, several, *shape[axis + 1 :])
    return np.moveaxis(split, axis + 1, 0)
