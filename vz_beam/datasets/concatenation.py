"""Groups of a store that follow each other, read as one dataset: each variable is put together as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from vz_beam.combine.era_pieces import Piece


def concatenated(groups: Mapping[str, xr.Dataset], dim: str, pieces: Sequence[Piece]) -> xr.Dataset:
    """The decoded datasets of ``groups`` as one along ``dim``; what lacks it is taken from the first.

    Attributes are those of the first group, but for those that differ: they are left out.
    """
    first = groups[pieces[0].group]
    parts = [groups[piece.group].isel({dim: slice(piece.start, piece.stop)}) for piece in pieces]
    variables: dict[Any, xr.Variable] = {}
    for name, variable in first.variables.items():
        if dim not in variable.dims:
            variables[name] = variable
            continue
        some = [part.variables[name] for part in parts]
        same = {key: value for key, value in variable.attrs.items() if all(_is(one.attrs, key, value) for one in some)}
        values: Any = _Pieces(some, variable.dims.index(dim))
        if name == dim:
            values = values[indexing.BasicIndexer((slice(None),))]
        else:
            values = indexing.LazilyIndexedArray(values)
        variables[name] = xr.Variable(variable.dims, values, same)
    attributes = {key: value for key, value in first.attrs.items() if all(_is(p.attrs, key, value) for p in parts)}
    coords = {name: variables[name] for name in first.coords}
    data = {name: variable for name, variable in variables.items() if name not in coords}
    return xr.Dataset(data, coords, attributes)


def _is(attributes: Mapping[Any, Any], key: Any, value: Any) -> bool:
    return key in attributes and bool(np.array_equal(attributes[key], value))


class _Pieces(BackendArray):
    """Variables one behind the other along an axis."""

    def __init__(self, parts: Sequence[xr.Variable], axis: int) -> None:
        self._parts = parts
        self._axis = axis
        self._ends = np.cumsum([part.shape[axis] for part in parts])
        shape = list(parts[0].shape)
        shape[axis] = int(self._ends[-1])
        self.shape = tuple(shape)
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        found = indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)
        return np.asarray(found, self.dtype)

    def _read(self, selection: tuple[Any, ...]) -> NDArray[Any]:
        wanted = selection[self._axis]
        places = np.atleast_1d(np.arange(self.shape[self._axis])[wanted])
        owners = np.searchsorted(self._ends, places, "right")
        found: list[tuple[NDArray[np.bool_], NDArray[Any]]] = []
        for owner in np.unique(owners).tolist():
            here = owners == owner
            inner = places[here] - (int(self._ends[owner - 1]) if owner else 0)
            is_run = len(inner) > 0 and bool((np.diff(inner) == 1).all())
            rows: Any = slice(int(inner[0]), int(inner[-1]) + 1) if is_run else inner
            part = self._parts[owner]
            found.append((here, part[(*selection[: self._axis], rows, *selection[self._axis + 1 :])].values))
        whole_axis = self._axis - sum(isinstance(one, (int, np.integer)) for one in selection[: self._axis])
        lengths = [len(np.arange(n)[one]) for n, one in zip(self.shape, selection, strict=True) if not _is_number(one)]
        shape = lengths if not _is_number(wanted) else [*lengths[:whole_axis], 1, *lengths[whole_axis:]]
        values = np.empty(shape, self.dtype)
        for here, part_values in found:
            values[(slice(None),) * whole_axis + (here,)] = part_values
        return values.take(0, whole_axis) if _is_number(wanted) else values


def _is_number(one: Any) -> bool:
    return isinstance(one, (int, np.integer))
