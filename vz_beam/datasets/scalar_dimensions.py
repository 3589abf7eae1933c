"""Scalars of a file that say where it lies along a dimension that it lacks: a file of one time, without ``time``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import xarray as xr

from vz_beam.combine.schema import nodes_of, virtual_array
from vz_beam.datasets.virtual_variables import loaded_variable
from vz_beam.storage.byte_source import ByteSource


def with_scalar_dimensions(
    dataset: xr.Dataset, dims: Iterable[str], open_location: Callable[[str], ByteSource]
) -> xr.Dataset:
    """The dataset with a length of 1 along each of ``dims`` of which it has a scalar variable and no dimension.

    The scalar, loaded, becomes the coordinate of the dimension, and all data variables gain the dimension in front, as
    :func:`xarray.concat` does with scalar coordinates. Other coordinates stay as they are.

    Args:
        dataset: of one file.
        dims: along which files are joined.
        open_location: gives the byte source of a URL.
    """
    encoding = dataset.encoding
    for dim in dims:
        variable = dataset.variables.get(dim)
        if variable is None or variable.ndim or dim in dataset.sizes:
            continue
        array = virtual_array(variable)
        if array is not None:
            variable = loaded_variable(dim, array, open_location)
            if virtual_array(variable) is not None:
                continue  # a time that cannot be decoded, of which a warning was given
        dataset = dataset.assign_coords({dim: variable}).expand_dims(dim)
    dataset.encoding = encoding
    return dataset


def tree_with_scalar_dimensions(
    tree: xr.DataTree, dims: Iterable[str], open_location: Callable[[str], ByteSource]
) -> xr.DataTree:
    """The same of each group of a tree; a scalar of a group counts for the groups in it that have none of their own.

    Args:
        tree: of one file.
        dims: along which files are joined.
        open_location: gives the byte source of a URL.
    """
    wanted = tuple(dims)
    gained: dict[str, set[str]] = {}
    nodes: dict[str, xr.Dataset] = {}
    for path, node in nodes_of(tree):
        dataset = with_scalar_dimensions(node, wanted, open_location)
        inherited = gained.get(path.rpartition("/")[0], set()) if path else set()
        for dim in sorted(inherited.difference(map(str, dataset.variables), map(str, dataset.sizes))):
            dataset = dataset.expand_dims(dim)
        dataset.encoding = node.encoding
        nodes[f"/{path}"] = dataset
        gained[path] = inherited | (set(map(str, dataset.sizes)) - set(map(str, node.sizes)))
    result: xr.DataTree = xr.DataTree.from_dict(nodes, name=tree.name)
    result.encoding = tree.encoding
    return result
