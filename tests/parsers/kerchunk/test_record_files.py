"""Record files of Parquet stores: every form that readers know, and what is lost, cut or odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vz_beam
from tests.parsers.kerchunk.stores import (
    array_document,
    dimensions,
    open_ours,
    stored_by_zarr,
    write_parquet_store,
    written_store,
)
from vz_beam.errors import FormatError, InputError, TruncatedFileError, UnsupportedError
from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
from vz_beam.testing.parser_suite import assert_same_values, stored_values

DOCUMENTS = {".zgroup": {"zarr_format": 2}, "v/.zarray": array_document([9], [2]), "v/.zattrs": dimensions("x")}
VALUES = np.arange(10, dtype="<i2")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file of the five chunks of ``v``."""
    path = tmp_path / "data.bin"
    path.write_bytes(VALUES.tobytes())
    return f"file://{path}"


def rows(url: str) -> dict[str, list[Any]]:
    """All of ``v``: a chunk of the file, an inlined one, a missing one, and two more of the file."""
    return {
        "path": [url, None, None, url, url],
        "offset": [0, 0, 0, 12, 16],
        "size": [4, 0, 0, 4, 4],
        "raw": [None, VALUES[2:4].tobytes(), None, None, None],
    }


EXPECTED = [0, 1, 2, 3, 0, 0, 6, 7, 8]


def read(store: str, **words: Any) -> list[Any]:
    return stored_values(KerchunkParquetParser(**words)(store))["v"].tolist()  # type: ignore[no-any-return]


def refused(store: str, **words: Any) -> str:
    with pytest.raises((FormatError, UnsupportedError, InputError)) as refusal:
        KerchunkParquetParser(**words)(store)
    return str(refusal.value)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 100])
def test_rows_are_chunks_in_order_over_record_files_of_any_size(tmp_path: Path, url: str, size: int) -> None:
    columns = rows(url)
    records = {
        f"v/refs.{number}.parq": {name: column[start : start + size] for name, column in columns.items()}
        for number, start in enumerate(range(0, 5, size))
    }
    assert read(write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, records, size)) == EXPECTED


def test_padding_behind_the_last_chunk_is_left_alone(tmp_path: Path, url: str) -> None:
    columns = {name: [*column, *column[:1] * 4] for name, column in rows(url).items()}
    assert read(write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, {"v/refs.0.parq": columns}, 9)) == EXPECTED


NULL_FLOATS = pa.array([0.0, None, None, 12.0, 16.0], pa.float64())
FORMS = {
    "texts": {},
    "large texts": {"path": pa.large_string()},
    "categories": {"path": pa.dictionary(pa.int32(), pa.string())},
    "small categories": {"path": pa.dictionary(pa.int8(), pa.large_string())},
    "unsigned": {"offset": pa.uint64(), "size": pa.uint32()},
    "short": {"offset": pa.int32(), "size": pa.int16()},
    "floats": {"offset": pa.float64(), "size": pa.float64()},
    "large bytes": {"raw": pa.large_binary()},
}
"""Types of columns other than those that vz_beam writes; all have been met."""


@pytest.mark.parametrize("form", FORMS)
def test_columns_of_any_type_that_fits_are_read(tmp_path: Path, url: str, form: str) -> None:
    table = pa.table(rows(url))
    for name, kind in FORMS[form].items():
        place = table.column_names.index(name)
        column = table[name].combine_chunks()
        column = column.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column.cast(kind)
        table = table.set_column(place, name, column)
    store = write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, {"v/refs.0.parq": table}, 5)
    assert read(store) == EXPECTED


def test_numbers_beside_nulls_may_be_null_or_nan(tmp_path: Path, url: str) -> None:
    for number, column in enumerate((NULL_FLOATS, pa.array([0, None, None, 12, 16]), NULL_FLOATS.fill_null(np.nan))):
        table = pa.table(rows(url)).set_column(1, "offset", column)
        store = write_parquet_store(tmp_path / f"{number}.parquet", DOCUMENTS, {"v/refs.0.parq": table}, 5)
        assert read(store) == EXPECTED


def test_columns_may_be_in_any_order_with_others_and_without_raw(tmp_path: Path, url: str) -> None:
    columns = {
        "more": [1] * 5, "size": [4] * 5, "offset": [0, 4, 8, 12, 16], "__index_level_0__": [0] * 5, "path": [url] * 5,
    }  # fmt: skip
    store = write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, {"v/refs.0.parq": columns}, 5)
    assert read(store) == VALUES[:9].tolist() == stored_by_zarr(store)["v"].tolist()


