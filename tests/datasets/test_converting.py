"""Stores in other formats have the same values, references and inputs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, read_series, write_series
from tests.store_contents import contents
from vz_beam.cli import main
from vz_beam.errors import InputError, StoreExistsError
from vz_beam.writers.writer import WriteTarget, find_writer

SUFFIXES = ("parquet", "json", "icechunk", "zarr")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_series(tmp_path_factory.mktemp("data"), count=3)


@pytest.mark.parametrize("first", SUFFIXES)
@pytest.mark.parametrize("second", SUFFIXES)
def test_any_store_becomes_any_other(first: str, second: str, files: list[str], tmp_path: Path) -> None:
    store, other = tmp_path / f"store.{first}", tmp_path / f"other.{second}"
    vz_beam.build(files, store, concat_dim="time", progress=False, chunks_per_shard=5)
    summary = vz_beam.convert_store(store, other)
    assert summary.files == 3
    assert_store_equals(other, read_series(files))
    inputs = [find_writer(path).input_table(WriteTarget(str(path))) for path in (store, other)]
    assert inputs[0] == inputs[1]
    assert vz_beam.verify_store(str(other)).is_well


@pytest.mark.parametrize("way", [("json", "icechunk"), ("icechunk", "json")])
def test_a_store_that_comes_back_is_the_bytes_that_it_was(
    way: tuple[str, str], files: list[str], tmp_path: Path
) -> None:
    store, back = tmp_path / "store.parquet", tmp_path / "back.parquet"
    vz_beam.build(files, store, concat_dim="time", progress=False, chunks_per_shard=5)
    places = [store, *(tmp_path / f"other.{suffix}" for suffix in way), back]
    for one, other in itertools.pairwise(places):
        vz_beam.convert_store(one, other, chunks_per_shard=5)
    before, after = contents(store), contents(back)
    assert before.keys() == after.keys()
    assert [name for name in before if name.endswith(".parq") and before[name] != after[name]] == []


def test_groups_that_do_not_align_and_files_are_converted(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "file.nc", "w") as file:
        for name, length in (("", 3), ("inner", 5)):
            group: Any = file.createGroup(name) if name else file
            group.createDimension("x", length)
            group.createVariable("v", "f4", ("x",), zlib=True)[:] = np.arange(length)
            group.title = f"group {name}"
    vz_beam.convert_store(tmp_path / "file.nc", tmp_path / "file.icechunk")
    vz_beam.convert_store(tmp_path / "file.icechunk", tmp_path / "file.parquet")
    for group, length in (("/", 3), ("inner", 5)):
        with xr.open_dataset(str(tmp_path / "file.parquet"), engine="vz_beam", group=group) as ours:
            np.testing.assert_array_equal(ours["v"].values, np.arange(length))
    assert vz_beam.verify_store(str(tmp_path / "file.parquet")).inputs == 1


def test_missing_chunks_stay_missing_and_read_as_they_did(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        for name, fill in (("zero", 0), ("seven", 7)):
            file.create_dataset(name, (6,), "i4", chunks=(2,), fillvalue=fill)[2:4] = 5
    vz_beam.convert_store(tmp_path / "file.h5", tmp_path / "file.icechunk")
    vz_beam.convert_store(tmp_path / "file.icechunk", tmp_path / "file.json")
    for store in ("file.icechunk", "file.json"):
        with xr.open_dataset(str(tmp_path / store), engine="vz_beam", mask_and_scale=False) as ours:
            assert ours["zero"].values.tolist() == [0, 0, 5, 5, 0, 0]
            assert ours["seven"].values.tolist() == [7, 7, 5, 5, 7, 7]


def test_what_cannot_be_meant_is_refused(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    vz_beam.build(files, store, concat_dim="time", progress=False)
    with pytest.raises(InputError, match="into itself"):
        vz_beam.convert_store(store, store, mode="overwrite")
    with pytest.raises(InputError, match="whole store"):
        vz_beam.convert_store(store, tmp_path / "b.json", mode="append")
    vz_beam.convert_store(store, tmp_path / "b.json")
    with pytest.raises(StoreExistsError):
        vz_beam.convert_store(store, tmp_path / "b.json")


def test_the_command(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vz_beam.build(files, tmp_path / "store.parquet", concat_dim="time", progress=False)
    assert main(["convert", str(tmp_path / "store.parquet"), str(tmp_path / "other.icechunk")]) == 0
    assert "(icechunk)" in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "store.parquet"), str(tmp_path / "other.icechunk")]) == 1
