"""Groups and arrays of an Icechunk session: what is there, and how new ones come beside or instead of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import cpu, default_buffer_prototype
from zarr.core.sync import sync
from zarr.errors import ContainsArrayError, ContainsGroupError

from vz_beam.combine.schema import join_path
from vz_beam.errors import InputError, StoreExistsError
from vz_beam.writers.icechunk_documents import Document, NewNodes, parents_of
from vz_beam.writers.icechunk_locations import Checksum
from vz_beam.writers.icechunk_references import write_chunks, write_references

if TYPE_CHECKING:
    from icechunk import IcechunkStore

MODES = ("w", "w-", "a")


class GroupExistsError(StoreExistsError, ContainsGroupError):
    """A group that is there already, and ``mode`` does not allow to replace it (also zarr's own error for that)."""


class ArrayExistsError(StoreExistsError, ContainsArrayError):
    """An array that stands where a group should go (also zarr's own error for that)."""


def read_document(store: IcechunkStore, path: str) -> Document | None:
    """The document of the node at ``path``; ``None`` where there is none."""
    data = sync(store.get(_key(path), default_buffer_prototype()))
    return None if data is None else json.loads(data.to_bytes())


def write_document(store: IcechunkStore, path: str, document: Document) -> None:
    """Make a node, or replace its document; chunks of an array stay."""
    sync(store.set(_key(path), cpu.Buffer.from_bytes(json.dumps(document, allow_nan=False).encode())))


def delete_node(store: IcechunkStore, path: str) -> None:
    """Remove a node and all that is in it."""
    sync(store.delete_dir(path))


def members_of(store: IcechunkStore, group: str) -> dict[str, Document]:
    """The documents of the nodes in a group, by name."""

    async def names() -> list[str]:
        return [name async for name in store.list_dir(group)]

    found = {
        name: read_document(store, join_path(group, name)) for name in sorted(sync(names())) if name != "zarr.json"
    }
    return {name.rstrip("/"): document for name, document in found.items() if document is not None}


def check_mode(store: IcechunkStore, group: str, mode: str, new: NewNodes) -> None:
    """Refuse what ``mode`` does not allow, before anything is written.

    Raises:
        InputError: a mode that is none; a dimension that other arrays of the group have in another length.
        GroupExistsError: the group is there, and the mode is ``"w-"``.
        ArrayExistsError: an array stands in the place of a group.
    """
    if mode not in MODES:
        raise InputError(f"mode {mode!r} is not one of {', '.join(map(repr, MODES))}")
    for parent in (*parents_of(group), *([] if mode == "w" else new.groups)):
        document = read_document(store, parent)
        if document is not None and document["node_type"] == "array":
            raise ArrayExistsError(f"an array stands at {parent!r}, where a group should go: choose another group")
    if mode == "w-" and read_document(store, group) is not None:
        raise GroupExistsError(
            f"group {group or '/'!r} is in the store already. Way out: another group, mode='w' to replace it with all "
            "that is in it, mode='a' to replace only the variables of this dataset, or append_dim or region"
        )
    if mode == "a":
        for path in new.groups:
            _check_lengths(store, path, new)


def _check_lengths(store: IcechunkStore, group: str, new: NewNodes) -> None:
    lengths: dict[str, tuple[int, str]] = {}
    for path, array in new.arrays.items():
        if path.rpartition("/")[0] == group:
            names = array.metadata.dimension_names or ()
            lengths |= {dim: (n, path) for dim, n in zip(names, array.metadata.shape, strict=False)}
    problems = []
    for name, document in members_of(store, group).items():
        path = join_path(group, name)
        if path in new.arrays and document["node_type"] == "group":
            raise GroupExistsError(f"a group stands at {path!r}, where an array should go: rename the variable")
        if path in new.arrays or document["node_type"] != "array":
            continue
        for dim, has in zip(document.get("dimension_names") or (), document["shape"], strict=False):
            if dim in lengths and lengths[dim][0] != has:
                length, other = lengths[dim]
                problems.append(
                    f"dimension {dim!r} has length {has} in {path!r} of the store, and {length} in {other!r}"
                )
    if problems:
        raise InputError(
            "; ".join(problems)
            + ". Way out: mode='w' to replace the whole group, append_dim to append, or another group"
        )


def create_nodes(
    store: IcechunkStore,
    group: str,
    mode: str,
    new: NewNodes,
    checksums: Mapping[str, Checksum],
    *,
    validate_containers: bool = True,
) -> None:
    """Write new groups and arrays with all their chunks; :func:`check_mode` has allowed it."""
    if mode == "w":
        delete_node(store, group)
    for path in parents_of(group):
        if read_document(store, path) is None:
            write_document(store, path, _empty_group())
    for path, document in new.groups.items():
        known = read_document(store, path) if mode == "a" else None
        write_document(store, path, document if known is None else _merged(known, document))
    for path, array in new.arrays.items():
        if mode == "a":
            delete_node(store, path)
        write_document(store, path, array.document)
        grid_shape = array.metadata.chunk_grid.grid_shape
        write_chunks(store, path, grid_shape, array.chunks)
        write_references(store, path, grid_shape, array.references, checksums, validate_containers=validate_containers)


def _key(path: str) -> str:
    return join_path(path, "zarr.json")


def _empty_group() -> Document:
    return {"zarr_format": 3, "node_type": "group", "attributes": {}}


def _merged(known: Document, new: Document) -> Document:
    """A group with the attributes of both, the new ones first; of ``coordinates`` the names of both."""
    attributes: dict[str, Any] = {**known.get("attributes", {}), **new["attributes"]}
    names = [str(one.get("attributes", {}).get("coordinates", "")).split() for one in (known, new)]
    if any(names):
        attributes["coordinates"] = " ".join(dict.fromkeys([*names[0], *names[1]]))
    return {**known, "attributes": attributes}
