from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.parsers.kerchunk.stores import FORMATS, stored_by_zarr, written_store
from vz_beam.errors import FormatError, InputError
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
from vz_beam.parsers.parser import SkippingParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite, described
from vz_beam.testing.raw_store import RawStore
from vz_beam.writers.writer import find_writer, write_store


def _case(case: str, form: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        store = Path(written_store(folder, case, form)[1])
        return store / ".zmetadata" if form == "parquet" else store

    return write


def _big_chunks(form: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        store = RawStore(folder)
        store.add("v", np.random.default_rng(1).random((4, 300, 300)), (1, 300, 300), ("t", "y", "x"))
        path = folder / f"big{FORMATS[form]}"
        write_store(find_writer(str(path)), path, store.layout, store.shards())
        return path / ".zmetadata" if form == "parquet" else path

    return write


def _plain(folder: Path) -> Path:
    """Version 0 without any text of version 1, on one line."""
    path = Path(written_store(folder, "nested groups", "json")[1])
    path.write_text(json.dumps(json.loads(path.read_text())["refs"]))
    return path


def _gzipped(folder: Path) -> Path:
    path = Path(written_store(folder, "compressed", "json")[1])
    packed = path.with_name("store.json.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return packed


def _read_gzipped(path: Path) -> dict[str, NDArray[Any]]:
    return stored_by_zarr(json.loads(gzip.decompress(path.read_bytes())))


def _read_json(path: Path) -> dict[str, NDArray[Any]]:
    return stored_by_zarr(path)


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    return stored_by_zarr(path.parent)


_NAMES = ("nested groups", "inlined chunk and loaded coordinate", "strings", "scalars")


class TestKerchunkJSONParser(ParserSuite):
    parser = KerchunkJSONParser()
    cases = (
        *(ParserCase(name.replace(" ", "_"), _case(name, "json"), _read_json) for name in _NAMES),
        ParserCase("big_chunks", _big_chunks("json"), _read_json),
        ParserCase("version_0", _plain, _read_json),
        ParserCase("gzipped", _gzipped, _read_gzipped),
    )


class TestKerchunkParquetParser(ParserSuite):
    parser = KerchunkParquetParser()
    cases = (
        *(ParserCase(name.replace(" ", "_"), _case(name, "parquet"), _read_parquet) for name in _NAMES),
        ParserCase("big_chunks", _big_chunks("parquet"), _read_parquet),
        ParserCase(
            "many_record_files",
            _case("60 references, middle chunk missing, several record file", "parquet"),
            _read_parquet,
        ),
    )


PARSERS: dict[str, Any] = {"json": KerchunkJSONParser, "parquet": KerchunkParquetParser}


@pytest.mark.parametrize("form", FORMATS)
def test_files_that_references_point_at_are_not_opened(tmp_path: Path, form: str) -> None:
    _, path = written_store(tmp_path, "nested groups", form)
    before = described(PARSERS[form]()(path).group)
    data = list(tmp_path.glob("*.bin"))
    assert len(data) == 3
    for file in data:
        file.unlink()
    assert described(PARSERS[form]()(path).group) == before


@pytest.mark.parametrize("form", FORMATS)
def test_one_group_is_taken_with_all_below_it(tmp_path: Path, form: str) -> None:
    _, path = written_store(tmp_path, "nested groups", form)
    group = PARSERS[form](group="/g/")(path).group
    assert (list(group.arrays), list(group.groups), group.attributes) == (["w"], ["deep"], {"units": "kg/m3"})
    assert list(group.groups["deep"].arrays) == ["z"]
    with pytest.raises(InputError, match=r"no group 'h'; its groups are \['g', 'g/deep'\]"):
        PARSERS[form](group="h")(path)


@pytest.mark.parametrize("word", ["skip_variables", "drop_variables"])
@pytest.mark.parametrize("form", FORMATS)
def test_variables_and_groups_are_left_out_by_name_or_path(tmp_path: Path, form: str, word: str) -> None:
    _, path = written_store(tmp_path, "nested groups", form)
    for names, left in (
        (["v"], {"g/w", "g/deep/z"}),
        (["w", "z"], {"v"}),
        (["g/w"], {"v", "g/deep/z"}),
        (["/g/deep/"], {"v", "g/w"}),
        (["g"], {"v"}),
        (["gone"], {"v", "g/w", "g/deep/z"}),
    ):
        group = PARSERS[form](**{word: names})(path).group
        assert {f"{at}/{name}".strip("/") for at, part in group.walk() for name in part.arrays} == left
    inner = PARSERS[form](group="g", **{word: ["deep"]})(path).group
    assert (list(inner.arrays), list(inner.groups)) == (["w"], [])


@pytest.mark.parametrize("form", FORMATS)
def test_arguments_that_cannot_work_are_refused(form: str) -> None:
    for words, message in (
        ({"unsupported": "ignore"}, "unsupported='ignore'"),
        ({"skip_variables": "air"}, r"give a list of names, \['air'\]"),
        ({"drop_variables": "air"}, r"give a list of names, \['air'\]"),
    ):
        with pytest.raises(InputError, match=message):
            PARSERS[form](**words)
    assert isinstance(PARSERS[form](), SkippingParser)
    assert PARSERS[form](group="g").skipping() == PARSERS[form](group="g", unsupported="skip")


def test_arguments_of_parquet_alone_are_checked_and_secrets_are_not_pickled() -> None:
    with pytest.raises(InputError, match="missing_records='zero'"):
        KerchunkParquetParser(missing_records="zero")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reader_options has 'remote_options'"):
        KerchunkParquetParser(reader_options={"remote_options": {}})
    secret = {"storage_options": {"secret_access_key": "for your eyes only"}}
    parser = KerchunkParquetParser("g", "s3://", ["a"], secret, ["b"], "fill", "skip")
    pickled = pickle.dumps(parser)
    assert b"for your eyes only" not in pickled
    assert pickle.loads(pickled) == parser
    assert "for your eyes only" not in repr(parser)


def test_a_single_record_file_is_no_store(tmp_path: Path) -> None:
    _, path = written_store(tmp_path, "compressed", "parquet")
    with pytest.raises(FormatError, match=r"refs\.0\.parq is one Parquet file"):
        KerchunkParquetParser()(f"{path}/v/refs.0.parq")
