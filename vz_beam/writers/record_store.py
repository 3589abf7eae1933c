"""Stores of one Parquet file for each shard, and one document, written last, which makes them a store."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.errors import IncompleteStoreError, SourceNotFoundError
from vz_beam.manifests.chunk_manifest import MISSING
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk.record_files import read_records
from vz_beam.parsers.kerchunk.store_group import Choices, choices_of
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.identity import Identity
from vz_beam.writers.appended_rows import appended_rows, group_as_stored, loaded_chunks
from vz_beam.writers.input_table import INPUTS_KEY, InputTable, inputs_file, joined_tables, read_inputs_file
from vz_beam.writers.receipts import check_receipts, summarize
from vz_beam.writers.record_files import record_file, record_key
from vz_beam.writers.staging import Staging, lost_parts, open_staging
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import AppendSides, WriteTarget, no_store, store_exists

_RECORD_FILE = re.compile(r"refs\.\d+\.parq")
_ARRAY_DOCUMENT = "/zarr.json"


class RecordStoreWriter:
    """Writes ``<store>/<array>/refs.<k>.parq`` for shard ``k`` of each array, and a document that makes them a store.

    On a local disk the store is built as ``.<name>.building`` beside its place and renamed. On an object store,
    which has no rename, a new store is built in place: without its document no reader takes it for a store.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    metadata_key: ClassVar[str]
    """Of the document that is written last."""
    says_fill: ClassVar[bool]
    """Whether the format says what a missing chunk reads as."""

    def documents(self, layout: Layout) -> Mapping[str, Any]:
        """The metadata of all groups and arrays by key.

        Raises:
            UnsupportedError: arrays that the format cannot express.
        """
        raise NotImplementedError

    def metadata_files(self, layout: Layout) -> dict[str, bytes]:
        """What is written of the layout beside record files, by key; that of ``metadata_key`` is among them."""
        raise NotImplementedError

    def stored(self, source: ByteSource, choices: Choices) -> tuple[ManifestGroup, int]:
        """What a store has, and the number of chunks in each of its record files."""
        raise NotImplementedError

    def check(self, target: WriteTarget) -> None:
        """Refuses places that readers cannot open."""

    def sides(
        self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None
    ) -> AppendSides:
        """See :meth:`vz_beam.writers.writer.Writer.sides`."""
        staging = open_staging(target, storage_options)
        _recover(staging, self.metadata_key)
        if not staging.parent.exists(f"{staging.name}/{self.metadata_key}"):
            raise no_store(target)
        source = open_file_or_folder(staging.url, storage_options)
        try:
            loaded = loaded_chunks(layout)
            choices = replace(choices_of(None, (), "raise"), referenced=frozenset(loaded))
            stored, record_size = self.stored(source, choices)
            added = group_as_stored(self.documents(layout), loaded, staging.url)
            return AppendSides(stored, added, record_size, keeps_shards=True)
        finally:
            source.close()

    def input_table(self, target: WriteTarget, storage_options: Mapping[str, Any] | None = None) -> InputTable:
        """See :meth:`vz_beam.writers.writer.Writer.input_table`."""
        staging = open_staging(target, storage_options)
        _recover(staging, self.metadata_key)
        if not staging.parent.exists(f"{staging.name}/{self.metadata_key}"):
            raise no_store(target)
        return _input_table(staging)

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """See :meth:`vz_beam.writers.writer.Writer.begin`."""
        self.check(target)
        self.documents(layout)
        staging = open_staging(target, storage_options)
        _recover(staging, self.metadata_key)
        if target.mode == "create" and staging.is_taken():
            if staging.is_local or not _is_unfinished(staging):
                raise store_exists(target)
            staging.parent.delete(staging.name)
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
        rows = appended_rows(
            layout, key, fragment, partial(_stored_fragment, staging, layout), says_fill=self.says_fill
        )
        data = record_file(rows)
        staging.parent.sub(_place(target, staging)).write(record_key(key), data)
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
        files = self.metadata_files(layout)
        metadata = files[self.metadata_key]
        written = {record_key(key) for key in counted}
        place = _place(target, staging)
        built = staging.parent.sub(place)
        found = set(built.list())
        absent = sorted(written - found)
        if (absent or self.metadata_key in found) and _is_published(
            staging, self.metadata_key, metadata, counted.values()
        ):
            staging.parent.delete(staging.building)
        elif absent:
            raise lost_parts(target.url, built.url, absent, len(written), "record files")
        else:
            staging.check_claim(target.run)
            if (
                target.mode == "create"
                and staging.is_taken()
                and not (place == staging.name and _is_unfinished(staging))
            ):
                raise store_exists(target)
            table = InputTable.of(inputs, layout.holes)
            if target.mode == "append":
                table = joined_tables(_input_table(staging), table, staging.url)
            kept = _kept_keys(layout)
            if target.mode == "append" and staging.is_local:
                _keep(staging, kept)
            for key in sorted(found - written - {self.metadata_key}):
                built.delete(key)
            if any(table):
                built.write(INPUTS_KEY, inputs_file(table))
            for key in sorted(files, key=lambda name: (name == self.metadata_key, name)):
                built.write(key, files[key])
            if target.mode == "append" and not staging.is_local:
                _publish_in_place(staging, self.metadata_key)
            elif place == staging.building:
                staging.publish_folder()
        staging.release()
        stored = sum(map(len, files.values())) + sum(receipt.nbytes for receipt in counted.values())
        return summarize(layout, counted, staging.url, self.name, stored, self.packages)


