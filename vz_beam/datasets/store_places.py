"""Where inputs stand in a store, and what else stands there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from vz_beam.combine.hole import Hole
from vz_beam.combine.schema import join_path, virtual_array
from vz_beam.errors import StoreMismatchError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import INLINED, MISSING

ANEW = "Way out: build the store anew of all files (mode='overwrite')"
Nodes = Mapping[str, xr.Dataset]
"""The groups of a dataset or tree by path."""
Ranges = Mapping[str, slice]
"""Elements by dimension."""


class PlacedInput(NamedTuple):
    """What an input holds, and ``ranges``: where that is in the store; whether others hold other variables there."""

    url: str
    nodes: Nodes
    ranges: Ranges
    is_part: bool = False


def place_of_changed(url: str, nodes: Nodes, stored: Nodes) -> PlacedInput:
    """Where the references to ``url`` are in the store, which has them in the places of what the file was."""
    sizes: dict[str, set[int]] = {}
    for node in stored.values():
        for dim, size in node.sizes.items():
            sizes.setdefault(str(dim), set()).add(size)
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for path, name, array in arrays_of(stored):
        chunks = np.argwhere(array.manifest.location_ids == location_number(array, url))
        if not len(chunks):
            continue
        if path not in nodes or name not in nodes[path].variables:
            raise _unfit(url, f"it has no variable {join_path(path, name)!r}, which the store has of it")
        for axis, dim in enumerate(map(str, stored[path].variables[name].dims)):
            grid = array.metadata.chunk_grid
            starts[dim] = min(starts.get(dim, array.shape[axis]), grid.start(axis, int(chunks[:, axis].min())))
            end = min(grid.stop(axis, int(chunks[:, axis].max())), array.shape[axis])
            ends[dim] = max(ends.get(dim, 0), end)
    if not starts:
        raise _unfit(url, "the store has no reference to it, so that nothing says where its place is")
    ranges = {}
    for dim, start in starts.items():
        own = {node.sizes[dim] for node in nodes.values() if dim in node.sizes} or {1}
        if len(own) != 1 or len(sizes[dim]) != 1:
            raise _unfit(url, f"groups differ in their length along {dim!r}")
        length, total = own.pop(), next(iter(sizes[dim]))
        if start + length > total or ends[dim] > start + length:
            raise _unfit(url, f"it is {length} long along {dim!r}, and its place in the store {ends[dim] - start}")
        ranges[dim] = slice(start, start + length)
    _check_alone(url, ranges, stored)
    return PlacedInput(url, nodes, ranges)


def place_of_filling(url: str, nodes: Nodes, stored: Nodes, hole: Hole) -> PlacedInput:
    """What fills a hole, which must be of its size and free."""
    ranges = {dim: slice(*limits) for dim, limits in hole.ranges}
    for dim, range_ in ranges.items():
        own = {node.sizes[dim] for node in nodes.values() if dim in node.sizes} or {1}
        if own != {range_.stop - range_.start}:
            raise _unfit(url, f"it is {sorted(own)} long along {dim!r}, and its place {range_.stop - range_.start}")
    is_part = len(hole.keys) > len(hole.ranges)
    _check_alone(
        url, ranges, stored, {join_path(path, name) for path, name, _ in arrays_of(nodes)} if is_part else None
    )
    return PlacedInput(url, nodes, ranges, is_part)


def _check_alone(url: str, ranges: Ranges, stored: Nodes, paths: Collection[str] | None = None) -> None:
    """Refuses a place at which the arrays ``paths`` of the store, or all, have references to something else."""
    cut = {dim for dim in ranges if not is_whole(ranges, dim, stored)}
    for path, name, array in arrays_of(stored):
        dims = list(map(str, stored[path].variables[name].dims))
        if not cut or not cut.issubset(dims) or (paths is not None and join_path(path, name) not in paths):
            continue  # what is the same in several inputs is another's
        box = tuple(
            _as_slice(array.metadata.chunk_grid.places(axis, ranges[dim].start, ranges[dim].stop))
            if dim in ranges
            else slice(None)
            for axis, dim in enumerate(dims)
        )
        ids = array.manifest.location_ids[box]
        if others := set(np.unique(ids).tolist()) - {MISSING, INLINED, location_number(array, url)}:
            other = array.manifest.locations[min(others)]
            raise _unfit(url, f"where it would be in {join_path(path, name)!r} the store has references to {other}")


def _as_slice(places: range) -> slice:
    return slice(places.start, places.stop)


def arrays_of(nodes: Nodes) -> Iterator[tuple[str, str, ManifestArray]]:
    """(group, name, array) of each virtual variable."""
    for path, node in nodes.items():
        for name, variable in node.variables.items():
            if (array := virtual_array(variable)) is not None:
                yield path, str(name), array


def location_number(array: ManifestArray, url: str) -> int:
    """The id of a location in an array's manifest; one that no chunk has where it is not there."""
    locations = array.manifest.locations
    return locations.index(url) if url in locations else min(MISSING, INLINED) - 1


def size_of(stored: Nodes, dim: str) -> int:
    """Length of a dimension, elements."""
    return next(node.sizes[dim] for node in stored.values() if dim in node.sizes)


def is_whole(ranges: Ranges, dim: str, stored: Nodes) -> bool:
    """Whether an input is all of a dimension, along which nothing is cut then."""
    return dim not in ranges or ranges[dim] == slice(0, size_of(stored, dim))


def _unfit(url: str, why: str) -> StoreMismatchError:
    return StoreMismatchError((f"{url} does not fit into its place in the store: {why}. {ANEW}",))
