"""A snapshot of an Icechunk repository as a group of manifests."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError, SourceNotFoundError, UnsupportedError, VzBeamError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.icechunk_repos.files import id_texts, payload, snapshot_of
from vz_beam.parsers.icechunk_repos.flatbuffer import FlatBuffer, Positions
from vz_beam.parsers.icechunk_repos.manifests import ChunkColumns, Manifest
from vz_beam.parsers.kerchunk.documents import ArrayDocument, sorted_documents
from vz_beam.parsers.kerchunk.store_group import Choices, check_sparse, manifest_group
from vz_beam.storage.folder_source import FolderSource
from vz_beam.storage.sibling_urls import member_url

_TOGETHER = 8
"""Manifests that are fetched at a time."""
_CONTAINER = "vcc://"
_ID, _PATH, _DOCUMENT, _NODE_TYPE, _NODE_DATA = 0, 1, 2, 3, 4
_NODES, _MANIFESTS = 2, 2
_ARRAY = 1
_DAMAGE = (IndexError, ValueError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True)
class _Array:
    """Where a snapshot has the chunks of an array.

    Args:
        node: id, as manifests have it.
        manifests: names of manifests.
        extents: for each manifest, the first and last index but one that it has, int64[dimensions, 2].
    """

    node: bytes
    manifests: Sequence[str]
    extents: Sequence[NDArray[np.int64]]


def read_repository(
    source: FolderSource,
    choices: Choices,
    branch: str | None,
    tag: str | None,
    snapshot_id: str | None,
    rows: Mapping[str, range] | None = None,
) -> ManifestGroup:
    """The group of manifests of a snapshot.

    Args:
        source: the folder.
        choices: what is asked for.
        branch: as of the parser.
        tag: as of the parser.
        snapshot_id: as of the parser.
        rows: for some arrays, which indexes along the first axis of the chunk grid are asked for; chunks elsewhere may
            be missing then.

    Raises:
        FormatError: damaged files of the repository.
        InputError: a branch, tag or group that is not there.
        UnsupportedError: arrays that references cannot express.
    """
    reading = _Reading(source)
    try:
        name = f"snapshots/{snapshot_of(source, reading.file, branch, tag, snapshot_id)}"
        documents, arrays = _nodes(payload(reading.file(name), "snapshot", name))
        found = sorted_documents(documents)
    except FormatError as error:
        raise FormatError(f"{source.url}: {error}") from error
    except VzBeamError:
        raise
    except _DAMAGE as error:
        raise FormatError(f"{source.url} is damaged: {type(error).__name__}: {error}") from error
    arrays = {path: _within(array, (rows or {}).get(path)) for path, array in arrays.items()}
    wanted = [arrays[path] for path in found.arrays if path in arrays and choices.wants(path) and choices.reads(path)]
    reading.fetch(list(dict.fromkeys(name for array in wanted for name in array.manifests)))
    reading.arrays = arrays
    return manifest_group(source.url, found, reading.manifest, choices, {})


def _within(array: _Array, rows: range | None) -> _Array:
    """The array with those manifests that have some of the rows."""
    if rows is None:
        return array
    pairs = [
        (name, extent)
        for name, extent in zip(array.manifests, array.extents, strict=True)
        if not len(extent) or (extent[0, 0] < rows.stop and extent[0, 1] > rows.start)
    ]
    return _Array(array.node, [name for name, _ in pairs], [extent for _, extent in pairs])


def _nodes(buffer: FlatBuffer) -> tuple[dict[str, Any], dict[str, _Array]]:
    """The document of each node by its key, and where the chunks of each array are."""
    nodes = buffer.tables(buffer.root, _NODES)
    documents: dict[str, Any] = {}
    arrays: dict[str, _Array] = {}
    kinds = buffer.field_numbers(nodes, _NODE_TYPE, "u1")
    data = buffer.targets(buffer.fields(nodes, _NODE_DATA))
    ids = buffer.rows(buffer.fields(nodes, _ID), 8)
    for row in range(len(nodes)):
        node = nodes[row : row + 1]
        path = buffer.text(node, _PATH).strip("/")
        start, count = buffer.vector(node, _DOCUMENT)
        documents[f"{path}/zarr.json" if path else "zarr.json"] = _document(path, buffer.data(start, count), kinds[row])
        if kinds[row] == _ARRAY:
            arrays[path] = _array(buffer, ids[row].tobytes(), data[row : row + 1])
    return documents, arrays


def _document(path: str, text: bytes, kind: int) -> Any:
    if not text and kind != _ARRAY:  # a group that was made by itself
        return {"zarr_format": 3, "node_type": "group"}
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the metadata of {path!r} is no JSON: {error}") from error


def _array(buffer: FlatBuffer, node: bytes, table: Positions) -> _Array:
    refs = buffer.tables(table, _MANIFESTS)
    names = [name.decode() for name in id_texts(buffer.rows(buffer.fields(refs, 0), 12)).tolist()]
    extents = []
    for row in range(len(refs)):
        start, count = buffer.vector(refs[row : row + 1], 1)
        extents.append(np.frombuffer(buffer.data(start, 8 * count), "<u4").reshape(count, 2).astype(np.int64))
    return _Array(node, [f"manifests/{name}" for name in names], extents)


class _Reading:
    """Fetches the files of a repository, and makes the manifest of each array."""

    def __init__(self, source: FolderSource) -> None:
        self.arrays: dict[str, _Array] = {}
        self._source = source
        self._manifests: dict[str, Manifest | VzBeamError] = {}

    def file(self, name: str) -> bytes:
        """All bytes of a file of the repository."""
        file = self._source.other(member_url(self._source.url, name))
        try:
            return file.read(0, file.size())
        finally:
            file.close()

    def fetch(self, names: Sequence[str]) -> None:
        """Reads some manifests, several at a time. What is wrong with one is the matter of its arrays."""
        with ThreadPoolExecutor(_TOGETHER) as pool:
            self._manifests |= zip(names, pool.map(self._fetched, names), strict=True)

    def _fetched(self, name: str) -> Manifest | VzBeamError:
        try:
            return Manifest(payload(self.file(name), "manifest", name), name)
        except (FormatError, SourceNotFoundError) as error:
            return error
        except _DAMAGE as error:
            return FormatError(f"{name} is damaged: {type(error).__name__}: {error}")

    def manifest(self, document: ArrayDocument, metadata: ArrayMetadata) -> ChunkManifest:
        """The places of an array's chunks.

        Raises:
            FormatError: damaged manifests.
            UnsupportedError: locations that only Icechunk knows.
        """
        array = self.arrays[document.path]
        grid_shape = metadata.chunk_grid.grid_shape
        parts = []
        for name, extent in zip(array.manifests, array.extents, strict=True):
            manifest = self._manifests[name]
            if isinstance(manifest, VzBeamError):
                raise manifest
            try:
                columns = manifest.chunks(array.node, len(grid_shape))
            except _DAMAGE as error:
                raise FormatError(f"{name} is damaged: {type(error).__name__}: {error}") from error
            parts.append((columns, _inside(columns.indexes, extent, grid_shape)))
        nchunks = sum(len(rows) for _, rows in parts)
        if not nchunks:
            return ChunkManifest.empty(grid_shape)
        check_sparse(metadata.chunk_grid.size, nchunks)
        return self._placed(parts, grid_shape)

    def _placed(
        self, parts: Sequence[tuple[ChunkColumns, NDArray[np.int64]]], grid_shape: tuple[int, ...]
    ) -> ChunkManifest:
        size = math.prod(grid_shape)
        ids = np.full(size, MISSING, np.int32)
        offsets, lengths = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
        inlined: dict[int, bytes] = {}
        known: dict[str, int] = {}
        for columns, rows in reversed(parts):  # a chunk is looked up in the first manifest that has it
            numbers = np.ravel_multi_index(tuple(columns.indexes[rows].T), grid_shape) if grid_shape else rows * 0
            urls = [self._url(location) for location in columns.locations]
            table = np.array([known.setdefault(url, len(known)) for url in urls] + [INLINED], np.int32)
            ids[numbers] = table[columns.location_ids[rows]]
            is_place = columns.location_ids[rows] >= 0
            offsets[numbers] = np.where(is_place, columns.offsets[rows], 0)
            lengths[numbers] = np.where(is_place, columns.lengths[rows], 0)
            for number, row in zip(numbers[~is_place].tolist(), rows[~is_place].tolist(), strict=True):
                inlined[number] = columns.inlined[row]
        inlined = {number: data for number, data in inlined.items() if ids[number] == INLINED}
        shaped = (ids.reshape(grid_shape), offsets.reshape(grid_shape), lengths.reshape(grid_shape))
        return ChunkManifest.from_columns(tuple(known), *shaped, inlined)

    def _url(self, location: str) -> str:
        if location.startswith(_CONTAINER):
            raise UnsupportedError(
                f"its chunks are in {location!r}, which is relative to a container that only Icechunk knows. Way out: "
                "write the references again with whole URLs"
            )
        if location.startswith("chunks/"):
            return member_url(self._source.url, location)
        scheme, _, rest = location.partition("://")
        return location if scheme in ("http", "https") else f"{scheme}://{unquote(rest)}"


def _inside(indexes: NDArray[np.int64], extent: NDArray[np.int64], grid_shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The rows of the chunks that are in the grid, and in the part of it that the manifest answers for."""
    if len(extent) != len(grid_shape):
        raise FormatError(f"a manifest has an extent of {len(extent)} dimensions, and the array has {len(grid_shape)}")
    ends = np.minimum(extent[:, 1], np.array(grid_shape, np.int64)) if grid_shape else extent[:, 1]
    return np.flatnonzero(((indexes >= extent[:, 0]) & (indexes < ends)).all(axis=1))
