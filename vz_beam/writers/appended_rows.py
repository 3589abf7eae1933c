"""The rows of shards in which a store has chunks already, and the layout as a store of its format says it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.append import stored_numbers
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.combine.whole_shards import fragment_at
from vz_beam.errors import StoreMismatchError
from vz_beam.manifests.chunk_manifest import INLINED, ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk.documents import ArrayDocument, sorted_documents
from vz_beam.parsers.kerchunk.store_group import choices_of, manifest_group
from vz_beam.writers.shard_rows import ShardRows, chunks_in_shard, shard_rows

StoredFragment = Callable[[str, NDArray[np.int64]], Fragment]
"""Gives the references that a store has for some chunks, int64[n] ascending, of the array at a path."""


def appended_rows(
    layout: Layout, key: ShardKey, fragment: Fragment, stored: StoredFragment, *, says_fill: bool = False
) -> ShardRows:
    """The rows of one shard: what the store has of it, and the references that are added.

    Args:
        layout: of the store as it becomes.
        key: the shard.
        fragment: the references that are added.
        stored: what the store has.
        says_fill: as of :func:`vz_beam.writers.shard_rows.shard_rows`.

    Raises:
        StoreMismatchError: an array that does not grow, and that is another one in what is added.
    """
    array = layout.arrays[key.path]
    if array.growth is None and not array.is_kept:
        return shard_rows(layout, key, fragment, says_fill=says_fill)
    start = key.number * layout.chunks_per_shard
    numbers = np.arange(start, start + chunks_in_shard(layout, key))
    if array.is_kept:
        kept = stored(key.path, numbers)
        _check_same(key.path, kept, fragment)
        return replace(shard_rows(layout, key, kept, says_fill=says_fill), placed=len(fragment))
    assert array.growth is not None
    before = stored_numbers(array.growth, array.metadata.chunk_grid.grid_shape, numbers)
    here = before >= 0
    known = stored(key.path, before[here])
    known = known.moved(numbers[here][np.searchsorted(before[here], known.numbers)])
    both = merge_fragments([known, fragment], key.path)
    return replace(shard_rows(layout, key, both, says_fill=says_fill), placed=len(fragment))


def _check_same(path: str, kept: Fragment, added: Fragment) -> None:
    """Whether two inputs hold the same array is seen by the sizes of its chunks, as when a store is built at once."""
    common, rows, added_rows = np.intersect1d(kept.numbers, added.numbers, return_indices=True)
    lengths = [_sizes(kept)[rows], _sizes(added)[added_rows]]
    # chunks that no input has are in some stores as inlined fill values
    only_kept = np.setdiff1d(kept.numbers[kept.location_ids != INLINED], added.numbers)
    differ = [*common[lengths[0] != lengths[1]].tolist(), *np.setdiff1d(added.numbers, kept.numbers).tolist()]
    differ += only_kept.tolist()
    if differ:
        raise StoreMismatchError(
            (
                f"{path!r} does not grow and is not the same in the store and in what is appended: its chunk "
                f"{min(differ)} has another size there, and so have {len(differ) - 1:,} others",
            )
        )


def _sizes(fragment: Fragment) -> NDArray[np.int64]:
    sizes = fragment.lengths.astype(np.int64)
    for row in np.flatnonzero(fragment.location_ids == INLINED).tolist():
        sizes[row] = len(fragment.inlined[int(fragment.numbers[row])])
    return sizes


def fragment_of_group(group: ManifestGroup, path: str, numbers: NDArray[np.int64]) -> Fragment:
    """The references that a group has for some chunks, int64[n] ascending, of the array at a path."""
    *parents, name = path.split("/")
    for parent in parents:
        group = group.groups[parent]
    return fragment_at(group.arrays[name].manifest, numbers)


def loaded_chunks(layout: Layout) -> dict[str, Mapping[int, bytes]]:
    """The chunks of the loaded arrays of a layout, by path."""
    return {path: array.chunks for path, array in layout.arrays.items() if array.is_loaded}


def group_as_stored(documents: Mapping[str, Any], loaded: Mapping[str, Mapping[int, bytes]], url: str) -> ManifestGroup:
    """A layout as its store says it, with the chunks of loaded arrays, and without those of others.

    Args:
        documents: the store's metadata by key.
        loaded: the chunks of the loaded arrays by path, encoded as the metadata say.
        url: of the store.
    """
    # as text and back, since a store is read from text: a float32 and what is written of it differ
    texts: dict[str, Any] = json.loads(json.dumps(documents))

    def manifest_of(document: ArrayDocument, metadata: ArrayMetadata) -> ChunkManifest:
        grid_shape, chunks = metadata.chunk_grid.grid_shape, loaded.get(document.path)
        return ChunkManifest.empty(grid_shape) if chunks is None else ChunkManifest.from_inlined(grid_shape, chunks)

    return manifest_group(url, sorted_documents(texts), manifest_of, choices_of(None, (), "raise"), {})
