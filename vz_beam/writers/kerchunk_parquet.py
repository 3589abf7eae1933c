"""Kerchunk references in Parquet: one file for each shard, and ``.zmetadata``, which makes them a store.

Source: fsspec ``LazyReferenceMapper``; https://fsspec.github.io/kerchunk/spec.html, "Parquet references".
"""

from __future__ import annotations

import io
import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.errors import IncompleteStoreError, InputError, SourceNotFoundError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.parsers.kerchunk.parquet_references import read_parquet, record_size_of
from vz_beam.parsers.kerchunk.record_files import read_records
from vz_beam.parsers.kerchunk.store_group import choices_of
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.identity import Identity
from vz_beam.writers.appended_rows import appended_rows, group_as_stored, loaded_chunks
from vz_beam.writers.input_table import INPUTS_KEY, inputs_file, joined_inputs, read_inputs_file, sorted_inputs
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.receipts import check_receipts, summarize
from vz_beam.writers.shard_rows import ShardRows
from vz_beam.writers.staging import Staging, open_staging
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import AppendSides, WriteTarget, no_store, store_exists

METADATA_KEY = ".zmetadata"
COMPRESSION_LEVEL = 3
"""Of ZSTD. Named, so that a change of a library's default does not change the bytes of a store."""
_FIELDS = (
    pa.field("path", pa.dictionary(pa.int32(), pa.string())),
    # Integers that may be null, or of which no statistics say that none is, reach fsspec as float64, with which it
    # cannot seek (measured: fastparquet 2026.9, pandas 3.1).
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("size", pa.int64(), nullable=False),
)
_RAW_FIELD = pa.field("raw", pa.dictionary(pa.int32(), pa.binary()))
_RECORD_FILE = re.compile(r"refs\.\d+\.parq")


class KerchunkParquetWriter:
    """Writes ``<store>/<array>/refs.<k>.parq`` for shard ``k`` of each array.

    On a local disk the store is built as ``.<name>.building`` beside its place and renamed. On an object store,
    which has no rename, a new store is built in place: without ``.zmetadata`` no reader takes it for a store.

    Readers of a store with groups must give ``remote_protocol`` among their storage options, and open groups by
    engine ``"zarr"`` on ``"reference://"``: fsspec 2026.9 takes every group for an array when it guesses the protocol,
    and engine ``"kerchunk"`` turns consolidated metadata off, without which zarr 3.1 shows groups as empty.
    """

    name = "kerchunk-parquet"
    suffixes = (".parquet", ".parq")
    packages = ("kerchunk", "fastparquet")

    def sides(
        self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None
    ) -> AppendSides:
        """See :meth:`vz_beam.writers.writer.Writer.sides`."""
        staging = open_staging(target, storage_options)
        _recover(staging)
        if not staging.parent.exists(f"{staging.name}/{METADATA_KEY}"):
            raise no_store(target)
        source = open_file_or_folder(staging.url, storage_options)
        try:
            loaded = frozenset(path for path, array in layout.arrays.items() if array.is_loaded)
            choices = replace(choices_of(None, (), "raise"), referenced=loaded)
            stored = read_parquet(source, None, choices, fill_lost=False)
            added = group_as_stored(store_metadata(layout), loaded_chunks(layout), staging.url)
            return AppendSides(stored, added, record_size_of(source), keeps_shards=True)
        finally:
            source.close()

    def inputs(self, target: WriteTarget, storage_options: Mapping[str, Any] | None = None) -> list[Identity]:
        """See :meth:`vz_beam.writers.writer.Writer.inputs`."""
        staging = open_staging(target, storage_options)
        _recover(staging)
        if not staging.parent.exists(f"{staging.name}/{METADATA_KEY}"):
            raise no_store(target)
        return _inputs(staging)

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """See :meth:`vz_beam.writers.writer.Writer.begin`."""
        if "{" in target.url or "}" in target.url:
            raise InputError(
                f"{target.url}: fsspec takes braces in the path of a store for fields to fill in, and could not read "
                "it. Way out: a path without braces"
            )
        store_metadata(layout)
        staging = open_staging(target, storage_options)
        _recover(staging)
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
        rows = appended_rows(layout, key, fragment, partial(_stored_fragment, staging, layout))
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
        metadata = metadata_file(layout)
        written = {record_key(key) for key in counted}
        place = _place(target, staging)
        built = staging.parent.sub(place)
        found = set(built.list())
        absent = sorted(written - found)
        if (absent or METADATA_KEY in found) and _is_published(staging, metadata, counted.values()):
            staging.parent.delete(staging.building)
        elif absent:
            raise IncompleteStoreError(
                f"store {target.url} is not published: {len(absent):,} of {len(written):,} record files are "
                f"not in {built.url} although they were written, the first is {absent[0]}. "
                "Way out: run again, one run at a time"
            )
        else:
            staging.check_claim(target.run)
            if (
                target.mode == "create"
                and staging.is_taken()
                and not (place == staging.name and _is_unfinished(staging))
            ):
                raise store_exists(target)
            known = _inputs(staging) if target.mode == "append" else []
            inputs = joined_inputs(known, inputs, staging.url) if known else sorted_inputs(inputs)
            kept = _kept_keys(layout)
            if target.mode == "append" and staging.is_local:
                _keep(staging, kept)
            for key in sorted(found - written - {METADATA_KEY}):
                built.delete(key)
            if inputs:
                built.write(INPUTS_KEY, inputs_file(inputs))
            built.write(METADATA_KEY, metadata)
            if target.mode == "append" and not staging.is_local:
                _publish_in_place(staging)
            elif place == staging.building:
                staging.publish_folder()
        staging.release()
        stored = len(metadata) + sum(receipt.nbytes for receipt in counted.values())
        return summarize(layout, counted, staging.url, self.name, stored, self.packages)


