"""The chunks of all chunked datasets of a file, each index by the reader of its kind, all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from h5py import h5s

from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.parsers.hdf5.btree_v1 import btree_v1_records
from vz_beam.parsers.hdf5.btree_v2 import btree_v2_records
from vz_beam.parsers.hdf5.extensible_array import extensible_array_records
from vz_beam.parsers.hdf5.file import NamedDamage, OpenFile
from vz_beam.parsers.hdf5.fixed_array import fixed_array_records, implicit_records
from vz_beam.parsers.hdf5.groups import FoundDataset
from vz_beam.parsers.hdf5.index_reading import ChunkIndex, ChunkRecords, Reading, read_together
from vz_beam.parsers.hdf5.layout import StoredChunks, inside_grid, stored_chunks
from vz_beam.parsers.hdf5.layout_message import ChunkedLayout, IndexKind, chunked_layout

_ALL_FILTERS = np.uint32(2**32 - 1)
"""The mask of a chunk that went through no filter."""


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
            limits = _grid_limits(dataset, layout)
            indexes.append(ChunkIndex(file.source.url, path, layout, limits))
    for index, records in _records(file, indexes):
        dataset, grid = datasets[index.path]
        result[index.path] = _placed(index, records, file.base, dataset, grid)
    return result


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


def _records(file: OpenFile, indexes: list[ChunkIndex]) -> list[tuple[ChunkIndex, ChunkRecords]]:
    readings: list[Reading[list[ChunkRecords]]] = []
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
        readings.append(btree_v1_records(same_rank, end))
        owners += same_rank
    found = read_together(file.bytes, file.base, readings)
    return list(zip(owners, (records for each in found for records in each), strict=True))


def _reading(index: ChunkIndex, end: int) -> Reading[list[ChunkRecords]]:
    """The chunks of one index that is no version 1 B-tree; ``end`` is the address behind the file."""
    match index.layout.kind:
        case IndexKind.BTREE_V2:
            return [(yield from btree_v2_records(index, end))]
        case IndexKind.EXTENSIBLE_ARRAY:
            return [(yield from extensible_array_records(index))]
        case IndexKind.FIXED_ARRAY:
            return [(yield from fixed_array_records(index, end))]
        case IndexKind.IMPLICIT:
            return [implicit_records(index, end)]
        case _:
            return [_single(index)]


def _single(index: ChunkIndex) -> ChunkRecords:
    nbytes, mask = index.layout.single or (index.chunk_nbytes, 0)
    places = np.zeros((1, index.rank), np.int64)
    columns = np.array([index.address], np.uint64), np.array([nbytes], np.uint64), np.array([mask], np.uint32)
    return ChunkRecords(places, *columns)


def _placed(
    index: ChunkIndex, records: ChunkRecords, base: int, dataset: FoundDataset, grid: ChunkGrid
) -> StoredChunks:
    if index.layout.edges_unfiltered and dataset.shape is not None:
        ends = (records.places + 1) * np.array(index.layout.chunk_shape, np.int64)
        is_edge = np.any(ends > np.array(dataset.shape, np.int64), axis=1)
        records = replace(records, masks=np.where(is_edge, _ALL_FILTERS, records.masks))
    # a sum that runs over 64 bits is the smaller one: the address itself, which lies behind the end of every file
    offsets = np.maximum(records.addresses, records.addresses + np.uint64(base))
    return inside_grid(records.places, grid, offsets, records.lengths, records.masks)
