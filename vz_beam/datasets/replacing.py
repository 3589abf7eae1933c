"""Inputs that go into places of a store: those that have changed since, and those that it had none of.

The store is cut into the parts around them, and the parts and these inputs are combined as inputs are: what may not be
joined is refused in the same words, and the result is the store that would be built of all inputs at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.append import without_new_attributes
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.hole import Hole
from vz_beam.combine.holes import layout_with_holes
from vz_beam.combine.placing import place_all, with_unwritten
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import join_path, nodes_of, schema_of, virtual_array
from vz_beam.datasets.store_places import (
    ANEW,
    Nodes,
    PlacedInput,
    Ranges,
    arrays_of,
    is_whole,
    location_number,
    place_of_changed,
    place_of_filling,
    size_of,
)
from vz_beam.datasets.virtual_variables import group_dataset
from vz_beam.errors import MismatchError, StoreMismatchError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.manifests.fill_choice import missing_values, same_value
from vz_beam.parsers.parser import find_parser
from vz_beam.patterns.index import Index, Position
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.identity import IDENTITY_KEY
from vz_beam.storage.urls import url_in_stores
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget, write_store


def replace_inputs(
    writer: Writer,
    target: WriteTarget,
    changed: Mapping[str, xr.Dataset | xr.DataTree],
    choices: CombineChoices,
    storage_options: Mapping[str, Any] | None,
    open_location: Callable[[str], ByteSource],
    *,
    holes: Mapping[str, Hole] = MappingProxyType({}),
) -> StoreSummary:
    """Write the store at ``target`` anew, with what its inputs hold that have changed, or that it had none of.

    All references of the store are in memory meanwhile, at 20 bytes each.

    Args:
        writer: of the store.
        target: of the store.
        changed: what these inputs hold now, by URL.
        choices: those that the store was combined with; of its order and holes nothing is asked again.
        storage_options: for the store.
        open_location: gives the byte source of a URL, for values that are in no store.
        holes: by URL, the places of those that the store had none of.

    Raises:
        StoreMismatchError: an input that does not fit into its place, such as one that has become longer.
        UnsupportedError: a place that lies inside a chunk.
    """
    known = {
        join_path(path, str(name)): virtual_array(variable) is None
        for dataset in changed.values()
        for path, node in nodes_of(dataset)
        for name, variable in node.variables.items()
    }
    loaded = {path for path, is_loaded in known.items() if is_loaded}
    stored = _stored_nodes(target.url, set(known), loaded, storage_options, open_location)
    table = writer.input_table(target, storage_options)
    inputs = {one.url: one for one in table.inputs}
    found = []
    for url, dataset in changed.items():
        name = url_in_stores(url)
        holey = _as_one(_holey(dict(nodes_of(dataset)), stored, choices))
        nodes, size = _as_stored(writer, replace(target, mode="append"), holey, loaded, storage_options, open_location)
        if url in holes:
            found.append(place_of_filling(name, nodes, stored, holes[url]))
        else:
            found.append(place_of_changed(name, nodes, stored))
        inputs[name] = next(n.encoding[IDENTITY_KEY] for _, n in nodes_of(dataset) if IDENTITY_KEY in n.encoding)
    if any(array.metadata.uneven_chunks for _, _, array in arrays_of(stored)):
        choices = replace(choices, chunk_grid="rectilinear")
    stored = _with_shared(_without_whole(stored, found), found)
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
    filled = {holes[url] for url in changed if url in holes}
    layout = replace(layout, holes=tuple(hole for hole in table.holes if hole not in filled))
    options: Any = {"mode": "overwrite", "storage_options": storage_options, "inputs": inputs.values()}
    summary = write_store(writer, target.url, layout, shards, **options)
    counts = {
        "inputs that had changed and were replaced": len(changed) - len(filled),
        "places without an input that were filled": len(filled),
    }
    notes = [f"{what}, by writing the store anew: {count:,}" for what, count in counts.items() if count]
    return replace(summary, files=len(changed), notes=(*notes, *layout.notes, *summary.notes))


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
    own = {join_path(path, name): array for path, name, array in arrays_of(dict(nodes_of(dataset)))}
    for path, name, array in list(arrays_of(nodes)):
        variable = nodes[path].variables[name]
        whole = ManifestArray(array.metadata, own[join_path(path, name)].manifest)
        nodes[path] = nodes[path].assign({name: (variable.dims, whole, variable.attrs)})
    return nodes, sides.chunks_per_shard


def _holey(nodes: Nodes, stored: Nodes, choices: CombineChoices) -> dict[str, xr.Dataset]:
    """An input with the fill values of a store that may have holes: its chunks that were never written are inlined."""
    result = dict(nodes)
    for path, name, array in arrays_of(nodes):
        known = virtual_array(stored[path].variables[name]) if path in stored and name in stored[path] else None
        fill = None if known is None else known.metadata.fill_value
        if known is None or fill is None or same_value(fill, array.metadata.fill_value):
            continue
        if not any(same_value(fill, missing) for missing in missing_values(known.metadata)):
            continue
        whole_path = join_path(path, name)
        layout = layout_with_holes(whole_path, array.metadata, {whole_path: fill, **choices.fill_values})
        manifest = array.manifest if layout.unwritten is None else with_unwritten(array.manifest, layout.unwritten)
        whole = ManifestArray(layout.metadata, manifest)
        attributes = {**nodes[path].variables[name].attrs, **_cf_fill_of(known)}
        result[path] = result[path].assign({name: (nodes[path].variables[name].dims, whole, attributes)})
    return result


def _cf_fill_of(array: ManifestArray) -> dict[str, Any]:
    attributes = array.metadata.attributes
    return {name: attributes[name] for name in ("_FillValue",) if name in attributes}


def _with_shared(stored: Nodes, found: Sequence[PlacedInput]) -> dict[str, xr.Dataset]:
    """The store with those values and references of inputs that several places share, where it has none yet."""
    result = dict(stored)
    for one in found:
        cut = {dim for dim in one.ranges if not is_whole(one.ranges, dim, stored)}
        for path, node in one.nodes.items():
            for name, variable in node.variables.items():
                known = result[path].variables.get(name)
                if known is None or set(variable.dims) != set(known.dims):
                    continue
                if cut.issubset(known.dims) and virtual_array(known) is not None:
                    continue  # it goes to its place by itself
                ranges = {str(dim): one.ranges[str(dim)] for dim in known.dims if dim in cut}
                if ranges and _is_missing(known.isel(ranges)):
                    own = variable.transpose(*known.dims).to_base_variable()
                    shared = xr.Dataset({name: _put(known.to_base_variable(), own, ranges)}, attrs=result[path].attrs)
                    result[path] = _with_own(result[path], shared)
    return result


def _put(known: xr.Variable, own: xr.Variable, ranges: Ranges) -> xr.Variable:
    """``known`` with ``own`` at ``ranges``."""
    if not ranges:
        return own
    (dim, range_), *others = ranges.items()
    middle = _put(known.isel({dim: range_}), own, dict(others))
    parts = (known.isel({dim: slice(0, range_.start)}), middle, known.isel({dim: slice(range_.stop, None)}))
    filled = [part for part in parts if part.sizes[dim]]
    joined: xr.Variable = xr.Variable.concat(filled, dim)  # type: ignore[no-untyped-call]
    return joined


def _is_missing(variable: xr.Variable) -> bool:
    array = virtual_array(variable)
    if array is not None:
        return bool((array.manifest.location_ids == MISSING).all())
    return variable.dtype.kind in "fmM" and bool(variable.isnull().all())


def _without_whole(stored: Nodes, changed: Sequence[PlacedInput]) -> dict[str, xr.Dataset]:
    """The store with those arrays of a changed input that lie along none of the dimensions that are cut."""
    result = dict(stored)
    cut = {dim for one in changed for dim in one.ranges if not is_whole(one.ranges, dim, stored)}
    for one in changed:
        for path, name, array in arrays_of(stored):
            if cut.isdisjoint(stored[path].variables[name].dims) and location_number(array, one.url) >= 0:
                result[path] = result[path].assign({name: one.nodes[path].variables[name]})
    return result


def _parts(stored: Nodes, changed: Sequence[PlacedInput], url: str) -> Iterator[tuple[Index, xr.Dataset | xr.DataTree]]:
    """The store cut where the changed inputs begin and end, these in their places, each with its index."""
    edges: dict[str, set[int]] = {}
    for one in changed:
        for dim, range_ in one.ranges.items():
            if not is_whole(one.ranges, dim, stored):
                edges.setdefault(dim, {0, size_of(stored, dim)}).update((range_.start, range_.stop))
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
                nodes = {path: _selected(node, cell, {}) for path, node in stored.items() if owner.is_part}
                for path, node in owner.nodes.items():
                    own = _selected(_like_stored(node, stored[path], cell), cell, owner.ranges)
                    nodes[path] = _with_own(nodes[path], own) if path in nodes else own
        except ValueError as error:
            raise UnsupportedError(
                f"{url} cannot be cut at {cell} to replace what has changed: {error}. {ANEW}"
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


def _with_own(stored: xr.Dataset, own: xr.Dataset) -> xr.Dataset:
    """An input in its place, with what the store has there of other inputs: those of merged dimensions."""
    variables = {**stored.variables, **own.variables}
    coords = {name: variable for name, variable in variables.items() if name in stored.coords or name in own.coords}
    return xr.Dataset({name: v for name, v in variables.items() if name not in coords}, coords, own.attrs)


def _as_one(nodes: Nodes) -> xr.Dataset | xr.DataTree:
    if len(nodes) == 1:
        return next(iter(nodes.values())).copy(deep=False)
    return xr.DataTree.from_dict({f"/{path}": node for path, node in nodes.items()})


def _is_within(cell: Ranges, ranges: Ranges) -> bool:
    return all(
        dim not in ranges or (ranges[dim].start <= one.start and one.stop <= ranges[dim].stop)
        for dim, one in cell.items()
    )
