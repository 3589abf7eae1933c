"""The Parquet file of a shard: a row for each chunk, as Kerchunk's references in Parquet have them.

Source: fsspec ``LazyReferenceMapper``; https://fsspec.github.io/kerchunk/spec.html, "Parquet references".
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vz_beam.combine.fragment import ShardKey
from vz_beam.manifests.chunk_manifest import INLINED
from vz_beam.writers.shard_rows import ShardRows

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


def _raw_column(rows: ShardRows) -> Any:
    """Each distinct chunk once: the fill chunk may stand in many rows."""
    distinct: dict[bytes, int] = {}
    ids = np.full(len(rows.location_ids), -1, np.int32)
    for row in np.flatnonzero(rows.location_ids == INLINED).tolist():
        ids[row] = distinct.setdefault(rows.inlined[row], len(distinct))
    return pa.DictionaryArray.from_arrays(pa.array(ids, mask=ids < 0), pa.array(list(distinct), pa.binary()))
