"""A dataset or tree with other arrays in some of its variables: all else stays, indexes and encodings too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import xarray as xr

from vz_beam.combine.schema import join_path

Data = TypeVar("Data", xr.Dataset, xr.DataTree)
Change = Callable[[str, xr.Variable, Any], Any]
"""Gives the array that a variable shall hold, of its path, itself and the array that it holds."""


def changed_arrays(data: Data, change: Change) -> Data:
    """The same dataset or tree with the arrays that ``change`` gives, which have the shapes of the old ones.

    xarray's own ``assign`` would make an index of a virtual dimension coordinate, for which there are no values.
    """
    if isinstance(data, xr.DataTree):
        nodes = {node.path: _changed(node.to_dataset(inherit=False), node.path, change) for node in data.subtree}
        root = data.path.rstrip("/")
        return xr.DataTree.from_dict({path.removeprefix(root) or "/": n for path, n in nodes.items()}, name=data.name)
    return _changed(data, "", change)


def _changed(dataset: xr.Dataset, path: str, change: Change) -> xr.Dataset:
    variables = {
        name: _variable(variable, change(join_path(path.strip("/"), str(name)), variable, variable._data))
        for name, variable in dataset.variables.items()
    }
    if all(variable is dataset.variables[name] for name, variable in variables.items()):
        return dataset.copy(deep=False)
    changed = xr.Dataset(
        _of(variables, dataset.data_vars), xr.Coordinates(_of(variables, dataset.coords), dict(dataset.xindexes))
    )
    changed.attrs = dict(dataset.attrs)
    changed.encoding = dict(dataset.encoding)
    return changed


def _variable(variable: xr.Variable, array: Any) -> xr.Variable:
    if array is variable._data:
        return variable
    return xr.Variable(variable.dims, array, variable.attrs, variable.encoding)


def _of(variables: Mapping[Any, xr.Variable], names: Mapping[Any, Any]) -> dict[Any, xr.Variable]:
    return {name: variable for name, variable in variables.items() if name in names}
