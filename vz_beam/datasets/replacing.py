"""Inputs of a store that have changed since, put in the places of what they were.

The store is cut into the parts around them, and the parts and the changed inputs are combined as inputs are: what may
not be joined is refused in the same words, and the result is the store that would be built of all inputs at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.append import without_new_attributes
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.placing import place_all
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import join_path, nodes_of, schema_of, virtual_array
from vz_beam.datasets.virtual_variables import group_dataset
from vz_beam.errors import MismatchError, StoreMismatchError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.parsers.parser import find_parser
from vz_beam.patterns.index import Index, Position
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.identity import IDENTITY_KEY
from vz_beam.storage.urls import canonical_url
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget, write_store

_ANEW = "Way out: build the store anew of all files (mode='overwrite')"
Nodes = Mapping[str, xr.Dataset]
"""The groups of a dataset or tree by path."""
Ranges = Mapping[str, slice]
"""Elements by dimension."""


class _Changed(NamedTuple):
    """What a changed input holds, and ``ranges``: where that is in the store."""

    url: str
    nodes: Nodes
    ranges: Ranges


def replace_inputs(
    writer: Writer,
    target: WriteTarget,
    changed: Mapping[str, xr.Dataset | xr.DataTree],
    choices: CombineChoices,
    storage_options: Mapping[str, Any] | None,
    open_location: Callable[[str], ByteSource],
) -> StoreSummary:
    """Write the store at ``target`` anew, with what its inputs hold that have changed.

    All references of the store are in memory meanwhile, at 20 bytes each.

    Args:
        writer: of the store.
        target: of the store.
        changed: what these inputs hold now, by URL.
        choices: those that the store was combined with; of its order and holes nothing is asked again.
        storage_options: for the store.
        open_location: gives the byte source of a URL, for values that are in no store.

    Raises:
        StoreMismatchError: an input that does not fit into its old place, such as one that has become longer.
        UnsupportedError: a place that lies inside a chunk.
    """
    first = next(iter(changed.values()))
    loaded = {
        join_path(path, str(name))
        for path, node in nodes_of(first)
        for name, variable in node.variables.items()
        if virtual_array(variable) is None
    }
    known = {join_path(path, str(name)) for path, node in nodes_of(first) for name in node.variables}
    stored = _stored_nodes(target.url, known, loaded, storage_options, open_location)
    inputs = {one.url: one for one in writer.inputs(target, storage_options)}
    found = []
    for url, dataset in changed.items():
        name = canonical_url(url)
        nodes, size = _as_stored(
            writer, replace(target, mode="append"), dataset, loaded, storage_options, open_location
        )
        found.append(_placed(name, nodes, stored))
        inputs[name] = next(n.encoding[IDENTITY_KEY] for _, n in nodes_of(dataset) if IDENTITY_KEY in n.encoding)
    stored = _without_whole(stored, found)
    parts = list(_parts(stored, found, target.url))
    whole = schema_of(Index(()), _as_one(stored))
    gathered = SchemaAccumulator()
    for schema in itertools.starmap(schema_of, parts):
        gathered.add(without_new_attributes(schema, whole))
    strict = replace(
        choices, order_by="index", holes="raise", absent=(), variables="raise", mismatch="raise", overlaps="raise"
    )
    try:
        layout = replace(plan_layout(gathered, strict), inputs=len(inputs), chunks_per_shard=size)
    except StoreMismatchError:
        raise
    except MismatchError as error:
        raise StoreMismatchError(error.disagreements) from error
    shards = place_all(layout, parts)
    options: Any = {"mode": "overwrite", "storage_options": storage_options, "inputs": inputs.values()}
    summary = write_store(writer, target.url, layout, shards, **options)
    note = f"inputs that had changed and were replaced, by writing the store anew: {len(changed):,}"
    return replace(summary, files=len(changed), notes=(note, *layout.notes, *summary.notes))


def _stored_nodes(
    url: str,
    known: set[str],
    loaded: set[str],
    storage_options: Mapping[str, Any] | None,
    open_location: Callable[[str], ByteSource],
) -> dict[str, xr.Dataset]:
    """The store, in which those of the variables ``known`` that are ``loaded`` are so, and others that it alone has."""
    opened = open_file_or_folder(url, storage_options)
    try:
        root = find_parser(opened).parse(opened)
    finally:
        opened.close()
    own = {
        join_path(path, name)
        for path, group in root.walk()
        for name, array in group.arrays.items()
        if join_path(path, name) not in known and (array.manifest.location_ids == INLINED).all()
    }
    return dict(nodes_of(group_dataset(root, loaded | own, url, open_location)))


def _as_stored(
    writer: Writer,
    target: WriteTarget,
    dataset: xr.Dataset | xr.DataTree,
    loaded: set[str],
    storage_options: Mapping[str, Any] | None,
    open_location: Callable[[str], ByteSource],
) -> tuple[dict[str, xr.Dataset], int]:
    """An input as a store of this format says it, with its references, and how many chunks the store's shards have."""
    sides = writer.sides(target, plan_layout(SchemaAccumulator().add(schema_of(Index(()), dataset))), storage_options)
    nodes = dict(nodes_of(group_dataset(sides.added, loaded, "what has changed", open_location)))
    own = {join_path(path, name): array for path, name, array in _arrays(dict(nodes_of(dataset)))}
    for path, name, array in list(_arrays(nodes)):
        variable = nodes[path].variables[name]
        whole = ManifestArray(array.metadata, own[join_path(path, name)].manifest)
        nodes[path] = nodes[path].assign({name: (variable.dims, whole, variable.attrs)})
    return nodes, sides.chunks_per_shard


