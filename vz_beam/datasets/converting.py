"""A store of references, or one file, as a store of another format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vz_beam.combine.choices import CHUNKS_PER_SHARD
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.schema import join_path
from vz_beam.combine.whole_shards import WholeShards
from vz_beam.errors import InputError
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import Attributes
from vz_beam.parsers.parser import find_parser
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.urls import canonical_url
from vz_beam.writers.input_table import InputTable
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import WriteTarget, find_writer, write_store


def convert_store(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    format: str | None = None,
    mode: str = "create",
    chunks_per_shard: int = CHUNKS_PER_SHARD,
    storage_options: Mapping[str, Any] | None = None,
    target_storage_options: Mapping[str, Any] | None = None,
    allow_external: bool = False,
) -> StoreSummary:
    """Write the references of a store, or of one file, into a store of another format; no data is read.

    What the store knows of its inputs goes along. All references are in memory meanwhile, at 20 bytes each.

    Args:
        source: path or URL of a store that a parser knows, or of a file.
        target: path or URL of the new store.
        format: of the new store; ``None`` takes it from the suffix.
        mode: ``"create"`` or ``"overwrite"``.
        chunks_per_shard: chunks in one object of the new store, where it has such.
        storage_options: for the source.
        target_storage_options: for the target; ``None`` takes those of the source.
        allow_external: as of :func:`open_virtual_dataset`.

    Raises:
        InputError: a target that no writer knows, or that is the source.
        StoreExistsError: a target that is there, with ``mode="create"``.
        UnsupportedError: arrays that the other format cannot express.
    """
    if mode == "append":
        raise InputError("a conversion makes a whole store: mode is 'create' or 'overwrite'")
    origin, place = canonical_url(source).rstrip("/"), canonical_url(target).rstrip("/")
    if origin == place:
        raise InputError(f"{origin} cannot be converted into itself: name another place")
    writer = find_writer(place, format)
    options = storage_options if target_storage_options is None else target_storage_options
    opened = open_file_or_folder(origin, storage_options, allow_external=allow_external)
    try:
        parser = find_parser(opened)
        group = parser.parse(opened)
        table = _input_table(origin, parser.name, opened, storage_options)
    finally:
        opened.close()
    layout, shards = layout_and_shards(group, chunks_per_shard, len(table.inputs))
    layout = replace(layout, holes=table.holes)
    return write_store(writer, place, layout, shards, mode=mode, storage_options=options, inputs=table.inputs)


def layout_and_shards(group: ManifestGroup, chunks_per_shard: int, inputs: int) -> tuple[Layout, WholeShards]:
    """What a writer needs of a group, all of its chunks being references."""
    arrays: dict[str, ArrayLayout] = {}
    manifests: dict[str, ChunkManifest] = {}
    groups: dict[str, Attributes] = {}
    for path, member in group.walk():
        groups[path] = member.attributes
        for name, array in member.arrays.items():
            whole = join_path(path, name)
            arrays[whole] = ArrayLayout(array.metadata)
            manifests[whole] = array.manifest
    layout = Layout(arrays, groups, chunks_per_shard=chunks_per_shard, inputs=inputs)
    return layout, WholeShards(manifests, chunks_per_shard)


def _input_table(url: str, format: str, source: ByteSource, options: Mapping[str, Any] | None) -> InputTable:
    """What a store says of its inputs; of a file, that it is the one."""
    try:
        writer = find_writer(url, format)
    except InputError:
        return InputTable((source.identity(),))
    return writer.input_table(WriteTarget(url), options)
