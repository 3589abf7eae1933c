"""Inputs that have changed since their store was written: replaced where they fit, else the store stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, build, read_series, write_series
from tests.store_contents import contents
from vz_beam import ConcatDim, FilePattern
from vz_beam.errors import InputError, InputsChangedError, StoreMismatchError, UnsupportedError
from vz_beam.writers.writer import WriteTarget, find_writer

SUFFIXES = ("parquet", "json", "zarr", "icechunk")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data")


def append(files: Any, store: str | Path, **choices: Any) -> Any:
    return build(files, store, mode="append", changed="replace", **choices)


def rewrite(file: str, change: Callable[[xr.Dataset], xr.Dataset]) -> None:
    """Gives a file other contents, in the encoding that it has."""
    with xr.open_dataset(file, engine="h5netcdf") as opened:
        dataset = opened.load()
    changed = change(dataset.copy(deep=True))
    for name in ("t", "p"):
        known = dataset[name].encoding
        changed[name].encoding = {key: known[key] for key in known if key in ("dtype", "scale_factor", "add_offset")}
        changed[name].encoding |= {
            "chunksizes": (2, 3, 8),
            "zlib": True,
            "shuffle": True,
            "_FillValue": known["_FillValue"],
        }
    changed.to_netcdf(file, engine="h5netcdf", unlimited_dims=["time"])


def warmer(dataset: xr.Dataset) -> xr.Dataset:
    dataset["p"] = dataset["p"] + np.arange(dataset["p"].size, dtype="f4").reshape(dataset["p"].shape)
    return dataset.assign_attrs(history="processed again")


def longer(dataset: xr.Dataset) -> xr.Dataset:
    later = dataset.assign_coords(time=dataset["time"] + np.timedelta64(24, "h"))
    return xr.concat([dataset, later], "time", data_vars="minimal", coords="minimal", compat="override", join="exact")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("numbers", [(0,), (2,), (4,), (1, 2), (0, 2, 4)])
def test_the_store_is_that_of_all_files_as_they_are_now(
    suffix: str, numbers: tuple[int, ...], files: list[str], tmp_path: Path
) -> None:
    store, once = tmp_path / f"store.{suffix}", tmp_path / f"once.{suffix}"
    build(files, store, chunks_per_shard=5)
    for number in numbers:
        rewrite(files[number], warmer)
    summary = append(files, store)
    build(files, once, chunks_per_shard=5)
    assert summary.files == len(numbers)
    assert contents(store) == contents(once)
    assert_store_equals(store, read_series(files))
    assert append(files, store).files == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_new_is_put_to_the_end_in_the_same_run(workers: int, files: list[str], tmp_path: Path) -> None:
    store, once = tmp_path / "store.parquet", tmp_path / "once.parquet"
    build(files[:3], store)
    rewrite(files[1], warmer)
    summary = append(files, store, workers=workers)
    build(files, once)
    assert (summary.files, summary.dimensions["time"]) == (3, 20)
    assert contents(store) == contents(once)


def test_a_loaded_coordinate_may_have_other_values(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    build(files, store)
    rewrite(files[2], lambda dataset: dataset.assign_coords(time=dataset["time"] + np.timedelta64(1, "h")))
    append(files, store)
    assert_store_equals(store, read_series(files))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.isel(time=slice(0, 2)), "2 long along 'time', and its place in the store 4"),
        (longer, "references to .*day_3"),
        (lambda d: d.drop_vars("crs"), "crs"),
        (lambda d: d.assign_coords(lat=d.lat + 1), "lat"),
        (lambda d: d.assign(t=d.t.assign_attrs(units="degC")), "units"),
        (lambda d: d.assign_coords(time=d.time + np.timedelta64(900, "h")), "time"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_that_does_not_fit_is_named_and_the_store_stays(
    suffix: str, change: Callable[[xr.Dataset], xr.Dataset], why: str, files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / f"store.{suffix}"
    build(files, store)
    before = contents(store)
    rewrite(files[2], change)
    with pytest.raises(StoreMismatchError, match=rf"(?s)day_2\.nc.*{why}|{why}.*day_2\.nc"):
        append(files, store)
    assert contents(store) == before


def test_in_a_store_of_two_dimensions_one_place_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    def path_of(member: str, time: str) -> str:
        return str(tmp_path / "data" / f"{member}_{time}.nc")

    def write(member: str, time: str, offset: float) -> None:
        first = float(time) * 3
        values = first * 10 + np.arange(12.0).reshape(3, 4) + 100 * ord(member) + offset
        dataset = xr.Dataset({"v": (("time", "x"), values)}, {"time": first + np.arange(3), "x": np.arange(4.0)})
        dataset.to_netcdf(path_of(member, time), engine="h5netcdf", encoding={"v": {"chunksizes": (3, 2)}})

    pattern = FilePattern(path_of, ConcatDim("member", ["a", "b", "c"]), ConcatDim("time", ["0", "1", "2"]))
    for member in "abc":
        for time in "012":
            write(member, time, 0)
    store, once = tmp_path / "store.parquet", tmp_path / "once.parquet"
    build(pattern, store)
    write("b", "1", 0.25)
    write("c", "2", 0.5)
    summary = append(pattern, store, append_dim="time")
    build(pattern, once)
    assert summary.files == 2
    with (
        xr.open_dataset(str(store), engine="kerchunk") as ours,
        xr.open_dataset(str(once), engine="kerchunk") as expected,
    ):
        xr.testing.assert_identical(ours.load(), expected.load())
        assert float(ours["v"][1, 3, 0]) == 100 * ord("b") + 30.25
    inputs = find_writer(store).input_table(WriteTarget(str(store)))
    assert inputs == find_writer(once).input_table(WriteTarget(str(once)))


def test_a_place_inside_a_chunk_is_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path / "data", 3, steps=4)
    store = tmp_path / "store.parquet"
    build(files, store, mismatch="rewrite")
    rewrite(files[1], warmer)
    append(files, store)  # four steps are two chunks
    assert_store_equals(store, read_series(files))
    odd = write_series(tmp_path / "odd", 3, steps=3)
    build(odd, tmp_path / "odd.parquet", mismatch="rewrite")
    rewrite(odd[1], warmer)
    with pytest.raises((UnsupportedError, StoreMismatchError), match="build the store anew"):
        append(odd, tmp_path / "odd.parquet", mismatch="rewrite")


def test_without_the_word_the_way_out_is_told(files: list[str], tmp_path: Path) -> None:
    build(files, tmp_path / "store.parquet")
    rewrite(files[1], warmer)
    with pytest.raises(InputsChangedError, match=r"(?s)day_1\.nc has changed.*changed='replace'"):
        build(files, tmp_path / "store.parquet", mode="append")


def test_words_that_make_no_sense_are_refused(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="changed='replace' is for mode='append'"):
        build(files, tmp_path / "store.parquet", changed="replace")
    build(files, tmp_path / "store.parquet")
    with pytest.raises(InputError, match="neither 'raise' nor 'replace'"):
        build(files, tmp_path / "store.parquet", mode="append", changed="ignore")


def test_a_plan_says_how_many_would_be_replaced(files: list[str], tmp_path: Path) -> None:
    build(files[:3], tmp_path / "store.parquet")
    rewrite(files[1], warmer)
    choices: dict[str, Any] = {"concat_dim": "time", "mode": "append", "progress": False}
    for some in (files, files[:3]):
        plan = vz_beam.plan_build(some, tmp_path / "store.parquet", changed="replace", **choices)
        assert "inputs of the store that have changed and would be replaced: 1" in str(plan)