def test_several_row_groups_are_one_file(tmp_path: Path, url: str) -> None:
    store = write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, {}, 5)
    (tmp_path / "s.parquet/v").mkdir()
    for encoded in (True, False):
        pq.write_table(pa.table(rows(url)), f"{store}/v/refs.0.parq", row_group_size=2, use_dictionary=encoded)
        assert read(store) == EXPECTED


def test_offset_and_size_0_are_the_whole_file_as_fsspec_reads_it(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(np.array([ord(name), 1], "<i2").tobytes())
    documents = {**DOCUMENTS, "v/.zarray": array_document([4], [2])}
    columns = {"path": [str(tmp_path / "a"), f"file://{tmp_path}/b"], "offset": [0, 0], "size": [0, 0]}
    columns["raw"] = pa.array([None, None], pa.binary())
    store = write_parquet_store(tmp_path / "s.parquet", documents, {"v/refs.0.parq": columns}, 2)
    assert read(store) == [97, 1, 98, 1] == stored_by_zarr(store)["v"].tolist()
    manifest = KerchunkParquetParser()(store).group.arrays["v"].manifest
    assert manifest.lengths.tolist() == [4, 4]


def test_raw_bytes_that_are_marked_as_base64_are_decoded_as_fsspec_does(tmp_path: Path) -> None:
    documents = {**DOCUMENTS, "v/.zarray": array_document([18], [9], "|u1")}
    columns = {"path": [None, None], "offset": [0, 0], "size": [0, 0], "raw": [b"base64:AAECAwQFBgcI", b"123456789"]}
    table = pa.table(columns, pa.schema(zip(columns, (pa.string(), pa.int64(), pa.int64(), pa.binary()), strict=True)))
    store = write_parquet_store(tmp_path / "s.parquet", documents, {"v/refs.0.parq": table}, 2)
    assert read(store) == [*range(9), *b"123456789"] == stored_by_zarr(store)["v"].tolist()


def test_relative_paths_need_a_root(tmp_path: Path, url: str) -> None:
    store = write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, {"v/refs.0.parq": rows("data.bin")}, 5)
    assert "fs_root=" in refused(store)
    assert read(store, fs_root=str(tmp_path)) == EXPECTED


def test_a_lost_record_file_is_refused_by_name_where_fsspec_shows_the_fill(tmp_path: Path) -> None:
    raw, store = written_store(tmp_path, "60 references, no chunk missing, several record file", "parquet")
    (lost,) = Path(store).glob("v/refs.3.parq")
    lost.unlink()
    shown = stored_by_zarr(store)["v"]
    assert not np.array_equal(shown, raw.stored["v"])
    message = refused(store)
    assert "v/refs.3.parq" in message
    assert "chunks 12 to 16" in message
    assert 'missing_records="fill"' in message
    filled = KerchunkParquetParser(missing_records="fill")
    assert_same_values(stored_values(filled(store))["v"], shown)
    dataset = vz_beam.open_virtual_dataset(store, unsupported="skip")
    assert list(dataset.vz.skipped) == ["v"]
    with open_ours(store, parser=filled) as ours:
        assert int(np.isnan(ours["v"].values).sum()) == 8


def test_files_that_kerchunk_leaves_out_since_they_have_no_reference_are_missing_chunks(
    tmp_path: Path, url: str
) -> None:
    documents = {**DOCUMENTS, "v/.zarray": array_document([40], [2], fill_value=7)}
    columns = {"path": [None, url], "offset": [0, 4], "size": [0, 4], "raw": pa.array([None, None], pa.binary())}
    store = write_parquet_store(tmp_path / "s.parquet", documents, {"v/refs.4.parq": columns}, 2)
    assert "v/refs.0.parq" in refused(store)
    assert read(store, missing_records="fill") == [7] * 18 + [2, 3] + [7] * 20
    (tmp_path / "s.parquet/v/refs.4.parq").unlink()
    assert read(store, missing_records="fill") == [7] * 40


def test_a_record_file_cut_anywhere_is_refused_by_name(tmp_path: Path) -> None:
    raw, store = written_store(tmp_path, "60 references, middle chunk missing, several record file", "parquet")
    path = Path(store) / "v/refs.7.parq"
    data = path.read_bytes()
    for stop in [0, 1, 4, *range(5, len(data), 97), len(data) - 20, len(data) - 1]:
        path.write_bytes(data[:stop])
        for words in ({}, {"missing_records": "fill"}):
            assert "refs.7.parq" in refused(store, **words), stop
    path.write_bytes(data)
    assert_same_values(stored_values(KerchunkParquetParser()(store))["v"][:5], raw.stored["v"][:5])


