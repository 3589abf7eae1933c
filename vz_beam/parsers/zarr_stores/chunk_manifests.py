"""Zarr stores of version 3 whose arrays name a manifest of their chunks, instead of having them below.

Source: the idea is https://github.com/zarr-developers/zarr-specs/issues/287, "Manifest storage transformer".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vz_beam.errors import FormatError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk.documents import sorted_documents
from vz_beam.parsers.kerchunk.locations import Locations
from vz_beam.parsers.kerchunk.parquet_references import group_of_records
from vz_beam.parsers.kerchunk.store_group import Choices
from vz_beam.storage.byte_source import ByteSource

FIELD = "vz_beam.chunk_manifest"
"""Of the document of such an array, which readers that do not know it must refuse. It is a field of its own, since
groups of zarr-python 3.1 and 3.4 read over storage transformers, and would show fill values."""
CHUNKS_PER_FILE = "chunks_per_file"
_MOST_CHUNKS = 2**62


def manifest_field(chunks_per_file: int) -> dict[str, Any]:
    """What the document of an array says: its manifest is in files beside it, of so many chunks each."""
    return {FIELD: {"must_understand": True, "files": "refs.{number}.parq", CHUNKS_PER_FILE: chunks_per_file}}


def chunks_per_file(root: Any) -> int | None:
    """Of the root's document of a store with manifests; ``None`` of any other store.

    Raises:
        FormatError: arrays that disagree, or a number that is none.
    """
    inline = root.get("consolidated_metadata") if isinstance(root, Mapping) else None
    metadata = inline.get("metadata") if isinstance(inline, Mapping) else None
    if not isinstance(metadata, Mapping):
        return None
    arrays = [one for one in metadata.values() if isinstance(one, Mapping) and one.get("node_type") == "array"]
    sizes = [_size_of(one) for one in arrays]
    if all(size is None for size in sizes):
        return None
    if any(size != sizes[0] for size in sizes):
        raise FormatError(
            f"its arrays have manifests in files of {sorted(set(map(str, sizes)))} chunks, not of one size"
        )
    size = sizes[0]
    if type(size) is not int or not 1 <= size < _MOST_CHUNKS:
        raise FormatError(f"{CHUNKS_PER_FILE} is {size!r}, and should be a number of chunks")
    return size


def read_manifests(source: ByteSource, root: Any, record_size: int, choices: Choices) -> ManifestGroup:
    """The group of manifests of a store whose arrays name theirs.

    Args:
        source: of the root's document.
        root: the document itself.
        record_size: as of :func:`chunks_per_file`.
        choices: what is asked for.
    """
    documents = sorted_documents({"zarr.json": root})
    arrays = {
        path: replace(one, document={name: value for name, value in one.document.items() if name != FIELD})
        for path, one in documents.arrays.items()
    }
    documents = replace(documents, arrays=arrays)
    return group_of_records(source, documents, record_size, Locations(None), choices, fill_lost=False)


def _size_of(document: Mapping[str, Any]) -> Any:
    field = document.get(FIELD)
    if field is None:
        return None
    return field.get(CHUNKS_PER_FILE, "not there") if isinstance(field, Mapping) else "not there"
