"""A store that is there and the layout of what is put to its end, compared as two datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from vz_beam.combine.append import append_dimension, appended_layout, moved_to_end
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.hole import Holes
from vz_beam.combine.layout import Layout
from vz_beam.datasets.virtual_variables import group_dataset
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.identity import Identity
from vz_beam.storage.urls import url_in_stores
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget

_TOGETHER = 32
"""Inputs that are asked what they are at one time."""


def grown_layout(
    writer: Writer,
    target: WriteTarget,
    layout: Layout,
    storage_options: Mapping[str, Any] | None,
    open_location: Callable[[str], ByteSource],
) -> Layout:
    """The layout of the store at ``target`` with what ``layout`` says at its end.

    Args:
        writer: of the store.
        target: says the dimension along which it grows.
        layout: of what is added.
        storage_options: for the store.
        open_location: gives the byte source of a URL, for values that are in no store.

    Raises:
        StoreNotFoundError: no store is there.
        StoreMismatchError: all that the two disagree in.
    """
    dim = append_dimension(layout, target.append_dim)
    sides = writer.sides(target, layout, storage_options)
    loaded = {path for path, array in layout.arrays.items() if array.is_loaded}
    stored = group_dataset(sides.stored, loaded, target.url, open_location)
    added = group_dataset(sides.added, loaded, "what is appended", open_location)
    return appended_layout(stored, added, layout, dim, sides.chunks_per_shard, keeps_shards=sides.keeps_shards)


def append_store(
    writer: Writer,
    target: WriteTarget,
    layout: Layout,
    shards: Mapping[ShardKey, Fragment],
    open_location: Callable[[str], ByteSource],
    *,
    storage_options: Mapping[str, Any] | None = None,
    inputs: Iterable[Identity] = (),
) -> StoreSummary:
    """Put ``layout`` and its shards to the end of a store in one loop; the store stays as it is until the last step."""
    grown = grown_layout(writer, target, layout, storage_options, open_location)
    writer.begin(target, grown, storage_options)
    ends: dict[ShardKey, list[Fragment]] = {key: [] for key in grown.shard_keys()}
    for key, fragment in shards.items():
        for place, part in moved_to_end(grown, key, fragment):
            ends[place].append(part)
    receipts = [
        writer.write_shard(target, grown, key, merge_fragments(parts, key.path), storage_options)
        for key, parts in ends.items()
    ]
    return writer.commit(target, grown, receipts, storage_options, inputs)


class KnownInputs(NamedTuple):
    """URLs of the inputs that a store has: as they are now, and those that have changed since; its places without."""

    same: frozenset[str]
    changed: tuple[str, ...]
    holes: Holes


def known_inputs(
    writer: Writer,
    target: WriteTarget,
    urls: Iterable[str],
    storage_options: Mapping[str, Any] | None,
    source_options: Mapping[str, Any] | None = None,
    registry: Any = None,
) -> KnownInputs:
    """Those of ``urls`` that the store at ``target`` has; each of them is asked what it is: one request."""
    table = writer.input_table(target, storage_options)
    stored = {one.url: one for one in table.inputs}
    found = {url: stored[name] for url in urls if (name := url_in_stores(url)) in stored}

    def has_changed(url: str) -> bool:
        source = open_file_or_folder(url, source_options, registry)
        try:
            return not source.identity().is_same(found[url])
        finally:
            source.close()

    with ThreadPoolExecutor(_TOGETHER) as pool:
        changed = [url for url, is_other in zip(found, pool.map(has_changed, found), strict=True) if is_other]
    return KnownInputs(frozenset(found.keys() - set(changed)), tuple(sorted(changed)), Holes(table.holes))
