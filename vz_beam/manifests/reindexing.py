"""xarray's reindexing of virtual variables, by chunks: alignment and outer joins come down to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.core import dtypes

from vz_beam.errors import ManifestError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.array_indexing import array_part
from vz_beam.manifests.chunk_selection import HOLE, take
from vz_beam.manifests.fill_choice import metadata_with_holes
from vz_beam.manifests.metadata import check_even


def reindex_array(
    array: ManifestArray,
    positions: Mapping[int, NDArray[np.integer[Any]]],
    fill: Any = None,
    attributes: Mapping[str, Any] | None = None,
) -> ManifestArray:
    """The array with the elements at ``positions`` along some axes, and ``fill`` where a position is -1.

    Args:
        array: to take from.
        positions: by axis; each block of a chunk's length is one whole chunk, in any order, or all -1.
        fill: what the holes shall read as; ``None`` for missing data.
        attributes: of the variable, where they are not those of the array's metadata; ``_FillValue`` is looked for.

    Raises:
        SubChunkIndexingError: blocks that are neither.
        ManifestError: holes that would read as another value.
    """
    check_even(array.metadata)
    parts = [
        array_part(
            np.asarray(positions[axis], np.int64) if axis in positions else np.arange(array.shape[axis]),
            array.shape[axis],
            array.metadata.chunk_shape[axis],
            axis,
            holes=True,
        )
        for axis in range(array.ndim)
    ]
    holes = any((part.parents == HOLE).any() for part in parts)
    return take(array, parts, metadata_with_holes(array, fill, attributes) if holes else None)


def _getitem_with_mask(self: xr.Variable, key: Any, fill_value: Any = dtypes.NA) -> xr.Variable:
    """The variable with -1 in the indexer read as a hole: virtual data by chunks, any other as xarray does."""
    array: Any = self._data
    positions = _positions(key) if isinstance(array, ManifestArray) else None
    if positions is None:
        return _by_elements(self, key, fill_value=fill_value)  # type: ignore[no-any-return]
    fill = None if fill_value is dtypes.NA else fill_value
    try:
        data = reindex_array(array, positions, fill, self.attrs)
    except ManifestError as error:
        raise type(error)(f"reindexing along {[str(self.dims[axis]) for axis in positions]}: {error}") from error
    return self._replace(data=data)


def _positions(key: Any) -> dict[int, NDArray[np.integer[Any]]] | None:
    """Arrays of positions by axis; ``None`` where the key holds something else, apart from full slices."""
    if not isinstance(key, tuple):
        return None
    arrays = {axis: entry for axis, entry in enumerate(key) if isinstance(entry, np.ndarray) and entry.ndim == 1}
    others = [entry for axis, entry in enumerate(key) if axis not in arrays]
    return arrays if all(isinstance(entry, slice) and entry == slice(None) for entry in others) else None


# xarray masks by elements: for an array of 4e8 it would make and pass on masks of 400 MB, whatever this array can do.
# This is its one place for that, private to it: where a version lacks it, virtual arrays see indexing and numpy.where
# instead, which give the same result or refuse.
_by_elements: Any = getattr(xr.Variable, "_getitem_with_mask", None)
if _by_elements is not None:
    setattr(xr.Variable, "_getitem_with_mask", _getitem_with_mask)  # noqa: B010  # a method that type checkers know
