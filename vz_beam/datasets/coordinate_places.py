"""Whether a chunk stands in its store where the coordinates of its file say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from vz_beam.datasets.compared_chunks import SampledChunk, array_in_zarr
from vz_beam.datasets.originals import Place
from vz_beam.manifests.array import ManifestArray

OpenGroup = Callable[[str], xr.Dataset]
"""Gives the group at a path with its coordinates decoded."""
_ROUNDING = 1e-6
"""Coordinates of 32 bits in one file, and of 64 in another, are the same this near."""


class Coordinates:
    """The decoded coordinates of dimensions, each read once."""

    def __init__(self, open_group: OpenGroup) -> None:
        self._open = open_group
        self._groups: dict[str, xr.Dataset | None] = {}

    def of(self, path: str, dim: str) -> Any:
        """Those of a dimension of the array at ``path``; ``None`` where there are none, or they cannot be decoded."""
        group = path.rpartition("/")[0]
        if group not in self._groups:
            try:
                self._groups[group] = self._open(group)
            except Exception:  # no coordinates to compare; that values cannot be read is told elsewhere
                self._groups[group] = None
        dataset = self._groups[group]
        if dataset is None or dim not in dataset.coords or dataset[dim].dims != (dim,):
            return None
        return dataset[dim].values


def misplaced(
    store: Coordinates, file: Coordinates, root: Any, chunk: SampledChunk, array: ManifestArray, place: Place
) -> str:
    """What the coordinates of both say of one chunk, where they differ; empty where they agree, or there are none.

    Args:
        store: coordinates of the store.
        file: coordinates of the file.
        root: of the store, in zarr.
        chunk: of the store.
        array: of the file.
        place: of the chunk in that array.
    """
    if place.nbytes != chunk.nbytes:
        return ""
    known = array_in_zarr(root, chunk.path)
    names = known.metadata.dimension_names if known.metadata.zarr_format == 3 else known.attrs.get("_ARRAY_DIMENSIONS")
    dims = array.metadata.dimension_names or ()
    for axis, dim in enumerate(names or ()):
        if dim not in dims:
            continue
        ours, theirs = store.of(chunk.path, dim), file.of(place.path, dim)
        if ours is None or theirs is None:
            continue
        first, second = ours[_elements(known, axis, chunk.place[axis])], theirs[place.region[dims.index(dim)]]
        count = min(len(first), len(second))
        if count and not _agree(first[:count], second[:count]):
            return (
                f"stands at {dim} = {first[0]} to {first[count - 1]}, and in its file at {second[0]} to "
                f"{second[count - 1]}"
            )
    return ""


def _elements(array: Any, axis: int, place: int) -> slice:
    """Those of a chunk along one axis of an array in zarr."""
    try:
        length = array.chunks[axis]
    except NotImplementedError:  # chunks of several lengths
        lengths = array.read_chunk_sizes[axis]
        start = sum(lengths[:place])
        return slice(start, start + lengths[place])
    return slice(place * length, (place + 1) * length)


def _agree(ours: Any, theirs: Any) -> bool:
    if ours.dtype.kind in "fiu" and theirs.dtype.kind in "fiu":
        return bool(np.allclose(ours, theirs, rtol=_ROUNDING, atol=0, equal_nan=True))
    try:
        return bool(np.array_equal(ours, theirs))
    except TypeError:  # calendars that do not compare
        return True
