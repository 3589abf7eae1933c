"""A dataset, or the nodes of a tree, into an open Icechunk session; the user commits it.

Everything is planned and checked before the first write, so that what is refused leaves the session as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.placing import place, references_of
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import join_path, schema_of, virtual_array
from vz_beam.errors import InputError, InputTypeError
from vz_beam.patterns.index import Index
from vz_beam.writers.icechunk_documents import Document, NewArray, NewNodes, new_nodes
from vz_beam.writers.icechunk_existing import Parts, appended_parts, region_parts
from vz_beam.writers.icechunk_locations import check_containers, checksums_of, icechunk_url
from vz_beam.writers.icechunk_nodes import check_mode, create_nodes
from vz_beam.writers.icechunk_repository import icechunk_module

if TYPE_CHECKING:
    from icechunk import IcechunkStore

Region = str | Mapping[Any, Any]
"""``"auto"``, or ``"auto"`` or a slice by dimension."""


def write_nodes(
    store: IcechunkStore,
    nodes: Mapping[str, xr.Dataset],
    *,
    group: str | None = None,
    mode: str | None = None,
    append_dim: str | None = None,
    region: Region | None = None,
    validate_containers: bool = True,
    last_updated_at: Any = None,
) -> None:
    """Write datasets by path below ``group``; see :meth:`vz_beam.datasets.accessor.VirtualDatasetAccessor.to_icechunk`.

    Raises:
        InputError: choices that do not go together or do not fit the store; no container for the referenced files.
        InputTypeError: something else than an Icechunk store.
        StoreExistsError: a group that is there, and ``mode`` does not allow to replace it.
        StoreMismatchError: all that differs between a dataset and the arrays that it shall go into.
        UnsupportedError: arrays, attributes or URLs that the store cannot express.
    """
    check_store(store)
    if append_dim is not None and region is not None:
        raise InputError(f"append_dim={append_dim!r} and region={region!r} exclude each other: give one of them")
    if mode is not None and (append_dim is not None or region is not None):
        raise InputError(f"mode={mode!r} does not go with append_dim or region, which write into what is there")
    root = "" if group is None else group.strip("/")
    paths = {join_path(root, path) if path else root: dataset for path, dataset in nodes.items()}
    manifests = _manifests(paths.values())
    if not manifests:
        warnings.warn(
            "the dataset has no virtual variable: all values are copied into the store, and no reference is written. "
            "Open files by open_virtual_dataset to write references",
            UserWarning,
            stacklevel=3,
        )
    locations = list(dict.fromkeys(url for manifest in manifests for url in manifest.iter_nonempty_paths()))
    urls = [icechunk_url(url) for url in locations]
    if validate_containers:
        check_containers(urls, store.session.config.virtual_chunk_containers)
    checksums = checksums_of(locations, last_updated_at)
    if append_dim is None and region is None:
        new = _new(paths)
        check_mode(store, root, mode or "w-", new)
        create_nodes(store, root, mode or "w-", new, checksums, validate_containers=validate_containers)
        return
    for parts in _existing(store, paths, append_dim, region):
        parts.write(store, checksums, validate_containers=validate_containers)


def check_store(store: Any) -> None:
    """Refuse what is no writable Icechunk store.

    Raises:
        InputTypeError: another kind of store.
        InputError: a store of a read-only session, or no icechunk here.
    """
    if not isinstance(store, icechunk_module().IcechunkStore):
        raise InputTypeError(
            f"to_icechunk needs an IcechunkStore, not a {type(store).__name__}: give session.store, where session is "
            "repository.writable_session('main')"
        )
    if store.read_only:
        raise InputError(
            "the store belongs to a read-only session: use the store of repository.writable_session('main')"
        )


def _manifests(datasets: Iterable[xr.Dataset]) -> list[Any]:
    arrays = (virtual_array(variable) for dataset in datasets for variable in dataset.variables.values())
    return [array.manifest for array in arrays if array is not None]


def _new(nodes: Mapping[str, xr.Dataset]) -> NewNodes:
    groups: dict[str, Document] = {}
    arrays: dict[str, NewArray] = {}
    for group, dataset in nodes.items():
        index = Index(())
        layout = plan_layout(SchemaAccumulator().add(schema_of(index, dataset)))
        new = new_nodes(layout, dict(place(layout, references_of(index, dataset))), group)
        groups |= {path: document for path, document in new.groups.items() if path == group or path not in groups}
        arrays |= new.arrays
    return NewNodes(dict(sorted(groups.items())), arrays)


def _existing(
    store: IcechunkStore, nodes: Mapping[str, xr.Dataset], append_dim: str | None, region: Region | None
) -> list[Parts]:
    """What is written into each node; in a tree, nodes without variables, or without the dimension, have no part."""
    if append_dim is not None:
        having = {path: dataset for path, dataset in nodes.items() if append_dim in dataset.dims}
        return [appended_parts(store, path, dataset, append_dim) for path, dataset in (having or nodes).items()]
    assert region is not None
    return [region_parts(store, path, dataset, region) for path, dataset in nodes.items() if dataset.variables]
