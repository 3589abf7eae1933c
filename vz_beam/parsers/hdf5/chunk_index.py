"""The chunks of all chunked datasets of a file, each index by the reader of its kind, all of them together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from h5py import h5s

from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.parsers.hdf5.btree_v1 import btree_v1_chunks
from vz_beam.parsers.hdf5.btree_v2 import btree_v2_chunks
from vz_beam.parsers.hdf5.extensible_array import extensible_array_chunks
from vz_beam.parsers.hdf5.file import NamedDamage, OpenFile
from vz_beam.parsers.hdf5.fixed_array import fixed_array_chunks, implicit_chunks
from vz_beam.parsers.hdf5.groups import FoundDataset
from vz_beam.parsers.hdf5.index_reading import ChunkIndex, Reading, read_together
from vz_beam.parsers.hdf5.layout import stored_chunks
from vz_beam.parsers.hdf5.layout_message import ChunkedLayout, IndexKind, chunked_layout
from vz_beam.parsers.hdf5.stored_chunks import ChunkCollector, GridPlaces, StoredChunks


def chunk_indexes(file: OpenFile, datasets: Mapping[str, tuple[FoundDataset, ChunkGrid]]) -> dict[str, StoredChunks]:
    """The stored chunks of each chunked dataset, by path; those outside the grid, left by shrinking, are ignored.

    Raises:
        FormatError: a damaged index; TruncatedFileError where it reaches over the end of the file.
    """
    result: dict[str, StoredChunks] = {}
    indexes: list[ChunkIndex] = []
    for path, (dataset, grid) in datasets.items():
        layout = _layout(dataset, grid)
        if layout is None:
            with NamedDamage(file.source.url, path):
                result[path] = stored_chunks(dataset.did, grid)
        elif layout.address is None:
            result[path] = StoredChunks.none()
        else:
            places = _grid_places(dataset, layout, grid, file.base)
            indexes.append(ChunkIndex(file.source.url, path, layout, _grid_limits(dataset, layout), places))
    return result | _read(file, indexes)


def _layout(dataset: FoundDataset, grid: ChunkGrid) -> ChunkedLayout | None:
    """What the header says; ``None`` where that is not what libhdf5 says, which has to tell the chunks then."""
    rank = dataset.did.rank
    layout = chunked_layout(dataset.messages) if rank else None
    return layout if layout is not None and layout.chunk_shape == grid.chunk_shape[:rank] else None


def _grid_limits(dataset: FoundDataset, layout: ChunkedLayout) -> tuple[int | None, ...]:
    limits = dataset.did.get_space().get_simple_extent_dims(True)
    return tuple(
        None if limit == h5s.UNLIMITED else -(-limit // chunk)
        for limit, chunk in zip(limits, layout.chunk_shape, strict=True)
    )


def _grid_places(dataset: FoundDataset, layout: ChunkedLayout, grid: ChunkGrid, base: int) -> GridPlaces:
    rank = len(layout.chunk_shape)  # an array datatype adds axes of one chunk to the grid
    edges = layout.chunk_shape if layout.edges_unfiltered else None
    return GridPlaces(grid.grid_shape[:rank], dataset.shape or (), base, edges)


def _read(file: OpenFile, indexes: list[ChunkIndex]) -> dict[str, StoredChunks]:
    """The chunks of each dataset, by path."""
    readings: list[Reading[list[StoredChunks]]] = []
    owners: list[ChunkIndex] = []
    end = file.nbytes - file.base
    trees: dict[int, list[ChunkIndex]] = {}
    for index in indexes:
        if index.layout.kind is IndexKind.BTREE_V1:
            trees.setdefault(index.rank, []).append(index)
        else:
            readings.append(_reading(index, end))
            owners.append(index)
    for same_rank in trees.values():
        readings.append(btree_v1_chunks(same_rank, end))
        owners += same_rank
    found = [chunks for each in read_together(file.bytes, file.base, readings) for chunks in each]
    return {index.path: chunks for index, chunks in zip(owners, found, strict=True)}


def _reading(index: ChunkIndex, end: int) -> Reading[list[StoredChunks]]:
    """The chunks of one index that is no version 1 B-tree; ``end`` is the address behind the file."""
    match index.layout.kind:
        case IndexKind.BTREE_V2:
            return [(yield from btree_v2_chunks(index, end))]
        case IndexKind.EXTENSIBLE_ARRAY:
            return [(yield from extensible_array_chunks(index))]
        case IndexKind.FIXED_ARRAY:
            return [(yield from fixed_array_chunks(index, end))]
        case IndexKind.IMPLICIT:
            return [implicit_chunks(index, end)]
        case _:
            return [_single(index)]


def _single(index: ChunkIndex) -> StoredChunks:
    nbytes, mask = index.layout.single or (index.chunk_nbytes, 0)
    collector = ChunkCollector(index.grid)
    columns = np.array([index.address], np.uint64), np.array([nbytes], np.uint64), np.array([mask], np.uint32)
    collector.add(np.zeros((1, index.rank), np.int64), *columns)
    return collector.chunks()
