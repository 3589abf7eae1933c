"""Virtual datasets of many files made one by xarray, once they agree in what their bytes mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import xarray as xr

from vz_beam.combine.agreement import differing_facts
from vz_beam.combine.loaded import describe_difference
from vz_beam.combine.schema import Facts, schema_of, source_of, virtual_array
from vz_beam.combine.skipped import SKIPPED_KEY
from vz_beam.combine.witness import Witness
from vz_beam.datasets.file_lists import leaves_of, with_leaves
from vz_beam.errors import MismatchError
from vz_beam.patterns.index import Index, Position

_MOST_NOTES = 10
_NO_INDEX = Index(())


def check_agreement(inputs: Sequence[xr.Dataset | xr.DataTree]) -> None:
    """Refuses inputs that no rule of xarray may join: other units, packing, calendars, chunks, codecs.

    Raises:
        MismatchError: every case, with both files and both values.
    """
    facts: dict[str, dict[Facts, Witness]] = {}
    for number, dataset in enumerate(inputs):
        schema = schema_of(Index((Position("file", "concat", number),)), dataset)
        for path, variable in schema.variables.items():
            facts.setdefault(path, {}).setdefault(variable.facts, schema.witness)
    if problems := differing_facts(facts):
        raise MismatchError(tuple(problems))


def join_datasets(datasets: list[Any], combine: str, concat_dim: Any, choices: Mapping[str, Any]) -> xr.Dataset:
    """One dataset of a list, or of lists of lists, by ``xarray.combine_nested`` or ``combine_by_coords``.

    What xarray or an array refuses is raised with notes that say which files may be the reason.
    """
    parts: list[xr.Dataset] = list(leaves_of(datasets))
    try:
        if combine == "nested":
            joined = xr.combine_nested(datasets, concat_dim=concat_dim, **choices)
        else:
            joined = xr.combine_by_coords(parts, **choices)
    except Exception as error:
        for note in islice(_reasons(parts), _MOST_NOTES):
            error.add_note(note)
        raise
    assert isinstance(joined, xr.Dataset), "datasets make a dataset"
    joined.encoding.pop("source", None)  # it would be that of the first alone
    skipped: dict[str, str] = {}
    for part in parts:
        skipped = {**part.encoding.get(SKIPPED_KEY, {}), **skipped}
    if skipped:
        joined.encoding[SKIPPED_KEY] = skipped
    return joined


def join_trees(trees: list[Any], combine: str, concat_dim: Any, choices: Mapping[str, Any]) -> xr.DataTree:
    """One tree of a list, or of lists of lists: each group joined as :func:`join_datasets` does.

    Raises:
        MismatchError: a group that some of them lack.
    """
    parts: list[xr.DataTree] = list(leaves_of(trees))
    nodes = [{node.path: node for node in part.subtree} for part in parts]
    paths = {path: None for tree in nodes for path in tree}
    for path in paths:
        having = [path in tree for tree in nodes]
        if not all(having):
            holder, lacking = (source_of(parts[having.index(known)], _NO_INDEX) for known in (True, False))
            raise MismatchError((f"group {path!r} is in {holder} and not in {lacking}",))
    own = {path: [tree[path].to_dataset(inherit=False) for tree in nodes] for path in paths}
    dims = _joined_dims(own, combine, concat_dim)
    joined = {}
    for path in paths:
        if dims.isdisjoint(own[path][0].dims):
            joined[path] = own[path][0]  # they agree, and are kept once
        else:
            datasets = (tree[path].to_dataset(inherit=True) for tree in nodes)
            joined[path] = join_datasets(with_leaves(trees, datasets), combine, concat_dim, choices)
    return xr.DataTree.from_dict(joined)


def _joined_dims(groups: Mapping[str, Sequence[xr.Dataset]], combine: str, concat_dim: Any) -> set[Any]:
    """Dimensions along which the groups that have them are joined."""
    if combine == "nested":
        given = concat_dim if isinstance(concat_dim, list | tuple) else [concat_dim]
        named = {getattr(dim, "name", dim) for dim in given}
        known = {dim for datasets in groups.values() for dim in datasets[0].dims}
        # a new dimension is gained by every group
        return named if named <= known else known
    return {
        dim
        for datasets in groups.values()
        for dim, index in datasets[0].indexes.items()
        if not all(index.equals(other.indexes.get(dim)) for other in datasets)
    }


def _reasons(parts: Sequence[xr.Dataset]) -> Iterator[str]:
    sources = [source_of(part, _NO_INDEX) for part in parts]
    names = {str(name): None for part in parts for name in part.variables}
    for name in names:
        having = [number for number, part in enumerate(parts) if name in part.variables]
        lacking = next((number for number in range(len(parts)) if number not in having), None)
        if lacking is not None:
            yield f"variable {name!r} is in {sources[having[0]]} and not in {sources[lacking]}"
        yield from _other_values(name, [(sources[number], parts[number]) for number in having])
        yield from _partial_chunks(name, [(sources[number], parts[number]) for number in having])
    if any(virtual_array(variable) is not None for part in parts for variable in part.variables.values()):
        yield (
            "virtual variables are the same only where they refer to the same bytes: where those of the first file do "
            "for all, say compat='override', and coords='minimal' or data_vars='minimal'"
        )


def _other_values(name: str, parts: Sequence[tuple[str, xr.Dataset]]) -> Iterator[str]:
    """A coordinate that covers the same range as the first file's with other values."""
    (first_source, first), *others = parts
    if name not in first.indexes:
        return
    for source, other in others:
        ours, theirs = first.indexes[name], other.indexes.get(name)
        if theirs is None or not len(ours) or not len(theirs) or ours.equals(theirs):
            continue
        if ours.min() <= theirs.max() and theirs.min() <= ours.max():
            difference = describe_difference(name, first[name].values, other[name].values)
            yield f"values of {name!r}: {difference}, in {first_source} and {source}"
            return


def _partial_chunks(name: str, parts: Sequence[tuple[str, xr.Dataset]]) -> Iterator[str]:
    """A virtual variable of which a file that is not the last has a partial chunk."""
    for source, part in parts[:-1]:
        array = virtual_array(part.variables[name])
        grid = None if array is None else array.metadata.chunk_grid
        for axis, dim in enumerate(part.variables[name].dims):
            if grid is not None and grid.is_partial(axis):
                length, chunk = grid.shape[axis], grid.chunk_shape[axis]
                yield f"{name!r} has {length} elements in chunks of {chunk} along {dim!r} in {source}"
                return
