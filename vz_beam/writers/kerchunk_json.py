"""Kerchunk references in one JSON file, for stores that are not large.

Source: https://fsspec.github.io/kerchunk/spec.html, version 1, without templates and generators.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.hole import Hole
from vz_beam.combine.layout import Layout
from vz_beam.errors import (
    FormatError,
    SourceNotFoundError,
    UnsupportedError,
)
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk.json_references import read_json
from vz_beam.parsers.kerchunk.store_group import choices_of
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.identity import Identity
from vz_beam.writers.appended_rows import appended_rows, fragment_of_group, group_as_stored, loaded_chunks
from vz_beam.writers.dataset_references import chunk_keys, chunk_references, metadata_texts
from vz_beam.writers.input_table import InputTable, joined_tables
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.receipts import check_receipts, summarize
from vz_beam.writers.staging import Staging, lost_parts, open_staging, part_key
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import AppendSides, WriteTarget, no_store, store_exists

MAX_REFERENCES = 2_000_000
"""A reader holds all references in memory, 236 MB a million (measured), and reads them all before the first value."""
_OURS, _INPUTS, _HOLES = "vz_beam", "inputs", "holes"
"""Where the inputs are in the file, beside its references: readers pass over keys that they do not know."""


class KerchunkJSONWriter:
    """Writes one file. Each shard is a part in ``.<name>.building``, and commit joins the parts."""

    name = "kerchunk-json"
    suffixes = (".json",)
    packages = ("kerchunk",)

    def sides(
        self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None
    ) -> AppendSides:
        """See :meth:`vz_beam.writers.writer.Writer.sides`."""
        staging = open_staging(target, storage_options)
        if not staging.is_taken():
            raise no_store(target)
        source = open_source(staging.url, storage_options)
        try:
            loaded = frozenset(path for path, array in layout.arrays.items() if array.is_loaded)
            stored = read_json(source, None, replace(choices_of(None, (), "raise"), referenced=loaded))
        finally:
            source.close()
        added = group_as_stored(store_metadata(layout), loaded_chunks(layout), staging.url)
        return AppendSides(stored, added, layout.chunks_per_shard, keeps_shards=False)

    def input_table(self, target: WriteTarget, storage_options: Mapping[str, Any] | None = None) -> InputTable:
        """See :meth:`vz_beam.writers.writer.Writer.input_table`."""
        staging = open_staging(target, storage_options)
        if not staging.is_taken():
            raise no_store(target)
        return _input_table(staging)

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """See :meth:`vz_beam.writers.writer.Writer.begin`."""
        store_metadata(layout)
        chunks = sum(array.metadata.chunk_grid.size for array in layout.arrays.values())
        if chunks > MAX_REFERENCES:
            raise UnsupportedError(
                f"{target.url}: {chunks:,} chunks are more than the {MAX_REFERENCES:,} that one JSON file should hold, "
                "since a reader keeps all of them in memory. Way out: write to a name ending in .parquet"
            )
        staging = open_staging(target, storage_options)
        if target.mode == "create" and staging.is_taken():
            raise store_exists(target)
        staging.parent.delete(staging.building)
        staging.claim_for(target.run)

    def write_shard(
        self,
        target: WriteTarget,
        layout: Layout,
        key: ShardKey,
        fragment: Fragment,
        storage_options: Mapping[str, Any] | None = None,
    ) -> ShardReceipt:
        """See :meth:`vz_beam.writers.writer.Writer.write_shard`."""
        staging = open_staging(target, storage_options)
        rows = appended_rows(layout, key, fragment, partial(_stored_fragment, staging, storage_options))
        grid_shape = layout.arrays[key.path].metadata.chunk_grid.grid_shape
        lines = (_line(name, reference) for name, reference in chunk_references(rows, grid_shape))
        data = "\n".join(lines).encode()
        staging.parent.sub(staging.building).write(part_key(key), data)
        return rows.receipt(data)

    def commit(
        self,
        target: WriteTarget,
        layout: Layout,
        receipts: Iterable[ShardReceipt],
        storage_options: Mapping[str, Any] | None = None,
        inputs: Iterable[Identity] = (),
    ) -> StoreSummary:
        """See :meth:`vz_beam.writers.writer.Writer.commit`."""
        staging = open_staging(target, storage_options)
        counted = check_receipts(layout, receipts, target.url)
        parts = staging.parent.sub(staging.building)
        absent = [part_key(key) for key in counted if not parts.exists(part_key(key))]
        if (absent or not counted) and _is_published(staging, layout, counted):
            data = staging.parent.read(staging.name)
        elif absent:
            raise lost_parts(target.url, parts.url, absent, len(counted))
        else:
            staging.check_claim(target.run)
            table = InputTable.of(inputs, layout.holes)
            if target.mode == "append":
                table = joined_tables(_input_table(staging), table, staging.url)
            data = _join([parts.read(part_key(key)) for key in counted], layout, table)
            if target.mode == "create" and staging.is_taken() and staging.parent.read(staging.name) != data:
                raise store_exists(target)
            staging.parent.write(staging.name, data)
        staging.parent.delete(staging.building)
        staging.release()
        return summarize(layout, counted, staging.url, self.name, len(data), self.packages)


def _line(name: str, reference: str | list[Any]) -> str:
    # A tab sorts before all that JSON leaves unescaped in a key, so lines sort as their keys do.
    if isinstance(reference, str):
        return f"{_dumps(name)}\t{_dumps(reference)}"
    url, offset, length = reference
    return f"{_dumps(name)}\t[{_url_text(url)}, {offset}, {length}]"


_dumps = json.JSONEncoder(ensure_ascii=False).encode
_url_text = lru_cache(maxsize=1024)(_dumps)


def _join(parts: Iterable[bytes], layout: Layout, table: InputTable) -> bytes:
    lines = [_line(name, text) for name, text in metadata_texts(layout)]
    for part in parts:
        # Not splitlines: it also cuts at separators that JSON leaves unescaped.
        lines += [line for line in part.decode().split("\n") if line]
    lines.sort()
    text = ",\n".join(line.replace("\t", ": ", 1) for line in lines)
    rows = {
        _INPUTS: [[one.url, one.size, one.etag, one.modified] for one in table.inputs],
        _HOLES: [hole.to_json() for hole in table.holes],
    }
    told = ", ".join(f'"{name}": [\n' + ",\n".join(map(_dumps, found)) + "\n]" for name, found in rows.items() if found)
    more = f', "{_OURS}": {{{told}}}' if told else ""
    return f'{{"version": 1, "refs": {{\n{text}\n}}{more}}}\n'.encode()


def _input_table(staging: Staging) -> InputTable:
    if not staging.is_taken():
        return InputTable()
    try:
        known = json.loads(staging.parent.read(staging.name)).get(_OURS, {})
        holes = tuple(map(Hole.from_json, known.get(_HOLES, ())))
        return InputTable(tuple(Identity(*row) for row in known.get(_INPUTS, ())), holes)
    except (ValueError, AttributeError, TypeError) as error:
        raise FormatError(f"{staging.url} is no JSON of references: {error}. Way out: build it anew") from None


def _stored_fragment(
    staging: Staging, storage_options: Mapping[str, Any] | None, path: str, numbers: NDArray[np.int64]
) -> Fragment:
    """The references that the store in its place has for some chunks of an array, int64[n] ascending."""
    source = open_source(staging.url, storage_options)
    try:
        group = _group(source)
    finally:
        source.close()
    return fragment_of_group(group, path, numbers)


_LAST_GROUP: dict[Identity, ManifestGroup] = {}


def _group(source: ByteSource) -> ManifestGroup:
    """The store's references, which are parsed once for all shards that a process writes."""
    identity = source.identity()
    if identity not in _LAST_GROUP:
        _LAST_GROUP.clear()
        _LAST_GROUP[identity] = read_json(source, None, choices_of(None, (), "raise"))
    return _LAST_GROUP[identity]


def _is_published(staging: Staging, layout: Layout, receipts: Mapping[ShardKey, ShardReceipt]) -> bool:
    """Whether this very store is in its place, put there by a commit that is now repeated."""
    if not staging.is_taken():
        return False
    try:
        references = json.loads(staging.parent.read(staging.name))["refs"]
    except (ValueError, KeyError, TypeError, SourceNotFoundError):
        return False
    if not dict(metadata_texts(layout)).items() <= references.items():
        return False
    for key, receipt in receipts.items():
        start = key.number * layout.chunks_per_shard
        numbers = np.arange(start, start + receipt.rows + receipt.missing)
        names = chunk_keys(key.path, numbers, layout.arrays[key.path].metadata.chunk_grid.grid_shape)
        lines = (_line(name, references[name]) for name in names if name in references)
        if zlib.crc32("\n".join(lines).encode()) != receipt.checksum:
            return False
    return True


WRITER = KerchunkJSONWriter()