def _placed(url: str, nodes: Nodes, stored: Nodes) -> _Changed:
    """Where the references to ``url`` are in the store, which has them in the places of what the file was."""
    sizes: dict[str, set[int]] = {}
    for node in stored.values():
        for dim, size in node.sizes.items():
            sizes.setdefault(str(dim), set()).add(size)
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for path, name, array in _arrays(stored):
        chunks = np.argwhere(array.manifest.location_ids == _number(array, url))
        if not len(chunks):
            continue
        if path not in nodes or name not in nodes[path].variables:
            raise _unfit(url, f"it has no variable {join_path(path, name)!r}, which the store has of it")
        for axis, dim in enumerate(map(str, stored[path].variables[name].dims)):
            length = array.metadata.chunk_shape[axis]
            starts[dim] = min(starts.get(dim, array.shape[axis]), int(chunks[:, axis].min()) * length)
            end = min((int(chunks[:, axis].max()) + 1) * length, array.shape[axis])
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
    return _Changed(url, nodes, ranges)


def _check_alone(url: str, ranges: Ranges, stored: Nodes) -> None:
    """Refuses a place at which the store has references to something else: the input was shorter then."""
    for path, name, array in _arrays(stored):
        dims = list(map(str, stored[path].variables[name].dims))
        if all(_is_whole(ranges, dim, stored) for dim in dims):
            continue
        box = tuple(
            slice(ranges[dim].start // chunk, -(-ranges[dim].stop // chunk)) if dim in ranges else slice(None)
            for dim, chunk in zip(dims, array.metadata.chunk_shape, strict=True)
        )
        ids = array.manifest.location_ids[box]
        if others := set(np.unique(ids).tolist()) - {MISSING, INLINED, _number(array, url)}:
            other = array.manifest.locations[min(others)]
            raise _unfit(url, f"where it would be in {join_path(path, name)!r} the store has references to {other}")


def _without_whole(stored: Nodes, changed: Sequence[_Changed]) -> dict[str, xr.Dataset]:
    """The store with those arrays of a changed input that lie along none of the dimensions that are cut."""
    result = dict(stored)
    cut = {dim for one in changed for dim in one.ranges if not _is_whole(one.ranges, dim, stored)}
    for one in changed:
        for path, name, array in _arrays(stored):
            if cut.isdisjoint(stored[path].variables[name].dims) and _number(array, one.url) >= 0:
                result[path] = result[path].assign({name: one.nodes[path].variables[name]})
    return result


def _parts(stored: Nodes, changed: Sequence[_Changed], url: str) -> Iterator[tuple[Index, xr.Dataset | xr.DataTree]]:
    """The store cut where the changed inputs begin and end, these in their places, each with its index."""
    edges: dict[str, set[int]] = {}
    for one in changed:
        for dim, range_ in one.ranges.items():
            if not _is_whole(one.ranges, dim, stored):
                edges.setdefault(dim, {0, _size(stored, dim)}).update((range_.start, range_.stop))
    lines = {dim: sorted(found) for dim, found in sorted(edges.items())}
    for numbers in itertools.product(*(range(len(line) - 1) for line in lines.values())):
        cell = {dim: slice(*lines[dim][number : number + 2]) for dim, number in zip(lines, numbers, strict=True)}
        owner = next((one for one in changed if _is_within(cell, one.ranges)), None)
        index = Index(
            tuple(
                Position(dim, "concat", number, len(line) - 1)
                for (dim, line), number in zip(lines.items(), numbers, strict=True)
            )
        )
        try:
            if owner is None:
                nodes = {path: _selected(node, cell, {}) for path, node in stored.items()}
            else:
                nodes = {path: _like_stored(node, stored[path], cell) for path, node in owner.nodes.items()}
                nodes = {path: _selected(node, cell, owner.ranges) for path, node in nodes.items()}
        except ValueError as error:
            raise UnsupportedError(
                f"{url} cannot be cut at {cell} to replace what has changed: {error}. {_ANEW}"
            ) from error
        dataset = _as_one(nodes)
        dataset.encoding["source"] = url if owner is None else owner.url
        yield index, dataset


def _selected(node: xr.Dataset, cell: Ranges, ranges: Ranges) -> xr.Dataset:
    """The elements ``cell`` of the store, of a node that is the store's at ``ranges``, or all of it."""
    own = {}
    for dim, wanted in cell.items():
        if dim in node.sizes:
            start = ranges[dim].start if dim in ranges else 0
            own[dim] = slice(wanted.start - start, wanted.stop - start)
    return node.isel({dim: one for dim, one in own.items() if (one.start, one.stop) != (0, node.sizes[dim])})


def _like_stored(node: xr.Dataset, stored: xr.Dataset, cell: Ranges) -> xr.Dataset:
    """A changed input with the dimensions that it gained in the store, such as that of an ensemble's members."""
    variables: dict[Any, xr.Variable] = {}
    gained: set[Any] = set()
    for name, variable in node.variables.items():
        dims = stored[name].dims if name in stored.variables else variable.dims
        gained |= set(dims) - set(variable.dims)
        sizes = {dim: variable.sizes.get(dim, 1) for dim in dims}
        variables[name] = variable.set_dims(sizes)  # type: ignore[no-untyped-call]
    if not gained:
        return node
    for dim in gained & stored.variables.keys() - variables.keys():
        variables[dim] = stored[dim].variable.isel({dim: cell.get(dim, slice(None))})
    coords = {name: variable for name, variable in variables.items() if name in stored.coords}
    return xr.Dataset({name: v for name, v in variables.items() if name not in coords}, coords, node.attrs)


def _as_one(nodes: Nodes) -> xr.Dataset | xr.DataTree:
    if len(nodes) == 1:
        return next(iter(nodes.values())).copy(deep=False)
    return xr.DataTree.from_dict({f"/{path}": node for path, node in nodes.items()})


def _arrays(nodes: Nodes) -> Iterator[tuple[str, str, ManifestArray]]:
    for path, node in nodes.items():
        for name, variable in node.variables.items():
            if (array := virtual_array(variable)) is not None:
                yield path, str(name), array


def _number(array: ManifestArray, url: str) -> int:
    """The id of a location in an array's manifest; one that no chunk has where it is not there."""
    locations = array.manifest.locations
    return locations.index(url) if url in locations else min(MISSING, INLINED) - 1


def _size(stored: Nodes, dim: str) -> int:
    return next(node.sizes[dim] for node in stored.values() if dim in node.sizes)


def _is_whole(ranges: Ranges, dim: str, stored: Nodes) -> bool:
    """Whether an input is all of a dimension, along which nothing is cut then."""
    return dim not in ranges or ranges[dim] == slice(0, _size(stored, dim))


def _is_within(cell: Ranges, ranges: Ranges) -> bool:
    return all(
        dim not in ranges or (ranges[dim].start <= one.start and one.stop <= ranges[dim].stop)
        for dim, one in cell.items()
    )


def _unfit(url: str, why: str) -> StoreMismatchError:
    return StoreMismatchError((f"{url} has changed and does not fit into its old place: {why}. {_ANEW}",))