def record_key(key: ShardKey) -> str:
    """Where a shard stands in the store.

    >>> record_key(ShardKey("group/air", 2))
    'group/air/refs.2.parq'
    """
    return f"{key.path}/refs.{key.number}.parq"


def record_file(rows: ShardRows) -> bytes:
    """The Parquet file of a shard: the same bytes for the same rows."""
    fields, columns = (
        list(_FIELDS),
        [
            # True nulls: NaN in their place is what breaks other writers' stores under pandas 3.
            pa.DictionaryArray.from_arrays(
                pa.array(rows.location_ids, mask=rows.location_ids < 0), pa.array(rows.locations, pa.string())
            ),
            pa.array(rows.offsets),
            pa.array(rows.lengths),
        ],
    )
    if rows.inlined:
        fields.append(_RAW_FIELD)
        columns.append(_raw_column(rows))
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=pa.schema(fields)),
        buffer,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=["path", "raw"],
        write_statistics=["offset", "size"],
        store_schema=False,
        row_group_size=max(1, len(rows.location_ids)),
    )
    return buffer.getvalue()


def metadata_file(layout: Layout) -> bytes:
    """The ``.zmetadata`` document."""
    document = {"metadata": store_metadata(layout), "record_size": layout.chunks_per_shard}
    return json.dumps(document, ensure_ascii=False).encode()


def _raw_column(rows: ShardRows) -> Any:
    """Each distinct chunk once: the fill chunk may stand in many rows."""
    distinct: dict[bytes, int] = {}
    ids = np.full(len(rows.location_ids), -1, np.int32)
    for row in np.flatnonzero(rows.location_ids == INLINED).tolist():
        ids[row] = distinct.setdefault(rows.inlined[row], len(distinct))
    return pa.DictionaryArray.from_arrays(pa.array(ids, mask=ids < 0), pa.array(list(distinct), pa.binary()))


def _place(target: WriteTarget, staging: Staging) -> str:
    """Name under which the shards are written."""
    return staging.name if target.mode == "create" and not staging.is_local else staging.building


def _is_unfinished(staging: Staging) -> bool:
    """Whether nothing but the files of a run that never ended is at the store's place."""
    keys = staging.parent.sub(staging.name).list()
    return bool(keys) and all(key == INPUTS_KEY or _RECORD_FILE.fullmatch(key.rpartition("/")[2]) for key in keys)


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


def _inputs(staging: Staging) -> list[Identity]:
    store = staging.parent.sub(staging.name)
    try:
        data = store.read(INPUTS_KEY)
    except SourceNotFoundError:
        return []
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


def _recover(staging: Staging) -> None:
    """Ends what a killed run had begun to publish: the old store is put back, or the grown one made whole."""
    staging.restore_replaced()
    if staging.is_local or staging.parent.exists(f"{staging.name}/{METADATA_KEY}"):
        return
    if staging.is_taken() and staging.parent.exists(f"{staging.building}/{METADATA_KEY}"):
        _publish_in_place(staging)


def _publish_in_place(staging: Staging) -> None:
    """Puts what was built into the store that is there.

    Meanwhile there is no metadata, and so no store to be read: neither the old nor the new one fits all record files.
    """
    staging.parent.delete(f"{staging.name}/{METADATA_KEY}")
    for key in staging.parent.sub(staging.building).list():
        if key != METADATA_KEY:
            staging.parent.copy(f"{staging.building}/{key}", f"{staging.name}/{key}")
    staging.parent.copy(f"{staging.building}/{METADATA_KEY}", f"{staging.name}/{METADATA_KEY}")
    staging.parent.delete(staging.building)


def _is_published(staging: Staging, metadata: bytes, receipts: Iterable[ShardReceipt]) -> bool:
    """Whether this very store is in its place, put there by a commit that is now repeated."""
    store = staging.parent.sub(staging.name)
    try:
        return store.read(METADATA_KEY) == metadata and all(
            zlib.crc32(store.read(record_key(receipt.key))) == receipt.checksum for receipt in receipts
        )
    except SourceNotFoundError:
        return False


WRITER = KerchunkParquetWriter()
