"""The inputs that stores keep: what is written is read back, and what is there already is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import vz_beam
from tests.daily_series import write_series
from vz_beam.errors import FormatError, StoreExistsError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.identity import Identity
from vz_beam.writers.input_table import inputs_file, joined_inputs, read_inputs_file, sorted_inputs
from vz_beam.writers.writer import WriteTarget, find_writer

ONE = Identity("s3://b/é.nc", 2**40, '"tag"', None)
TWO = Identity("file:///a.nc", 0, None, "2001-01-01T00:00:00.000000001Z")


def test_inputs_are_read_back_in_the_order_of_their_names_whatever_the_order_they_came_in() -> None:
    inputs = sorted_inputs([ONE, TWO, ONE])
    assert inputs == [TWO, ONE]
    assert read_inputs_file(inputs_file(inputs), "store") == inputs
    assert inputs_file(inputs) == inputs_file(sorted_inputs([TWO, ONE]))
    assert read_inputs_file(inputs_file([]), "store") == []


def test_a_damaged_table_is_named_with_its_store() -> None:
    with pytest.raises(FormatError, match=r"inputs\.parquet of file:///s is damaged"):
        read_inputs_file(inputs_file([ONE])[:-9], "file:///s")


def test_inputs_that_a_store_has_are_named_and_those_that_changed_counted() -> None:
    assert joined_inputs([ONE], [TWO], "s") == [TWO, ONE]
    with pytest.raises(StoreExistsError, match=r"1 of 2 inputs are in s already: s3://b/é\.nc"):
        joined_inputs([ONE], [TWO, ONE], "s")
    with pytest.raises(StoreExistsError, match="1 of them since changed"):
        joined_inputs([ONE], [Identity(ONE.url, 5, None, None)], "s")


@pytest.mark.parametrize("suffix", ["parquet", "json"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_says_what_its_inputs_were(suffix: str, workers: int, tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", count=3)
    (tmp_path / "data" / "broken.nc").write_bytes(b"no file")
    store = tmp_path / f"store.{suffix}"
    every = [*files, str(tmp_path / "data" / "broken.nc")]
    choices: dict[str, Any] = {"errors": "collect", "holes": "missing", "workers": workers, "progress": False}
    vz_beam.build(every, store, concat_dim="time", **choices)
    known = find_writer(store).inputs(WriteTarget(str(store)))
    assert known == [open_source(file).identity() for file in files]
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
    assert find_writer("a.parquet").inputs(WriteTarget(str(tmp_path / "two.parquet"))) == []
