"""The part of a store that a dataset goes over: where it starts and stops along each dimension, and chunk borders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import xarray as xr

from vz_beam.errors import InputError
from vz_beam.manifests.metadata import ArrayMetadata


def resolved_region(
    region: str | Mapping[Any, Any],
    dataset: xr.Dataset,
    lengths: Mapping[str, int],
    coordinates: Mapping[str, xr.Variable],
) -> dict[str, slice]:
    """Start and stop, elements, along each dimension that the region names.

    Args:
        region: a slice or ``"auto"`` by dimension; ``"auto"`` looks the dataset's coordinate up in the store's. Alone,
            it stands for every dimension of the dataset, of which those without a loaded coordinate are whole.
        dataset: to be written.
        lengths: of the store's dimensions, elements.
        coordinates: of the store, decoded, by name.

    Raises:
        InputError: what is no region, or one that does not fit the dataset or the store.
    """
    if region == "auto":
        named: dict[str, Any] = {str(dim): "auto" for dim in dataset.dims}
        for dim in named:
            if dim not in coordinates and dataset.sizes[dim] == lengths.get(dim):
                named[dim] = slice(None)  # there is one place only
    elif isinstance(region, Mapping):
        named = {str(dim): part for dim, part in region.items()}
    else:
        raise InputError(f"region={region!r} is neither 'auto' nor a mapping of dimensions to slices or 'auto'")
    if not named:
        raise InputError("region names no dimension: give a slice or 'auto' for at least one")
    if unknown := [dim for dim in named if dim not in dataset.dims or dim not in lengths]:
        raise InputError(
            f"region names {unknown}; the dataset has dimensions {sorted(map(str, dataset.dims))}, and the store "
            f"{sorted(lengths)}"
        )
    return {dim: _one(dim, part, dataset, lengths[dim], coordinates.get(dim)) for dim, part in named.items()}


def _one(dim: str, part: Any, dataset: xr.Dataset, length: int, coordinate: xr.Variable | None) -> slice:
    size = dataset.sizes[dim]
    if isinstance(part, str) and part == "auto":
        return _looked_up(dim, dataset, coordinate)
    if not isinstance(part, slice):
        raise InputError(f"region[{dim!r}] is {part!r}, and must be a slice or 'auto'")
    if part.step not in (None, 1):
        raise InputError(f"region[{dim!r}] is {part}, and regions have steps of 1")
    start, stop = (0 if part.start is None else part.start), (length if part.stop is None else part.stop)
    if not 0 <= start <= stop <= length:
        raise InputError(f"region[{dim!r}] is {start} to {stop}, and the store has {length} elements along {dim!r}")
    if stop - start != size:
        raise InputError(f"region[{dim!r}] is {start} to {stop}, and the dataset has {size} elements along {dim!r}")
    return slice(start, stop)


def _looked_up(dim: str, dataset: xr.Dataset, coordinate: xr.Variable | None) -> slice:
    if coordinate is None or dim not in dataset.variables:
        raise InputError(
            f"region 'auto' looks for the values of coordinate {dim!r} in the store, and they are not loaded, or not "
            f"in the store. Way out: load it (loadable_variables=[{dim!r}]), or give a slice"
        )
    wanted = dataset.variables[dim].values
    index = pd.Index(coordinate.values)
    if not index.is_unique:
        raise InputError(f"region 'auto': coordinate {dim!r} of the store has repeated values: give a slice")
    places = index.get_indexer(pd.Index(wanted))
    if (places < 0).any():
        raise InputError(f"region 'auto': {wanted[places < 0][0]} is not among the values of {dim!r} in the store")
    start = int(places[0]) if len(places) else 0
    if (places != range(start, start + len(places))).any():
        raise InputError(f"region 'auto': the values of {dim!r} do not stand one after the other in the store")
    return slice(start, start + len(places))


def check_borders(
    arrays: Mapping[str, ArrayMetadata], slices: Mapping[str, slice], what: str, source: str
) -> list[str]:
    """A text for each array, by path, that the slices would cut within a chunk; a stop of ``None`` is the end."""
    problems = []
    for path, metadata in arrays.items():
        if metadata.uneven_chunks and not slices.keys().isdisjoint(metadata.dimension_names or ()):
            problems.append(
                f"{path!r} has chunks of {metadata.chunk_grid.shown} elements in the store, a rectilinear grid, which "
                "grows by a pipeline only (vz_beam.build, mode='append'). Way out: that, or write the store anew"
            )
            continue
        for dim, length, chunk in zip(
            metadata.dimension_names or (), metadata.shape, metadata.chunk_shape, strict=False
        ):
            part = slices.get(dim)
            if part is None:
                continue
            if part.start % chunk:
                at = "the store's last chunk is partial" if what == "append" else "the region starts within a chunk"
                problems.append(
                    f"{path!r}: {source} would begin at element {part.start} of {dim!r}, which is not a multiple of "
                    f"the chunk length {chunk} ({at})"
                )
            if part.stop is not None and part.stop % chunk and part.stop != length:
                problems.append(
                    f"{path!r}: {source} would end at element {part.stop} of {dim!r}, which is neither a multiple of "
                    f"the chunk length {chunk} nor the end of the array, {length} (the region ends within a chunk)"
                )
    return problems
