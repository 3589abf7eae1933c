"""Kerchunk references in Parquet: one file for each shard, and ``.zmetadata``, which makes them a store.

Source: fsspec ``LazyReferenceMapper``; https://fsspec.github.io/kerchunk/spec.html, "Parquet references".
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import IncompleteStoreError, InputError, SourceNotFoundError, StoreExistsError
from vz_beam.manifests.chunk_manifest import INLINED
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.receipts import check_receipts, summarize
from vz_beam.writers.shard_rows import ShardRows, shard_rows
from vz_beam.writers.staging import Staging, open_staging
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import WriteTarget

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

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """See :meth:`vz_beam.writers.writer.Writer.begin`."""
        if "{" in target.url or "}" in target.url:
            raise InputError(
                f"{target.url}: fsspec takes braces in the path of a store for fields to fill in, and could not read "
                "it. Way out: a path without braces"
            )
        store_metadata(layout)
        staging = open_staging(target, storage_options)
        staging.restore_replaced()
        if target.mode == "create" and staging.is_taken():
            if staging.is_local or not _is_unfinished(staging):
                raise _exists(target)
            staging.parent.delete(staging.name)
        staging.parent.delete(staging.building)

    def write_shard(
        self,
        target: WriteTarget,
        layout: Layout,
        key: ShardKey,
        fragment: Fragment,
        storage_options: Mapping[str, Any] | None = None,
    ) -> ShardReceipt:
        """See :meth:`vz_beam.writers.writer.Writer.write_shard`."""
        rows = shard_rows(layout, key, fragment)
        data = record_file(rows)
        staging = open_staging(target, storage_options)
        staging.parent.sub(_place(target, staging)).write(record_key(key), data)
        return rows.receipt(data)

    def commit(
        self,
        target: WriteTarget,
        layout: Layout,
        receipts: Iterable[ShardReceipt],
        storage_options: Mapping[str, Any] | None = None,
    ) -> StoreSummary:
        """See :meth:`vz_beam.writers.writer.Writer.commit`."""
        staging = open_staging(target, storage_options)
        counted = check_receipts(layout, receipts, target.url)
        metadata = metadata_file(layout)
        expected = {record_key(key) for key in counted}
        place = _place(target, staging)
        built = staging.parent.sub(place)
        found = set(built.list())
        absent = sorted(expected - found)
        if (absent or METADATA_KEY in found) and _is_published(staging, metadata, counted.values()):
            staging.parent.delete(staging.building)
        elif absent:
            raise IncompleteStoreError(
                f"store {target.url} is not published: {len(absent):,} of {len(expected):,} record files are "
                f"not in {built.url} although they were written, the first is {absent[0]}. "
                "Way out: run again, one run at a time"
            )
        else:
            if (
                target.mode == "create"
                and staging.is_taken()
                and not (place == staging.name and _is_unfinished(staging))
            ):
                raise _exists(target)
            for key in sorted(found - expected - {METADATA_KEY}):
                built.delete(key)
            built.write(METADATA_KEY, metadata)
            if place == staging.building:
                staging.publish_folder()
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
    return staging.building if staging.is_local or target.mode == "overwrite" else staging.name


def _is_unfinished(staging: Staging) -> bool:
    """Whether nothing but the record files of a run that never ended is at the store's place."""
    keys = staging.parent.sub(staging.name).list()
    return bool(keys) and all(_RECORD_FILE.fullmatch(key.rpartition("/")[2]) for key in keys)


def _is_published(staging: Staging, metadata: bytes, receipts: Iterable[ShardReceipt]) -> bool:
    """Whether this very store is in its place, put there by a commit that is now repeated."""
    store = staging.parent.sub(staging.name)
    try:
        return store.read(METADATA_KEY) == metadata and all(
            zlib.crc32(store.read(record_key(receipt.key))) == receipt.checksum for receipt in receipts
        )
    except SourceNotFoundError:
        return False


def _exists(target: WriteTarget) -> StoreExistsError:
    return StoreExistsError(
        f"{target.url} is there already. Way out: another name, mode='overwrite' to replace it, or delete it yourself"
    )


WRITER = KerchunkParquetWriter()
