"""Zarr stores of version 3 whose arrays name a manifest of their chunks: a file of references for each shard.

A plain hierarchy of groups and arrays, with consolidated metadata in the root's document, which is written last. Each
array says by a field that must be understood where its manifest is, so that readers that do not know it refuse it.

Source: the idea is https://github.com/zarr-developers/zarr-specs/issues/287, "Manifest storage transformer".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from vz_beam.combine.layout import Layout
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.zarr_v3 import group_v3, to_v3
from vz_beam.parsers.kerchunk.json_text import json_value
from vz_beam.parsers.kerchunk.store_group import Choices
from vz_beam.parsers.zarr_stores.chunk_manifests import chunks_per_file, manifest_field, read_manifests
from vz_beam.storage.byte_source import ByteSource
from vz_beam.writers.kerchunk_metadata import groups_of
from vz_beam.writers.record_store import RecordStoreWriter

_DOCUMENT = "zarr.json"


class ZarrManifestWriter(RecordStoreWriter):
    """What ``xr.open_dataset(store, engine="vz_beam")`` opens."""

    name: ClassVar[str] = "zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr",)
    packages: ClassVar[tuple[str, ...]] = ("vz-beam",)
    metadata_key: ClassVar[str] = _DOCUMENT
    says_fill: ClassVar[bool] = True

    def documents(self, layout: Layout) -> Mapping[str, Any]:
        """See :meth:`vz_beam.writers.record_store.RecordStoreWriter.documents`."""
        found: dict[str, Any] = {_key(path): group_v3(attributes) for path, attributes in groups_of(layout).items()}
        problems = []
        for path, array in layout.arrays.items():
            try:
                found[_key(path)] = to_v3(array.metadata)
            except UnsupportedError as error:
                problems.append(f"array {path!r} cannot be said in Zarr v3: {error}. Way out: drop the variable")
        if problems:
            raise UnsupportedError("\n".join(problems))
        return found

    def metadata_files(self, layout: Layout) -> dict[str, bytes]:
        """See :meth:`vz_beam.writers.record_store.RecordStoreWriter.metadata_files`."""
        found = {
            key: {**document, **manifest_field(layout.chunks_per_shard)}
            if document["node_type"] == "array"
            else document
            for key, document in self.documents(layout).items()
        }
        metadata = {key.removesuffix(f"/{_DOCUMENT}"): one for key, one in sorted(found.items()) if key != _DOCUMENT}
        inline = {"kind": "inline", "must_understand": False, "metadata": metadata}
        found[_DOCUMENT] = {**found[_DOCUMENT], "consolidated_metadata": inline}
        return {key: json.dumps(document, ensure_ascii=False).encode() for key, document in found.items()}

    def stored(self, source: ByteSource, choices: Choices) -> tuple[ManifestGroup, int]:
        """See :meth:`vz_beam.writers.record_store.RecordStoreWriter.stored`."""
        root = json_value(source.read(0, source.size()), source.url)
        size = chunks_per_file(root)
        if size is None:
            raise FormatError(
                f"{source.url} is a Zarr store with chunks of its own, not with manifests. Way out: another name"
            )
        return read_manifests(source, root, size, choices), size


def _key(path: str) -> str:
    return f"{path}/{_DOCUMENT}" if path else _DOCUMENT


WRITER = ZarrManifestWriter()
