"""Parquet files are read by the thread that asks: others outlive the read, and abort a process that ends then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vz_beam.storage.parquet_tables import table_of

_THREADS = """
import os, sys
import pyarrow.parquet as pq
from vz_beam.storage.parquet_tables import table_of
data = open(sys.argv[1], "rb").read()
{import_more}
before = len(os.listdir("/proc/self/task"))
{read}
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"path": ["a", "b", "a", None], "size": [1, 2, 3, 4]}), path)
    return path


def test_columns_and_dictionaries(file: Path) -> None:
    table = table_of(file.read_bytes(), ["path"], dictionaries=["path"])
    assert table.column_names == ["path"]
    assert pa.types.is_dictionary(table["path"].type)
    assert table["path"].to_pylist() == ["a", "b", "a", None]
    assert table_of(file.read_bytes()).to_pydict() == {"path": ["a", "b", "a", None], "size": [1, 2, 3, 4]}


def test_a_damaged_file_is_an_error(file: Path) -> None:
    with pytest.raises((pa.ArrowException, OSError)):
        table_of(file.read_bytes()[:-9])
    with pytest.raises(KeyError):
        table_of(file.read_bytes(), ["path", "offset"])


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_no_thread_is_left_behind(file: Path) -> None:
    def left(read: str, import_more: str = "") -> int:
        code = _THREADS.format(read=read, import_more=import_more)
        return int(subprocess.run([sys.executable, "-c", code, file], check=True, capture_output=True).stdout)

    assert left("table_of(data)") == 0
    assert left("pq.read_table(sys.argv[1])", "import pyarrow.dataset") > 0  # what the count is able to see
