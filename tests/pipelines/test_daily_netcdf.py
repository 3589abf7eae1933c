from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from pipelines.daily_netcdf import run
from vz_beam.cli.demo_archive import write_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daily")
    write_archive(folder)
    return folder


def assert_same(store: Path, archive: Path) -> None:
    parts: dict[str, list[Any]] = {"t2m": [], "precipitation": []}
    for path in sorted(archive.glob("*.nc")):
        with h5py.File(path) as file:
            for name, values in parts.items():
                values.append(file[name][()])
    with xr.open_dataset(str(store), engine="kerchunk", mask_and_scale=False) as dataset:
        for name, values in parts.items():
            assert np.array_equal(dataset[name].values, np.concatenate(values))
        days = np.arange("2023-01-01", "2024-01-01", dtype="datetime64[D]")
        assert np.array_equal(dataset["time"].values, days.astype(dataset["time"].dtype))


def test_the_pipeline_runs_in_process(archive: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    run(["--input", f"{archive}/*.nc", "--output", str(store)])
    assert_same(store, archive)


def test_the_pipeline_runs_as_a_program(archive: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.json"
    command = [sys.executable, "-m", "pipelines.daily_netcdf"]
    subprocess.run([*command, "--input", f"{archive}/*.nc", "--output", str(store)], check=True, capture_output=True)
    assert_same(store, archive)


def test_the_pipeline_says_what_it_needs() -> None:
    with pytest.raises(SystemExit, match="--input"):
        run([])
