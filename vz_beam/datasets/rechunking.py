"""Other chunks for the virtual variables of a dataset or tree, made of the same bytes."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import xarray as xr

from vz_beam.combine.schema import nodes_of
from vz_beam.datasets.changed_arrays import Data, changed_arrays
from vz_beam.errors import InputError, ManifestError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.rechunking import rechunked


def rechunked_variables(data: Data, chunks: Mapping[Any, int]) -> Data:
    """The same data, virtual variables in chunks of ``chunks`` elements along the dimensions that it names.

    Variables with none of those dimensions stay as they are, and so do loaded ones.

    Args:
        data: a dataset or tree.
        chunks: elements of a chunk by dimension.

    Raises:
        InputError: a dimension that nothing has, or a length that is no whole number from 1 up.
        ManifestError: chunks that cannot be made of the bytes as they are; every such variable is named, with why.
    """
    lengths = _lengths(data, chunks)
    refused: dict[str, str] = {}

    def change(path: str, variable: xr.Variable, array: Any) -> Any:
        if not isinstance(array, ManifestArray) or not any(dim in lengths for dim in variable.dims):
            return array
        own = array.metadata.chunk_shape
        wanted = tuple(lengths.get(dim, chunk) for dim, chunk in zip(variable.dims, own, strict=True))
        try:
            return rechunked(array, wanted)
        except ManifestError as error:
            refused[path] = f"{_described(variable, own)}, not {wanted}: {error}"
            return array

    changed = changed_arrays(data, change)
    if refused:
        listed = "\n".join(f"  * {path!r} in chunks of {reason}" for path, reason in refused.items())
        raise ManifestError(
            f"chunks of {len(refused)} variable{'s' if len(refused) != 1 else ''} cannot be made of the bytes as they "
            f"are:\n{listed}\nWay out: rechunk the others alone (ds[names].vz.rechunk(...)), choose lengths that fit, "
            "or load these variables when opening (loadable_variables=[...])"
        )
    return changed


def _lengths(data: xr.Dataset | xr.DataTree, chunks: Mapping[Any, int]) -> dict[Any, int]:
    if not isinstance(chunks, Mapping):
        raise InputError(f"chunks are given as {{dimension: elements}}, not as {chunks!r}")
    known = {dim for _, node in nodes_of(data) for variable in node.variables.values() for dim in variable.dims}
    if unknown := [dim for dim in chunks if dim not in known]:
        raise InputError(f"no variable has the dimensions {unknown}; there are {sorted(map(str, known))}")
    lengths = {}
    for dim, length in chunks.items():
        try:
            lengths[dim] = operator.index(length)
        except TypeError:
            raise InputError(f"chunks of {length!r} along {dim!r}: a whole number of elements is needed") from None
        if lengths[dim] < 1 or isinstance(length, bool):
            raise InputError(f"chunks of {length!r} along {dim!r}: a chunk has at least 1 element")
    return lengths


def _described(variable: xr.Variable, chunk_shape: tuple[int, ...]) -> str:
    return f"{chunk_shape} along {tuple(map(str, variable.dims))}"
