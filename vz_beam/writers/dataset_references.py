"""Kerchunk references as version 1 of its specification says them in JSON: keys, and entries in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment
from vz_beam.combine.layout import Layout
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.shard_rows import ShardRows, array_rows

Reference = str | list[Any]
"""``"base64:..."`` of inlined bytes, or ``[url, offset, length]``."""


def kerchunk_dict(layout: Layout, fragments: Mapping[str, Fragment]) -> dict[str, Any]:
    """The whole store in memory: ``{"version": 1, "refs": {key: reference}}``.

    Args:
        layout: of the store.
        fragments: all references of each array, by its path; arrays may be absent.
    """
    references: dict[str, Reference] = dict(metadata_texts(layout))
    for path, array in layout.arrays.items():
        rows = array_rows(array, path, fragments.get(path, Fragment.empty()))
        references.update(chunk_references(rows, array.metadata.chunk_grid.grid_shape))
    return {"version": 1, "refs": references}


def metadata_texts(layout: Layout) -> Iterator[tuple[str, str]]:
    """Key and JSON text of every metadata document.

    A store with groups has consolidated metadata as well: without it zarr 3.1 lists groups below the root of
    a reference file system as empty, and xarray shows no variables and no error (measured).
    """
    documents = store_metadata(layout)
    if sum(key.endswith(".zgroup") for key in documents) > 1:
        consolidated = {"zarr_consolidated_format": 1, "metadata": documents}
        yield ".zmetadata", json.dumps(consolidated, ensure_ascii=False)
    for key, document in documents.items():
        yield key, json.dumps(document, ensure_ascii=False)


def chunk_keys(path: str, numbers: NDArray[np.int64], grid_shape: tuple[int, ...]) -> Iterator[str]:
    """Keys of the chunks with these C-order numbers; that of a scalar's chunk is ``<array>/0``.

    >>> list(chunk_keys("v", np.array([5]), (2, 3))), list(chunk_keys("v", np.array([0]), ()))
    (['v/1.2'], ['v/0'])
    """
    indexes = np.unravel_index(numbers, grid_shape) if grid_shape else (np.zeros(len(numbers), np.int64),)
    parts = [map(str, index.tolist()) for index in indexes]
    return (f"{path}/{'.'.join(index)}" for index in zip(*parts, strict=True))


def chunk_references(rows: ShardRows, grid_shape: tuple[int, ...]) -> Iterator[tuple[str, Reference]]:
    """Key and reference of every chunk that is not missing.

    URLs with braces stand as they are: readers expand templates only in files that define some (measured
    with fsspec 2026.9).
    """
    here = np.flatnonzero(rows.location_ids != MISSING)
    ids, offsets, lengths = (column[here].tolist() for column in (rows.location_ids, rows.offsets, rows.lengths))
    keys = chunk_keys(rows.key.path, here + rows.start, grid_shape)
    for key, row, location, offset, length in zip(keys, here.tolist(), ids, offsets, lengths, strict=True):
        if location == INLINED:
            yield key, "base64:" + base64.b64encode(rows.inlined[row]).decode()
        else:
            yield key, [rows.locations[location], offset, length]
