"""The stored chunks of all chunked datasets of a file: from the indexes that are decoded here, else from libhdf5."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.parsers.hdf5.chunk_btree import ChunkRecords, ChunkTree, chunk_records
from vz_beam.parsers.hdf5.file import NamedDamage, OpenFile
from vz_beam.parsers.hdf5.groups import FoundDataset
from vz_beam.parsers.hdf5.layout import StoredChunks, inside_grid, stored_chunks
from vz_beam.parsers.hdf5.object_header import ChunkTreeRoot, chunk_tree_root


def chunk_indexes(file: OpenFile, datasets: Mapping[str, tuple[FoundDataset, ChunkGrid]]) -> dict[str, StoredChunks]:
    """The stored chunks of each chunked dataset, by path; those outside the grid, left by shrinking, are ignored.

    Raises:
        FormatError: a damaged index; TruncatedFileError where it reaches over the end of the file.
    """
    result: dict[str, StoredChunks] = {}
    trees: list[ChunkTree] = []
    for path, (dataset, grid) in datasets.items():
        root = _root(dataset, grid)
        if root is None:
            with NamedDamage(file.source.url, path):
                result[path] = stored_chunks(dataset.did, grid)
        elif root.address is None:
            result[path] = StoredChunks.none()
        else:
            trees.append(ChunkTree(path, dataset.did.rank, root.address))
    for tree, records in zip(trees, chunk_records(file.bytes, file.base, trees), strict=True):
        result[tree.path] = _placed(records, file.base, datasets[tree.path][1])
    return result


def _root(dataset: FoundDataset, grid: ChunkGrid) -> ChunkTreeRoot | None:
    rank = dataset.did.rank
    root = chunk_tree_root(dataset.messages) if rank else None
    return root if root is not None and root.chunk_shape == grid.chunk_shape[:rank] else None


def _placed(records: ChunkRecords, base: int, grid: ChunkGrid) -> StoredChunks:
    rank = records.starts.shape[1]
    places = records.starts.astype(np.int64) // np.array(grid.chunk_shape[:rank], np.int64)
    # a sum that runs over 64 bits is the smaller one: the address itself, which lies behind the end of every file
    offsets = np.maximum(records.addresses, records.addresses + np.uint64(base))
    return inside_grid(places, grid, offsets, records.lengths, records.masks)