def test_a_record_file_with_too_few_or_too_many_rows_is_refused_by_name(tmp_path: Path, url: str) -> None:
    columns = rows(url)
    short = {name: column[:4] for name, column in columns.items()}
    store = write_parquet_store(tmp_path / "short.parquet", DOCUMENTS, {"v/refs.0.parq": short}, 5)
    assert "has 4 rows for 5 chunks" in refused(store)
    store = write_parquet_store(tmp_path / "long.parquet", DOCUMENTS, {"v/refs.0.parq": columns}, 4)
    message = refused(store)
    assert "refs.0.parq has 5 rows, and record_size in .zmetadata is 4" in message


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("path", None, "no column 'path'"),
        ("size", None, "no column 'size'"),
        ("path", [1] * 5, "column 'path'"),
        ("path", [b"\xff"] * 5, "column 'path'"),
        ("path", [""] * 5, "empty URL"),
        ("offset", ["0"] * 5, "column 'offset'"),
        ("offset", [-1] * 5, "holds -1"),
        ("size", [0.5] * 5, "holds 0.5"),
        ("size", [1e300] * 5, "holds 1e+300"),
        ("offset", [float("inf")] * 5, "holds inf"),
        ("offset", pa.array([2**64 - 1] * 5, pa.uint64()), "holds 18446744073709551615"),
        ("raw", [1] * 5, "column 'raw'"),
    ],
)
def test_columns_that_make_no_references_are_refused_by_name(
    tmp_path: Path, url: str, name: str, column: Any, words: str
) -> None:
    columns = {**rows(url), name: column}
    if column is None:
        del columns[name]
    store = write_parquet_store(tmp_path / "s.parquet", DOCUMENTS, {"v/refs.0.parq": columns}, 5)
    message = refused(store)
    assert words in message
    assert "v: " in message


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "JSON list"),
        ({"metadata": DOCUMENTS}, "no record_size"),
        ({"zarr_consolidated_format": 1, "metadata": DOCUMENTS}, "a Zarr store"),
        ({"metadata": DOCUMENTS, "record_size": 0}, "record_size is 0"),
        ({"metadata": DOCUMENTS, "record_size": True}, "record_size is True"),
        ({"metadata": DOCUMENTS, "record_size": "5"}, "record_size is '5'"),
        ({"metadata": DOCUMENTS, "record_size": 2**63}, "record_size is"),
        ({"metadata": [], "record_size": 5}, "no metadata"),
        ({"metadata": {}, "record_size": 5}, "no array or group"),
        ({"metadata": {"v/.zarray": 5}, "record_size": 5}, "'v/.zarray'"),
    ],
)
def test_metadata_that_are_none_are_refused_by_name(tmp_path: Path, document: Any, words: str) -> None:
    folder = tmp_path / "s.parquet"
    folder.mkdir()
    (folder / ".zmetadata").write_text(json.dumps(document))
    message = refused(str(folder))
    assert words in message
    assert "s.parquet" in message


def test_metadata_that_end_too_early_are_refused_as_such(tmp_path: Path) -> None:
    _, store = written_store(tmp_path, "compressed", "parquet")
    path = Path(store) / ".zmetadata"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TruncatedFileError, match=r"store\.parquet"):
        KerchunkParquetParser()(store)


def test_a_shape_that_claims_more_chunks_than_there_are_rows_takes_no_memory_for_them(tmp_path: Path, url: str) -> None:
    documents = {**DOCUMENTS, "v/.zarray": array_document([2 * 10**15], [2])}
    store = write_parquet_store(tmp_path / "s.parquet", documents, {"v/refs.0.parq": rows(url)}, 5)
    assert "refs.1.parq" in refused(store)
    assert "1,000,000,000,000,000 chunks" in refused(store, missing_records="fill")
    documents = {**DOCUMENTS, "v/.zarray": array_document([2 * 10**15], [2])}
    store = write_parquet_store(tmp_path / "t.parquet", documents, {"v/refs.0.parq": rows(url)}, 10**15)
    assert "has 5 rows for 1,000,000,000,000,000 chunks" in refused(store)
