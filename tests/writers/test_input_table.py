"""The inputs that stores keep: what is written is read back, and what is there already is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import write_series
from vz_beam.combine.hole import Hole
from vz_beam.errors import FormatError, StoreExistsError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.identity import Identity
from vz_beam.writers.input_table import InputTable, inputs_file, joined_tables, read_inputs_file
from vz_beam.writers.writer import WriteTarget, find_writer

ONE = Identity("s3://b/é.nc", 2**40, '"tag"', None)
TWO = Identity("file:///a.nc", 0, None, "2001-01-01T00:00:00.000000001Z")
EARLY = Hole("", (("time", np.datetime64("2001-01-01", "ns")), ("name", "é")), (("time", (2, 4)),))
LATE = Hole("s3://b/late.nc", (("time", 1.5), ("name", None)), (("time", (10, 12)),))


def test_inputs_are_read_back_in_the_order_of_their_names_whatever_the_order_they_came_in() -> None:
    table = InputTable.of([ONE, TWO, ONE], [LATE, EARLY])
    assert tuple(table) == ((TWO, ONE), (EARLY, LATE))
    assert read_inputs_file(inputs_file(table), "store") == table
    assert inputs_file(table) == inputs_file(InputTable.of([TWO, ONE], [EARLY, LATE]))
    assert read_inputs_file(inputs_file(InputTable()), "store") == InputTable()


def test_a_damaged_table_is_named_with_its_store() -> None:
    with pytest.raises(FormatError, match=r"inputs\.parquet of file:///s is damaged"):
        read_inputs_file(inputs_file(InputTable((ONE,)))[:-9], "file:///s")


def test_inputs_that_a_store_has_are_named_and_those_that_changed_counted() -> None:
    stored = InputTable((ONE,), (EARLY,))
    assert joined_tables(stored, InputTable((TWO,), (LATE,)), "s") == ((TWO, ONE), (EARLY, LATE))
    with pytest.raises(StoreExistsError, match=r"1 of 2 inputs are in s already: s3://b/é\.nc"):
        joined_tables(stored, InputTable((TWO, ONE)), "s")
    with pytest.raises(StoreExistsError, match="1 of them since changed"):
        joined_tables(stored, InputTable((Identity(ONE.url, 5, None, None),)), "s")


@pytest.mark.parametrize("suffix", ["parquet", "json"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_says_what_its_inputs_were(suffix: str, workers: int, tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", count=3)
    (tmp_path / "data" / "broken.nc").write_bytes(b"no file")
    store = tmp_path / f"store.{suffix}"
    every = [*files, str(tmp_path / "data" / "broken.nc")]
    choices: dict[str, Any] = {"errors": "collect", "holes": "missing", "workers": workers, "progress": False}
    vz_beam.build(every, store, concat_dim="time", **choices)
    known = find_writer(store).input_table(WriteTarget(str(store)))
    assert [hole.ranges for hole in known.holes] == [(("time", (12, 16)),)]
    assert list(known.inputs) == [open_source(file).identity() for file in files]
    with xr.open_dataset(str(store), engine="kerchunk") as dataset:
        assert dataset.sizes["time"] >= 12


def test_one_dataset_says_its_file_and_joined_ones_say_none_rather_than_the_first(tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", count=2)
    one = vz_beam.open_virtual_dataset(files[0])
    one.vz.to_kerchunk(tmp_path / "one.json", "json")
    assert [url for url, *_ in json.loads((tmp_path / "one.json").read_text())["vz_beam"]["inputs"]] == [
        one.encoding["source"]
    ]
    two = vz_beam.open_virtual_mfdataset(files, combine="nested", concat_dim="time")
    two.vz.to_kerchunk(tmp_path / "two.parquet", "parquet")
    assert find_writer("a.parquet").input_table(WriteTarget(str(tmp_path / "two.parquet"))) == InputTable()
