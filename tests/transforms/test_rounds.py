"""Stores that are built in rounds are those that are built at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, read_series, write_series
from tests.store_contents import contents
from vz_beam import ConcatDim, FilePattern
from vz_beam.errors import InputError, StoreExistsError

SUFFIXES = ("parquet", "json", "icechunk", "zarr")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data")


def build(files: Any, store: Path, **choices: Any) -> Any:
    dim = None if isinstance(files, FilePattern) else "time"
    return vz_beam.build(files, store, concat_dim=dim, progress=False, **choices)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("inputs", "workers"), [(1, 1), (2, 2), (9, 1)])
def test_a_store_of_rounds_is_the_one_that_is_built_at_once(
    suffix: str, inputs: int, workers: int, files: list[str], tmp_path: Path
) -> None:
    once, grown = tmp_path / f"once.{suffix}", tmp_path / f"grown.{suffix}"
    build(files, once, chunks_per_shard=5)
    summary = build(files, grown, chunks_per_shard=5, inputs_per_round=inputs, workers=workers)
    assert (summary.files, summary.dimensions["time"]) == (5, 20)
    assert contents(grown) == contents(once)
    assert_store_equals(grown, read_series(files))


def test_a_run_that_was_killed_goes_on_by_appending(files: list[str], tmp_path: Path) -> None:
    once, grown = tmp_path / "once.parquet", tmp_path / "grown.parquet"
    build(files, once)
    build(files[:3], grown, inputs_per_round=1)  # as if the run of five had been killed after three rounds
    with pytest.raises(StoreExistsError):
        build(files, grown, inputs_per_round=1)
    assert build(files, grown, inputs_per_round=1, mode="append").files == 2
    assert contents(grown) == contents(once)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rounds_of_two_dimensions_follow_each_other_along_one(suffix: str, tmp_path: Path) -> None:
    for time in range(4):
        for member in range(3):
            values = np.full((2, 2), 10 * time + member)
            path = tmp_path / f"v_{member}_{time}.nc"
            encoding = {"v": {"zlib": True, "chunksizes": (2, 2)}}
            xr.Dataset({"v": (("y", "x"), values)}).to_netcdf(path, encoding=encoding)
    pattern = FilePattern(
        lambda member, time: str(tmp_path / f"v_{member}_{time}.nc"),
        ConcatDim("member", [0, 1, 2]),
        ConcatDim("time", [0, 1, 2, 3]),
    )
    with pytest.raises(InputError, match=r"one dimension of \['member', 'time'\]"):
        build(pattern, tmp_path / f"store.{suffix}", inputs_per_round=3)
    once, grown = tmp_path / f"once.{suffix}", tmp_path / f"grown.{suffix}"
    build(pattern, once)
    build(pattern, grown, inputs_per_round=6, append_dim="time")
    assert contents(grown) == contents(once)
    with xr.open_dataset(str(grown), engine="vz_beam") as ours:
        expected = 10 * np.arange(4) + np.arange(3)[:, None]
        np.testing.assert_array_equal(ours["v"].values[:, :, 0, 0], expected)
        np.testing.assert_array_equal(ours["time"].values, range(4))


def test_failures_of_all_rounds_are_listed(files: list[str], tmp_path: Path) -> None:
    for number in (0, 3):
        Path(files[number]).write_bytes(b"no netCDF")
    store = tmp_path / "store.parquet"
    summary = build(files, store, inputs_per_round=2, errors="collect")
    assert (summary.files, len(summary.failures)) == (5, 2)
    listed = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [record["url"] for record in listed] == [files[number] for number in (0, 3)]
    assert_store_equals(store, read_series([files[1], files[2], files[4]]))


def test_what_cannot_be_meant_is_refused(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one input at least"):
        build(files, tmp_path / "store.parquet", inputs_per_round=0)
    assert not (tmp_path / "store.parquet").exists()