def _place(target: WriteTarget, staging: Staging) -> str:
    """Name under which the shards are written."""
    return staging.name if target.mode == "create" and not staging.is_local else staging.building


def _is_unfinished(staging: Staging) -> bool:
    """Whether nothing but the files of a run that never ended is at the store's place."""
    keys = staging.parent.sub(staging.name).list()
    return bool(keys) and all(
        key == INPUTS_KEY or key.endswith(_ARRAY_DOCUMENT) or _RECORD_FILE.fullmatch(key.rpartition("/")[2])
        for key in keys
    )


def _stored_fragment(staging: Staging, layout: Layout, path: str, numbers: NDArray[np.int64]) -> Fragment:
    """The references that the store in its place has for some chunks of an array, int64[n] ascending."""
    array, size = layout.arrays[path], layout.chunks_per_shard
    total = math.prod(array.growth.stored) if array.growth is not None else array.metadata.chunk_grid.size
    store = staging.parent.sub(staging.name)
    parts = []
    for file in np.unique(numbers // size).tolist():
        here = numbers[numbers // size == file]
        key = record_key(ShardKey(path, file))
        try:
            data = store.read(key)
        except SourceNotFoundError:
            raise _lost(staging, [key]) from None
        records = read_records(data, f"{store.url}/{key}", min(size, total - file * size), size)
        rows = here - file * size
        is_here = records.ids[rows] != MISSING
        rows, here = rows[is_here], here[is_here]
        inlined = {
            int(number): records.inlined[row]
            for number, row in zip(here, rows.tolist(), strict=True)
            if row in records.inlined
        }
        part = Fragment(
            tuple(records.urls), here, records.ids[rows], records.offsets[rows], records.lengths[rows], inlined
        )
        parts.append(part.take(slice(None)))
    return merge_fragments(parts, path)


def _input_table(staging: Staging) -> InputTable:
    store = staging.parent.sub(staging.name)
    try:
        data = store.read(INPUTS_KEY)
    except SourceNotFoundError:
        return InputTable()
    return read_inputs_file(data, store.url)


def _kept_keys(layout: Layout) -> list[str]:
    """Record files of a store that grows that stay as they are."""
    return [
        record_key(ShardKey(path, number))
        for path, array in layout.arrays.items()
        for number in range(array.kept_shards)
    ]


def _keep(staging: Staging, keys: list[str]) -> None:
    for key in keys:
        try:
            staging.parent.copy(f"{staging.name}/{key}", f"{staging.building}/{key}")
        except SourceNotFoundError:
            raise _lost(staging, [key]) from None


def _lost(staging: Staging, keys: list[str]) -> IncompleteStoreError:
    return IncompleteStoreError(
        f"record file {keys[0]} of {staging.url} is not there, so references of the store are lost. "
        "Way out: build the store anew (mode='overwrite')"
    )


def _recover(staging: Staging, metadata_key: str) -> None:
    """Ends what a killed run had begun to publish: the old store is put back, or the grown one made whole."""
    staging.restore_replaced()
    if staging.is_local or staging.parent.exists(f"{staging.name}/{metadata_key}"):
        return
    if staging.is_taken() and staging.parent.exists(f"{staging.building}/{metadata_key}"):
        _publish_in_place(staging, metadata_key)


def _publish_in_place(staging: Staging, metadata_key: str) -> None:
    """Puts what was built into the store that is there.

    Meanwhile there is no metadata, and so no store to be read: neither the old nor the new one fits all record files.
    """
    staging.parent.delete(f"{staging.name}/{metadata_key}")
    for key in staging.parent.sub(staging.building).list():
        if key != metadata_key:
            staging.parent.copy(f"{staging.building}/{key}", f"{staging.name}/{key}")
    staging.parent.copy(f"{staging.building}/{metadata_key}", f"{staging.name}/{metadata_key}")
    staging.parent.delete(staging.building)


def _is_published(staging: Staging, metadata_key: str, metadata: bytes, receipts: Iterable[ShardReceipt]) -> bool:
    """Whether this very store is in its place, put there by a commit that is now repeated."""
    store = staging.parent.sub(staging.name)
    try:
        return store.read(metadata_key) == metadata and all(
            zlib.crc32(store.read(record_key(receipt.key))) == receipt.checksum for receipt in receipts
        )
    except SourceNotFoundError:
        return False
