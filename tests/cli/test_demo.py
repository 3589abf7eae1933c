from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from vz_beam.cli import demo
from vz_beam.cli.demo_archive import write_archive


def test_the_archive_is_netcdf_to_other_readers(archive: Path) -> None:
    path = archive / "weather_2023-02.nc"
    for engine in ("h5netcdf", "netcdf4"):
        with xr.open_dataset(path, engine=engine) as dataset, h5py.File(path) as file:
            assert dict(dataset.sizes) == {"time": 28, "lat": 36, "lon": 72}
            assert dataset["time"].values[-1] == np.datetime64("2023-02-28")
            packed = file["t2m"][()]
            assert int(np.isnan(dataset["t2m"].values).sum()) == int((packed == -32768).sum()) > 0


def test_the_archive_is_the_same_each_time(archive: Path, tmp_path: Path) -> None:
    again = write_archive(tmp_path)
    assert [path.read_bytes() for path in again] == [(archive / path.name).read_bytes() for path in again]


def test_the_demo_compares_every_value_with_kerchunk_and_without_it(
    vz_beam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = 365 * 36 * 72 * 2 + 365 + 36 + 72 + 1
    for _ in range(2):
        ended = vz_beam("demo", "here")  # the second time over its own files
        assert (ended.code, ended.err) == (0, "")
        assert f"{values:,} values" in ended.out
        assert "all the same" in ended.out
        assert "here/demo.parquet" in ended.out
        monkeypatch.setattr(demo, "find_spec", lambda name: None)


def test_a_value_that_differs_is_found_and_ends_with_1(
    vz_beam: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store = demo.open_store

    def with_a_wrong_value(store: Path) -> xr.Dataset:
        dataset = open_store(store)
        wrong = dataset["t2m"].values.copy()
        wrong[np.unravel_index(np.nanargmax(wrong), wrong.shape)] += 0.01
        return dataset.assign(t2m=dataset["t2m"].copy(data=wrong))

    monkeypatch.setattr(demo, "open_store", with_a_wrong_value)
    ended = vz_beam("demo")
    assert ended.code == 1
    assert "NOT THE SAME in t2m" in ended.out


def test_a_variable_that_is_lost_is_found(archive: Path) -> None:
    files = sorted(archive.glob("*.nc"))[:1]
    with xr.open_dataset(files[0], engine="h5netcdf") as dataset:
        assert demo.compare(dataset, files)[0] == []
        assert demo.compare(dataset.drop_vars("crs"), files)[0] == ["crs"]


def test_a_folder_of_someone_else_is_left_as_it_is(vz_beam: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    ended = vz_beam("demo", "mine")
    assert (ended.code, ended.out) == (2, "")
    assert "left as it is" in ended.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
