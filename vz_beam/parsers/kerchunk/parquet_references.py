"""References in Parquet, array by array, as manifests.

Source: https://fsspec.github.io/kerchunk/spec.html, "Parquet references"; fsspec's LazyReferenceMapper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, IncompleteStoreError, SourceNotFoundError
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk.documents import ArrayDocument, Documents, is_document, parsed_document, sorted_documents
from vz_beam.parsers.kerchunk.json_text import json_value
from vz_beam.parsers.kerchunk.locations import Locations, located
from vz_beam.parsers.kerchunk.record_files import Records, read_records
from vz_beam.parsers.kerchunk.store_group import Choices, check_sparse, manifest_group
from vz_beam.storage.byte_source import ByteSource

_TOGETHER = 16
"""Record files that are fetched side by side."""
_HEAD_BYTES = 2**22
"""Of a record file in its first request, which is all of it: 100,000 rows take less than a megabyte."""
_PARQUET = b"PAR1"


def read_parquet(source: ByteSource, root: str | None, choices: Choices, fill_lost: bool) -> ManifestGroup:
    """The group of manifests in a folder of references; see ``KerchunkParquetParser``."""
    if source.read_head(len(_PARQUET)) == _PARQUET:
        raise FormatError(
            f"{source.url} is one Parquet file, and references in Parquet are a folder of them with a file .zmetadata. "
            "Way out: name that folder"
        )
    value = json_value(source.read(0, source.size()), source.url)
    try:
        metadata, record_size = _contents(value)
        documents = sorted_documents({k: parsed_document(k, v) for k, v in metadata.items() if is_document(k)})
    except FormatError as error:
        raise FormatError(
            f"{source.url} holds no Kerchunk references that can be read: {error}. "
            "Way out: leave it out, or name another parser (parser=...)"
        ) from None
    return group_of_records(source, documents, record_size, Locations(root), choices, fill_lost)


def group_of_records(
    source: ByteSource, documents: Documents, record_size: int, locations: Locations, choices: Choices, fill_lost: bool
) -> ManifestGroup:
    """The group of manifests whose references are in record files.

    Args:
        source: of the document that makes the folder a store.
        documents: of its arrays and groups.
        record_size: chunks in each record file.
        locations: what names in record files stand for.
        choices: what is asked for.
        fill_lost: whether a record file that is not there has missing chunks only.
    """
    wanted = [document for path, document in documents.arrays.items() if choices.wants(path) and choices.reads(path)]
    files = _RecordFiles(source, record_size, fill_lost)
    try:
        files.begin(wanted)
        reading = _Reading(files, record_size, locations, source, fill_lost)
        return manifest_group(source.url, documents, reading.manifest, choices, {})
    finally:
        files.close()


def record_size_of(source: ByteSource) -> int:
    """The number of chunks in each record file of a folder of references."""
    return _contents(json_value(source.read(0, source.size()), source.url))[1]


class _RecordFiles:
    """The bytes of record files. Remote ones are fetched side by side, the first of each array before it is asked for.

    Args:
        source: of ``.zmetadata`` or its folder.
        record_size: chunks in a file.
        fill_lost: whether a file that is not there is ``None`` rather than an error.
    """

    def __init__(self, source: ByteSource, record_size: int, fill_lost: bool) -> None:
        self._source = source
        self._record_size = record_size
        self._fill_lost = fill_lost
        self._pool = None if source.url.startswith("file://") else ThreadPoolExecutor(_TOGETHER)
        self._first: dict[str, Future[tuple[str, bytes | None]]] = {}

    def begin(self, documents: list[ArrayDocument]) -> None:
        """Starts fetching the first file of each array."""
        if self._pool is not None:
            for document in documents:
                self._first[document.path] = self._pool.submit(self._fetch, document.path, 0)

    def of_array(self, path: str, count: int) -> Iterator[tuple[int, str, bytes | None]]:
        """Number, URL and bytes of each of the ``count`` files of an array."""
        for start in range(0, count, _TOGETHER):
            numbers = range(start, min(start + _TOGETHER, count))
            if self._pool is None:
                yield from ((number, *self._fetch(path, number)) for number in numbers)
                continue
            futures = [
                self._first.pop(path)
                if number == 0 and path in self._first
                else self._pool.submit(self._fetch, path, number)
                for number in numbers
            ]
            yield from ((number, *future.result()) for number, future in zip(numbers, futures, strict=True))

    def close(self) -> None:
        """Fetches no more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _fetch(self, path: str, number: int) -> tuple[str, bytes | None]:
        name = f"{path}/refs.{number}.parq"
        try:
            file = self._source.sibling(name)
            try:
                return file.url, _whole(file)
            finally:
                file.close()
        except SourceNotFoundError:
            if self._fill_lost:
                return name, None
            start = number * self._record_size
            raise IncompleteStoreError(
                f"record file {name} of {self._source.url} is not there, which holds the references of chunks "
                f"{start:,} to {start + self._record_size:,}. Way out: write the store again; or, where its writer "
                'leaves out files of nothing but missing chunks, KerchunkParquetParser(missing_records="fill")'
            ) from None


