"""The rows of shards in which a store has chunks already, and the layout as a Kerchunk store says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.append import stored_numbers
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.errors import StoreMismatchError
from vz_beam.manifests.chunk_manifest import INLINED, ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk.documents import ArrayDocument, sorted_documents
from vz_beam.parsers.kerchunk.store_group import choices_of, manifest_group
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.shard_rows import ShardRows, chunks_in_shard, shard_rows

StoredFragment = Callable[[str, NDArray[np.int64]], Fragment]
"""Gives the references that a store has for some chunks, int64[n] ascending, of the array at a path."""


def appended_rows(layout: Layout, key: ShardKey, fragment: Fragment, stored: StoredFragment) -> ShardRows:
    """The rows of one shard: what the store has of it, and the references that are added.

    Raises:
        StoreMismatchError: an array that does not grow, and that is another one in what is added.
    """
    array = layout.arrays[key.path]
    if array.growth is None and not array.is_kept:
        return shard_rows(layout, key, fragment)
    start = key.number * layout.chunks_per_shard
    numbers = np.arange(start, start + chunks_in_shard(layout, key))
    if array.is_kept:
        kept = stored(key.path, numbers)
        _check_same(key.path, kept, fragment)
        return replace(shard_rows(layout, key, kept), placed=len(fragment))
    assert array.growth is not None
    before = stored_numbers(array.growth, array.metadata.chunk_grid.grid_shape, numbers)
    here = before >= 0
    known = stored(key.path, before[here])
    known = known.moved(numbers[here][np.searchsorted(before[here], known.numbers)])
    return replace(shard_rows(layout, key, merge_fragments([known, fragment], key.path)), placed=len(fragment))


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


def group_as_stored(layout: Layout, url: str) -> ManifestGroup:
    """A layout as a Kerchunk store says it, with the chunks of loaded arrays, and without those of others.

    Raises:
        UnsupportedError: arrays that Zarr v2 cannot express.
    """
    # as text and back, since a store is read from text: a float32 and what is written of it differ
    documents: dict[str, Any] = json.loads(json.dumps(store_metadata(layout)))

    def manifest_of(document: ArrayDocument, metadata: ArrayMetadata) -> ChunkManifest:
        grid, array = metadata.chunk_grid, layout.arrays[document.path]
        if not array.is_loaded:
            return ChunkManifest.empty(grid.grid_shape)
        ids = np.full(grid.grid_shape, INLINED, np.int32)
        zeros = np.zeros(grid.grid_shape, np.uint64)
        return ChunkManifest.from_columns((), ids, zeros, zeros, dict(array.chunks))

    return manifest_group(url, sorted_documents(documents), manifest_of, choices_of(None, (), "raise"), {})
