"""Files that would hold a worker: ended after the time, or at the bytes, that one file may take."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, read_series, write_series
from vz_beam.datasets.deadlines import deadline
from vz_beam.errors import InputError, LimitError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.limited_source import LimitedSource


def busy(dataset: Any) -> Any:
    """A step that never ends, and takes every Exception for nothing, where the file is the second."""
    while "file 1" in dataset.attrs["history"]:
        try:
            sum(range(1000))
        except Exception:
            continue
    return dataset


def deep_groups(path: Path, count: int = 3000) -> str:
    with h5py.File(path, "w") as file:
        for number in range(count):
            file.create_group(f"a{number}").attrs["x"] = np.arange(50)
    return str(path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_takes_too_long_is_listed_and_holds_up_no_other(workers: int, tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", 3)
    choices: dict[str, Any] = {"concat_dim": "time", "progress": False, "errors": "collect", "attempts": 2}
    began = time.monotonic()
    summary = vz_beam.build(
        files, tmp_path / "store.parquet", preprocess=busy, timeout_seconds=2, workers=workers, **choices
    )
    assert time.monotonic() - began < 30
    (failure,) = summary.failures
    assert "day_1.nc was not opened within timeout_seconds=2" in str(failure)
    assert_store_equals(tmp_path / "store.parquet", read_series([files[0], files[2]]))


def test_a_file_with_too_much_metadata_is_listed(tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", 2)
    files.append(deep_groups(tmp_path / "data" / "groups.nc"))
    assert Path(files[-1]).stat().st_size > 1_000_000
    choices: dict[str, Any] = {"concat_dim": "time", "progress": False, "errors": "collect"}
    summary = vz_beam.build(files, tmp_path / "store.parquet", max_metadata_bytes=500_000, **choices)
    (failure,) = summary.failures
    assert "groups.nc has more metadata than max_metadata_bytes=500,000" in str(failure)
    assert_store_equals(tmp_path / "store.parquet", read_series(files[:2]))


def test_one_file_has_the_same_limit(tmp_path: Path) -> None:
    path = deep_groups(tmp_path / "groups.nc", 500)
    with pytest.raises(LimitError, match="max_metadata_bytes=50,000"):
        vz_beam.open_virtual_datatree(path, max_metadata_bytes=50_000)
    assert len(vz_beam.open_virtual_datatree(path, max_metadata_bytes=5_000_000).children) == 500
    big = tmp_path / "big.nc"
    xr.Dataset({"x": ("x", np.arange(100_000.0))}).to_netcdf(big, engine="h5netcdf")
    found = vz_beam.open_virtual_dataset(big, max_metadata_bytes=100_000)
    assert found["x"].values[-1] == 99_999  # values that are loaded are no metadata


def test_a_file_beside_counts_as_well(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(100))
    with LimitedSource(open_source(str(tmp_path / "a")), 120) as source:
        source.read(0, 100)
        with source.sibling("b") as beside, pytest.raises(LimitError):
            beside.read(0, 21)


def test_time_that_is_enough_changes_nothing() -> None:
    with deadline(0.2, "a"):
        pass
    time.sleep(0.3)
    with deadline(None, "a"):
        pass
    with pytest.raises(KeyError), deadline(5, "a"):
        raise KeyError


@pytest.mark.parametrize(
    "limits", [{"timeout_seconds": 0}, {"max_metadata_bytes": -1}, {"timeout_seconds": float("nan")}]
)
def test_limits_that_no_file_can_keep_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="every file needs more than that"):
        vz_beam.OpenWithVirtualizarr(**limits)
