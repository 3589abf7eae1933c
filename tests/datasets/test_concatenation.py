"""Stores of eras open as one dataset, with the values that the files have when they are joined after decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from vz_beam.combine.era_pieces import PIECES_KEY, pieces_in


def write(folder: Path, *words: dict[str, Any]) -> list[str]:
    """A file of three steps for each of ``words``: its packing, chunks, units and coordinate."""
    folder.mkdir()
    files = []
    random = np.random.default_rng(3)
    for number, word in enumerate(words):
        times = np.datetime64("2001-01-01", "ns") + np.timedelta64(1, "D") * (3 * number + np.arange(3))
        values = np.round(random.uniform(250, 300, (3, 4, 6)), 1)
        values[0, 0, 0] = np.nan
        attrs = {"units": word.get("units", "K"), "comment": f"file {number}"}
        dataset = xr.Dataset(
            {"t": (("time", "y", "x"), values, attrs), "mask": (("y", "x"), np.ones((4, 6), "i1"))},
            {"time": times, "y": np.arange(4.0) + word.get("y", 0), "x": np.arange(6.0)},
            {"title": "eras"},
        )
        packing: Any = {"dtype": "i2", "scale_factor": word.get("scale", 0.1), "add_offset": 270.0, "_FillValue": -999}
        if word.get("plain"):
            packing = {"dtype": "f4", "_FillValue": np.float32(-9)}
        packing |= {"chunksizes": (1, *word.get("chunks", (4, 6))), "zlib": True}
        time = {"units": f"hours since 200{number}-01-01", "dtype": "f8"}
        path = str(folder / f"day_{number}.nc")
        dataset.to_netcdf(path, engine="h5netcdf", encoding={"t": packing, "time": time}, unlimited_dims=["time"])
        files.append(path)
    return files


def build(files: list[str], store: Path) -> None:
    choices: dict[str, Any] = {"mismatch": "split", "loadable_variables": ["time", "y", "x", "mask"]}
    vz_beam.build(files, store, concat_dim="time", progress=False, **choices)


def joined(files: list[str]) -> xr.Dataset:
    parts = [xr.open_dataset(file, engine="h5netcdf").load() for file in files]
    return xr.concat(
        parts, "time", data_vars="minimal", coords="minimal", compat="override", combine_attrs="drop_conflicts"
    )


@pytest.mark.parametrize("suffix", ["parquet", "json", "icechunk", "zarr"])
def test_eras_that_take_turns_read_as_one_array(suffix: str, tmp_path: Path) -> None:
    words: list[dict[str, Any]] = [{}, {"scale": 0.5}, {}, {"plain": True}, {"scale": 0.5}, {"chunks": (2, 3)}]
    files = write(tmp_path / "data", *words)
    store = tmp_path / f"store.{suffix}"
    build(files, store)
    expected = joined(files)
    with xr.open_dataset(str(store), engine="vz_beam") as ours:
        assert pieces_in(ours.attrs) is None
        assert not ours["t"].variable._in_memory
        for key in (
            {},
            {"time": 4},
            {"time": slice(2, 15, 5), "x": -1},
            {"time": slice(None, None, -1)},
            {"time": [17, 0, 4, 4], "y": [2, 0]},
            {"time": -1, "y": 0, "x": slice(1, 3)},
            {"time": slice(0, 0)},
        ):
            np.testing.assert_array_equal(ours["t"].isel(key).values, expected["t"].isel(key).values, str(key))
        np.testing.assert_array_equal(ours["time"].values, expected["time"].values)
        np.testing.assert_array_equal(ours["mask"].values, expected["mask"].values)
        assert ours["t"].attrs == {"units": "K"}
        assert ours.attrs["title"] == "eras"
    with xr.open_dataset(str(store), engine="vz_beam", chunks={"time": 5}) as lazy:
        np.testing.assert_array_equal(lazy["t"].compute().values, expected["t"].values)
    with xr.open_dataset(str(store), engine="vz_beam", group="era_1") as era:
        np.testing.assert_array_equal(era["t"].values, expected["t"].values[[0, 1, 2, 6, 7, 8]])


@pytest.mark.parametrize("other", [{"units": "degC"}, {"y": 1}], ids=["units", "places"])
def test_eras_that_mean_something_else_stay_apart(other: dict[str, Any], tmp_path: Path) -> None:
    files = write(tmp_path / "data", {}, other)
    build(files, tmp_path / "store.parquet")
    with xr.open_dataset(str(tmp_path / "store.parquet"), engine="vz_beam") as ours:
        assert dict(ours.variables) == {}
        assert PIECES_KEY not in ours.attrs
    with xr.open_dataset(str(tmp_path / "store.parquet"), engine="vz_beam", group="era_2") as era:
        assert era["t"].shape == (3, 4, 6)


def test_unreadable_pieces_are_no_pieces() -> None:
    for text in ("", "3", "[]", '{"dim": "time"}', '{"dim": "time", "pieces": [["era_1", 0]]}', 7):
        assert pieces_in({PIECES_KEY: text}) is None
