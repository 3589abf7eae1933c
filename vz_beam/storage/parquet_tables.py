"""Parquet files in memory as tables, read by the thread that asks and by no other.

``pyarrow.parquet.read_table`` reads by threads that go on for a moment after it has returned. A process that ends then
is aborted or hangs, with all its work done (https://github.com/apache/arrow/issues/34314, 50482): of runs of ``vz-beam
watch`` that found nothing new, one in fifty.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq


def table_of(data: bytes, columns: Sequence[str] | None = None, dictionaries: Sequence[str] = ()) -> pa.Table:
    """The table of a whole Parquet file.

    Args:
        data: the file.
        columns: those that are wanted of it; all without.
        dictionaries: columns that come as distinct values and places among them.

    Raises:
        pyarrow.ArrowException: a damaged file, also as ``OSError``.
        KeyError: a column that it has not.
    """
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=list(dictionaries))
    wanted = None if columns is None else list(columns)
    table = file.read(wanted, use_threads=False, use_pandas_metadata=False)
    return table if wanted is None else table.select(wanted)
