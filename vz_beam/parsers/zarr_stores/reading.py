"""A Zarr store of version 2 or 3 as a group of manifests: each chunk is a file, a member, or a part of a shard.

Source: Zarr v2 and v3 core specifications; https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.inflate import INFLATE_ID
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk.chunk_numbers import OUTSIDE, chunk_numbers
from vz_beam.parsers.kerchunk.documents import ArrayDocument, sorted_documents
from vz_beam.parsers.kerchunk.store_group import Choices, check_sparse, manifest_group
from vz_beam.parsers.zarr_stores.chunk_manifests import chunks_per_file, read_manifests
from vz_beam.parsers.zarr_stores.keys import DOCUMENTS, FolderKeys, Keys, Place, ZipKeys
from vz_beam.parsers.zarr_stores.shards import Sharding, chunks_of_shards, without_shards
from vz_beam.storage.folder_source import FolderSource

_MOST_DOCUMENT_BYTES = 2**28


def read_folder(source: FolderSource, choices: Choices) -> ManifestGroup:
    """The group of manifests of a store in a folder, whose chunks are files, or whose arrays name manifests.

    Raises:
        FormatError: no Zarr store, or a damaged one.
        UnsupportedError: arrays that references cannot express.
    """
    if source.mark == "zarr.json":
        try:
            root = _json(source.mark, source.read(0, source.size()))
            record_size = chunks_per_file(root)
        except FormatError as error:
            raise FormatError(f"{source.url} holds no Zarr store that can be read: {error}") from error
        if record_size is not None:
            return read_manifests(source, root, record_size, choices)
    return read_store(FolderKeys(source), choices)


def read_store(keys: Keys, choices: Choices) -> ManifestGroup:
    """The group of manifests of a store.

    Raises:
        FormatError: no Zarr store, or a damaged one.
        UnsupportedError: arrays that references cannot express.
    """
    names = sorted(keys.names())
    try:
        documents = sorted_documents(_documents(keys, names))
    except FormatError as error:
        raise FormatError(
            f"{keys.url} holds no Zarr store that can be read: {error}. Way out: leave it out, or name another parser"
        ) from error
    reading = _Reading(keys, names)
    arrays = {path: reading.prepared(document) for path, document in documents.arrays.items()}
    return manifest_group(keys.url, replace(documents, arrays=arrays), reading.manifest, choices, {})


def _documents(keys: Keys, names: Sequence[str]) -> dict[str, Any]:
    """The JSON of every document by its key; consolidated metadata instead, where a store has it."""
    wanted = [name for name in names if name.rpartition("/")[2] in DOCUMENTS]
    whole = [name for name in (".zmetadata",) if name in wanted]
    texts = _read_documents(keys, whole or wanted)
    found = {name: _json(name, text) for name, text in texts.items()}
    if whole and not isinstance(found[whole[0]].get("metadata"), Mapping):
        texts = _read_documents(keys, [name for name in wanted if name not in whole])
        found = {name: _json(name, text) for name, text in texts.items()}
    root = found.get("zarr.json")
    if isinstance(root, Mapping) and isinstance(root.get("consolidated_metadata"), Mapping):
        return {"zarr.json": root}
    return found


def _read_documents(keys: Keys, names: Sequence[str]) -> dict[str, bytes]:
    if isinstance(keys, ZipKeys):
        return {name: keys.document(name) for name in names}
    places = keys.places(names)
    if sum(place.nbytes for place in places) > _MOST_DOCUMENT_BYTES:
        raise FormatError(f"its documents have more than {_MOST_DOCUMENT_BYTES:,} bytes")
    return dict(zip(names, keys.read(places), strict=True))


def _json(name: str, text: bytes) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name!r} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(f"{name!r} is a JSON {type(value).__name__}, and should be an object")
    return value


class _Reading:
    """Makes the manifest of each array; ``names`` are sorted."""

    def __init__(self, keys: Keys, names: Sequence[str]) -> None:
        self._keys = keys
        self._names = names
        self._shardings: dict[str, Sharding] = {}
        self._problems: dict[str, str] = {}

    def prepared(self, document: ArrayDocument) -> ArrayDocument:
        """A document that says what its chunks are here: those inside shards, and deflated ones."""
        try:
            is_deflated = self._keys.is_deflated(self._chunk_names(f"{document.path}/"))
        except UnsupportedError as error:
            self._problems[document.path] = str(error)
            return document
        if is_deflated:
            return replace(document, document=_deflated(document))
        if document.version == 3 and (inner := without_shards(document.document)) is not None:
            self._shardings[document.path] = inner[1]
            return replace(document, document=inner[0])
        return document

    def manifest(self, document: ArrayDocument, metadata: ArrayMetadata) -> ChunkManifest:
        """The places of an array's chunks.

        Raises:
            UnsupportedError: files below it that are no chunks, or empty; members that no codec decodes.
        """
        if document.path in self._problems:
            raise UnsupportedError(self._problems[document.path])
        before, separator = document.key_encoding()
        sharding = self._shardings.get(document.path)
        grid_shape = metadata.chunk_grid.grid_shape if sharding is None else sharding.grid_shape
        names = self._chunk_names(f"{document.path}/")
        if not grid_shape:
            names = [name for name in names if name in (f"{document.path}/0", f"{document.path}/c")]
        prefix = f"{document.path}/{before}"
        odd = [name for name in names if grid_shape and not name.startswith(prefix)]
        if odd:
            raise UnsupportedError(f"{odd[0]!r} is below it, and its chunks are called {prefix}...")
        numbers = chunk_numbers(names, grid_shape, separator, prefix)
        rows = np.flatnonzero(numbers != OUTSIDE)
        names = [names[row] for row in rows.tolist()]
        numbers = numbers[rows]
        if not len(numbers):
            return ChunkManifest.empty(metadata.chunk_grid.grid_shape)
        inside = 1 if sharding is None else math.prod(sharding.inside)
        check_sparse(metadata.chunk_grid.size, inside * len(numbers))
        places = self._keys.places(names)
        if sharding is not None:
            return chunks_of_shards(self._keys, places, numbers, sharding, metadata)
        return _of_places(places, numbers, grid_shape)

    def _chunk_names(self, prefix: str) -> list[str]:
        first = bisect.bisect_left(self._names, prefix)
        last = bisect.bisect_left(self._names, prefix[:-1] + "0")  # the character behind the slash
        return [name for name in self._names[first:last] if name.rpartition("/")[2] not in DOCUMENTS]


def _deflated(document: ArrayDocument) -> Any:
    """The document of an array with one more step of decoding, before all others."""
    known = document.document
    if not isinstance(known, Mapping):
        return known
    if document.version == 3:
        return {**known, "codecs": [*(known.get("codecs") or []), {"name": INFLATE_ID, "configuration": {}}]}
    before = [step for step in (*(known.get("filters") or []), known.get("compressor")) if step is not None]
    return {**known, "filters": before or None, "compressor": {"id": INFLATE_ID}}


def _of_places(places: Sequence[Place], numbers: NDArray[np.int64], grid_shape: tuple[int, ...]) -> ChunkManifest:
    size = math.prod(grid_shape)
    ids = np.full(size, MISSING, np.int32)
    offsets, lengths = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    known: dict[str, int] = {}
    for number, place in zip(numbers.tolist(), places, strict=True):
        if not place.nbytes:
            raise UnsupportedError(f"one of its chunks is an empty file ({place.url})")
        ids[number] = known.setdefault(place.url, len(known))
        offsets[number], lengths[number] = place.start, place.nbytes
    shaped = (offsets.reshape(grid_shape), lengths.reshape(grid_shape))
    return ChunkManifest.from_columns(tuple(known), ids.reshape(grid_shape), *shaped)