class _Reading:
    """Makes the manifest of each array."""

    def __init__(
        self, files: _RecordFiles, record_size: int, locations: Locations, source: ByteSource, fill_lost: bool
    ) -> None:
        self._files = files
        self._record_size = record_size
        self._locations = locations
        self._source = source
        self._fill_lost = fill_lost

    def manifest(self, document: ArrayDocument, metadata: ArrayMetadata) -> ChunkManifest:
        """The references of one array."""
        grid, step = metadata.chunk_grid, self._record_size
        if not grid.size:
            return ChunkManifest.empty(grid.grid_shape)
        if self._fill_lost:
            check_sparse(grid.size, step)
        found: list[tuple[int, Records]] = []
        # A damaged shape can claim any number of chunks: memory is taken for those that files have rows for.
        for number, url, data in self._files.of_array(document.path, -(-grid.size // step)):
            start = number * step
            if data is not None:
                found.append((start, read_records(data, url, min(step, grid.size - start), step)))
        return self._joined(found, grid.grid_shape, grid.size)

    def _joined(self, found: list[tuple[int, Records]], grid_shape: tuple[int, ...], count: int) -> ChunkManifest:
        ids = np.full(count, MISSING, np.int32)
        offsets, lengths = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
        names: dict[str, int] = {}
        inlined: dict[int, bytes] = {}
        for start, records in found:
            place = slice(start, start + len(records.ids))
            table = [names.setdefault(url, len(names)) for url in records.urls]
            ids[place] = np.array([*table, -2, -1], np.int32)[records.ids]
            offsets[place], lengths[place] = records.offsets, records.lengths
            inlined |= {start + row: data for row, data in records.inlined.items()}
        if not names and not inlined:
            return ChunkManifest.empty(grid_shape)
        whole = np.flatnonzero((ids >= 0) & (offsets == 0) & (lengths == 0))
        return located((ids, offsets, lengths), names, inlined, self._locations, self._source, whole, grid_shape)


def _contents(value: Any) -> tuple[Mapping[str, Any], int]:
    """The documents of ``.zmetadata`` by key, and the number of chunks in a record file."""
    if not isinstance(value, dict):
        raise FormatError(f"it is a JSON {type(value).__name__}, not an object")
    metadata, record_size = value.get("metadata"), value.get("record_size")
    if record_size is None:
        kind = "a Zarr store, whose chunks are in files of their own" if value.keys() & _ZARR_KEYS else "something else"
        raise FormatError(f"its document has no record_size, so it is {kind}")
    if type(record_size) is not int or not 1 <= record_size < 2**62:
        raise FormatError(f"record_size is {record_size!r}, and should be a number of chunks")
    if not isinstance(metadata, dict):
        raise FormatError("its document has no metadata, which should be a JSON object")
    return metadata, record_size


_ZARR_KEYS = frozenset(["zarr_consolidated_format", "zarr_format", "node_type"])


def _whole(file: ByteSource) -> bytes:
    if file.local_path is not None:
        return file.read(0, file.size())
    head = file.read_head(_HEAD_BYTES)
    return head + file.read(len(head), file.size()) if file.size() > len(head) else head
