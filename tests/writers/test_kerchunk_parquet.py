import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import InputError, StoreExistsError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.storage.byte_sink import open_sink
from vz_beam.testing.kerchunk_writer_suite import KerchunkWriterSuite
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_suite import CASES
from vz_beam.writers.kerchunk_parquet import WRITER
from vz_beam.writers.writer import WriteTarget, write_store


class TestKerchunkParquet(KerchunkWriterSuite):
    writer = WRITER
    suffix = ".parquet"


def test_a_record_file_holds_a_row_for_every_chunk_and_true_nulls(tmp_path: Path) -> None:
    store = RawStore(tmp_path, chunks_per_shard=4)
    store.add("v", np.arange(9, dtype="i2"), (1,), ("x",), missing={1: 0}, inlined=(2,))
    write_store(WRITER, tmp_path / "store.parquet", store.layout, store.shards())
    url = f"file://{tmp_path}/v {{{{0}}}}.bin"
    assert _columns(tmp_path / "store.parquet/v/refs.0.parq") == {
        "path": [url, None, None, url],
        "offset": [8, 0, 0, 10],
        "size": [2, 0, 0, 2],
        "raw": [None, None, b"\2\0", None],
    }
    assert _columns(tmp_path / "store.parquet/v/refs.2.parq") == {"path": [url], "offset": [20], "size": [2]}


def test_a_record_file_without_references_is_written(tmp_path: Path) -> None:
    store = RawStore(tmp_path, chunks_per_shard=2)
    store.add("v", np.arange(6, dtype="i2"), (1,), ("x",), missing={2: 0, 3: 0})
    summary = write_store(WRITER, tmp_path / "store.parquet", store.layout, store.shards())
    assert _columns(tmp_path / "store.parquet/v/refs.1.parq")["path"] == [None, None]
    assert (summary.references, summary.missing, summary.virtual_nbytes) == (4, 2, 8)


def test_metadata_values_are_objects_and_name_the_record_size(tmp_path: Path) -> None:
    store = RawStore(tmp_path, chunks_per_shard=7)
    CASES["nested groups"](store)
    write_store(WRITER, tmp_path / "store.parquet", store.layout, store.shards())
    document = json.loads((tmp_path / "store.parquet/.zmetadata").read_text())
    assert document["record_size"] == 7
    assert document["metadata"]["g/.zattrs"] == {"units": "kg/m3"}
    assert document["metadata"]["g/deep/.zgroup"] == {"zarr_format": 2}
    assert document["metadata"]["g/w/.zattrs"] == {"units": "kg/m3", "_ARRAY_DIMENSIONS": ["y"]}


def test_unused_and_unordered_locations_do_not_change_the_bytes(tmp_path: Path) -> None:
    metadata = ArrayMetadata((2,), np.dtype("i2"), (1,), dimension_names=("x",))
    layout = Layout({"v": ArrayLayout(metadata)}, {})
    written = []
    for name, locations, ids in (("a", ("s3://b/1", "s3://b/2"), [0, 1]), ("b", ("u", "s3://b/2", "s3://b/1"), [2, 1])):
        fragment = Fragment(
            locations,
            np.arange(2),
            np.array(ids, np.int32),
            np.array([8, 8], np.uint64),
            np.array([2, 2], np.uint32),
        )
        url = tmp_path / f"{name}.parquet"
        summary = write_store(WRITER, url, layout, {ShardKey("v", 0): fragment})
        written.append((url / "v/refs.0.parq").read_bytes())
        assert "s3fs" in summary.packages
    assert written[0] == written[1]


def test_on_an_object_store_a_store_is_invisible_until_its_metadata_is_written() -> None:
    target = WriteTarget("memory://vz-beam-writers/first.parquet")
    layout, key = _small_layout(), ShardKey("v", 0)
    sink = open_sink("memory://vz-beam-writers")
    sink.delete()
    WRITER.begin(target, layout)
    stale = WRITER.write_shard(target, layout, key, Fragment.empty())
    assert sink.list() == [".first.parquet.run", "first.parquet/v/refs.0.parq"]
    WRITER.begin(target, layout)  # a run was killed: what it left is cleared
    assert sink.list() == [".first.parquet.run"]
    receipt = WRITER.write_shard(target, layout, key, Fragment.empty())
    assert receipt == stale
    assert WRITER.commit(target, layout, [receipt]) == WRITER.commit(target, layout, [receipt])
    assert sink.list() == ["first.parquet/.zmetadata", "first.parquet/v/refs.0.parq"]
    with pytest.raises(StoreExistsError):
        WRITER.begin(target, layout)


def test_on_an_object_store_a_replaced_store_stays_until_commit() -> None:
    layout, key = _small_layout(), ShardKey("v", 0)
    sink = open_sink("memory://vz-beam-writers")
    sink.delete()
    sink.write("second.parquet/.zmetadata", b"old")
    sink.write("second.parquet/w/refs.0.parq", b"old")
    target = WriteTarget("memory://vz-beam-writers/second.parquet", "overwrite")
    WRITER.begin(target, layout)
    receipt = WRITER.write_shard(target, layout, key, Fragment.empty())
    assert sink.read("second.parquet/.zmetadata") == b"old"
    WRITER.commit(target, layout, [receipt])
    assert sink.list() == ["second.parquet/.zmetadata", "second.parquet/v/refs.0.parq"]
    assert sink.read("second.parquet/.zmetadata") != b"old"


def test_a_folder_of_other_things_is_never_taken_for_a_store_that_was_left_unfinished() -> None:
    sink = open_sink("memory://vz-beam-writers")
    sink.delete()
    sink.write("third.parquet/part-0.parquet", b"a table of somebody")
    with pytest.raises(StoreExistsError):
        WRITER.begin(WriteTarget("memory://vz-beam-writers/third.parquet"), _small_layout())
    assert sink.list() == ["third.parquet/part-0.parquet"]


def test_a_run_killed_between_its_two_renames_is_repaired_by_the_next(tmp_path: Path) -> None:
    store = RawStore(tmp_path)
    store.add("v", np.arange(3, dtype="i2"), (2,), ("x",))
    url = tmp_path / "store.parquet"
    write_store(WRITER, url, store.layout, store.shards())
    url.rename(tmp_path / ".store.parquet.replaced")
    WRITER.begin(WriteTarget(str(url), "overwrite"), store.layout)
    assert (url / ".zmetadata").exists()
    assert not (tmp_path / ".store.parquet.replaced").exists()


def test_a_path_with_braces_is_refused_since_fsspec_cannot_read_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="braces"):
        WRITER.begin(WriteTarget(str(tmp_path / "{a}.parquet")), _small_layout())


def _small_layout() -> Layout:
    return Layout({"v": ArrayLayout(ArrayMetadata((2,), np.dtype("i2"), (1,), dimension_names=("x",)))}, {})


def _columns(path: Path) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = pq.read_table(path, partitioning=None).to_pydict()
    return columns
