"""Places of a store without an input: a later run fills them, and opens nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, build, read_series, write_series
from tests.store_contents import contents
from vz_beam import ConcatDim, FilePattern, MergeDim
from vz_beam.errors import StoreMismatchError
from vz_beam.writers.writer import WriteTarget, find_writer

SUFFIXES = ("parquet", "json", "zarr", "icechunk")
MISSING: dict[str, Any] = {"holes": "missing", "errors": "collect", "fill_values": {}}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data")


def hide(*files: str) -> Callable[[], None]:
    """Takes files away; what is returned brings those back that are still away."""
    for file in files:
        shutil.move(file, f"{file}.hidden")

    def unhide() -> None:
        for file in files:
            if Path(f"{file}.hidden").exists():
                shutil.move(f"{file}.hidden", file)

    return unhide


def append(files: Any, store: str | Path, **choices: Any) -> Any:
    return build(files, store, mode="append", **{**MISSING, **choices})


def holes_of(store: str | Path) -> list[Any]:
    return [hole.ranges for hole in find_writer(store).input_table(WriteTarget(str(store))).holes]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("numbers", [(0,), (2,), (4,), (1, 2), (0, 2, 4)])
def test_the_filled_store_is_that_of_all_files(
    suffix: str, numbers: tuple[int, ...], files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / f"store.{suffix}"
    unhide = hide(*(files[number] for number in numbers))
    build(files, store, chunks_per_shard=5, **MISSING)
    assert holes_of(store) == [(("time", (4 * number, 4 * number + 4)),) for number in numbers]
    unhide()
    summary = append(files, store)
    once = tmp_path / f"once.{suffix}"
    build(files, once, chunks_per_shard=5, **MISSING)
    assert summary.files == len(numbers)
    assert contents(store) == contents(once)
    assert_store_equals(store, read_series(files))
    assert holes_of(store) == []
    assert append(files, store).files == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_still_fails_stays_a_hole_and_what_is_new_goes_to_the_end(
    suffix: str, workers: int, files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / f"store.{suffix}"
    expected = read_series(files)
    unhide = hide(files[1], files[2])
    build(files[:4], store, **MISSING)
    shutil.move(f"{files[2]}.hidden", files[2])
    summary = append(files, store, workers=workers)
    assert len(summary.failures) == 1
    assert Path(files[1]).name in summary.failures[0]
    assert holes_of(store) == [(("time", (4, 8)),)]
    listed = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [Path(one["url"]).name for one in listed] == [Path(files[1]).name]
    known = expected["t"].where(~expected["time"].isin(expected["time"][4:8]))
    with xr.open_dataset(str(store), engine="vz_beam") as ours:
        np.testing.assert_array_equal(ours["t"].values, known.values)
        assert np.isnat(ours["time"].values).sum() == 4
    unhide()
    append(files, store, workers=workers)
    assert_store_equals(store, expected)
    assert not (tmp_path / "failures.jsonl").exists()


def test_holes_stand_where_they_are_after_rounds_and_conversions(files: list[str], tmp_path: Path) -> None:
    store, other = tmp_path / "store.parquet", tmp_path / "other.json"
    unhide = hide(files[3])
    build(files, store, inputs_per_round=2, **MISSING)
    assert holes_of(store) == [(("time", (12, 16)),)]
    vz_beam.convert_store(store, other)
    assert holes_of(other) == holes_of(store)
    unhide()
    for each in (store, other):
        append(files, each)
        assert_store_equals(each, read_series(files))


def test_a_declared_gap_is_filled_by_its_key_and_not_put_to_the_end(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    days = np.arange("2001-01-01", "2001-01-06", dtype="M8[D]").tolist()
    by_day = dict(zip(days, files, strict=True))

    def pattern(keys: Any, gaps: Any = ()) -> FilePattern:
        return FilePattern(lambda time: by_day[time], ConcatDim("time", keys), gaps=gaps)

    choices = {**MISSING, "errors": "raise"}
    build(pattern(days[:4], [(days[1],)]), store, **choices)
    assert holes_of(store) == [(("time", (4, 8)),)]
    build(pattern(days, [(days[1],)]), store, mode="append", **choices)
    assert holes_of(store) == [(("time", (4, 8)),)]
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["time"].values, read_series(files)["time"].values)
    build(pattern(days), store, mode="append", **choices)
    assert_store_equals(store, read_series(files))


def test_a_place_of_several_dimensions_is_filled_and_its_neighbours_stay(tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    names = {}
    for member in range(2):
        for step, file in enumerate(write_series(tmp_path / f"member_{member}", count=3)):
            with h5py.File(file, "r+") as opened:
                opened["p"][...] += 100 * member
            names[member, step] = file
    pattern = FilePattern(
        lambda member, time: names[member, time], ConcatDim("member", [0, 1]), ConcatDim("time", [0, 1, 2])
    )
    expected = xr.concat([read_series([names[member, step] for step in range(3)]) for member in range(2)], "member")
    unhide = hide(names[1, 1], names[0, 2], names[1, 2])
    build(pattern, store, **MISSING)
    shutil.move(f"{names[1, 2]}.hidden", names[1, 2])
    append(pattern, store)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["time"].values, expected["time"].values)
        assert np.isnan(ours["p"].values[1, 4:8]).all()
        assert np.isnan(ours["p"].values[0, 8:]).all()
    unhide()
    append(pattern, store)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        for name in ("p", "t"):
            np.testing.assert_array_equal(ours[name].values, expected[name].values)
    assert holes_of(store) == []


def test_what_all_files_of_a_member_share_comes_with_the_first_that_is_there(tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    names = {(m, t): write_member(tmp_path / f"{m}_{t}.nc", m, t) for m in range(2) for t in range(2)}
    pattern = FilePattern(lambda member, time: names[member, time], *BY_MEMBER)
    unhide = hide(names[1, 0], names[1, 1])
    build(pattern, store, **MISSING)
    shutil.move(f"{names[1, 1]}.hidden", names[1, 1])
    append(pattern, store)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert ours["mask"].values.tolist() == [[7, 7], [17, 17]]
        np.testing.assert_array_equal(ours["v"].values[:, :, 0], [[0, 1], [np.nan, 101]])
    unhide()
    append(pattern, store)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert ours["v"].values[:, :, 0].tolist() == [[0, 1], [100, 101]]


@pytest.mark.parametrize("absent", [(1, 0), (0, 0), (0, 1)])
def test_what_all_files_of_a_member_share_is_not_lost_with_one_of_them(absent: tuple[int, int], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    names = {(m, t): write_member(tmp_path / f"{m}_{t}.nc", m, t) for m in range(2) for t in range(2)}
    hide(names[absent])
    build(FilePattern(lambda member, time: names[member, time], *BY_MEMBER), store, **MISSING)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert ours["mask"].values.tolist() == [[7, 7], [17, 17]]


BY_MEMBER = (ConcatDim("member", [0, 1]), ConcatDim("time", [0, 1]))


def write_member(path: Path, member: int, step: int) -> str:
    """``v(member, time, x)`` of one step, and ``mask(member, x)``, which all files of a member have."""
    with h5py.File(path, "w") as file:
        for name, values in (("member", [float(member)]), ("time", [float(step)]), ("x", [0.0, 1.0])):
            file.create_dataset(name, data=values).make_scale(name)
        file["time"].attrs["units"] = "days since 2001-01-01"
        file.create_dataset("v", data=np.full((1, 1, 2), 100.0 * member + step, "f4"), chunks=(1, 1, 2))
        file.create_dataset("mask", data=np.full((1, 2), 10 * member + 7, "i4"), chunks=(1, 2))
        file["mask"].attrs["_FillValue"] = np.int32(-1)
        for name, dims in (("v", ("member", "time", "x")), ("mask", ("member", "x"))):
            for axis, dim in enumerate(dims):
                file[name].dims[axis].attach_scale(file[dim])
    return str(path)


def test_the_variables_of_another_file_of_the_place_stay(tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    for name, dropped in (("t", "p"), ("p", "t")):
        for file in write_series(tmp_path / name, count=3):
            with h5py.File(file, "r+") as opened:
                del opened[dropped]
    pattern = FilePattern(
        lambda variable, time: f"{tmp_path}/{variable}/day_{time}.nc",
        MergeDim("variable", ["t", "p"]),
        ConcatDim("time", [0, 1, 2]),
    )
    expected = read_series(write_series(tmp_path / "all", count=3))
    unhide = hide(f"{tmp_path}/p/day_1.nc")
    build(pattern, store, **MISSING)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert np.isnan(ours["p"].values[4:8]).all()
        np.testing.assert_array_equal(ours["t"].values, expected["t"].values)
    unhide()
    append(pattern, store)
    assert_store_equals(store, expected)


def write_counts(path: Path, day: int, steps: int = 2) -> str:
    """``count`` of whole numbers without ``_FillValue``, of which the second chunk is never written: it reads 0."""
    with h5py.File(path, "w") as file:
        time = file.create_dataset("time", data=np.arange(steps) + float(steps * day))
        time.make_scale("time")
        time.attrs["units"] = "days since 2001-01-01"
        count = file.create_dataset("count", (steps, 3), "<i2", chunks=(1, 3))
        count[0] = day + 1
        count.dims[0].attach_scale(time)
    return str(path)


def test_chunks_that_were_never_written_read_as_their_file_says_in_what_fills_a_hole(tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    files = [write_counts(tmp_path / f"{day}.nc", day) for day in range(3)]
    unhide = hide(files[1])
    choices: dict[str, Any] = {"fill_values": {"count": -1}}
    build(files, store, **{**MISSING, **choices})
    unhide()
    append(files, store, **choices)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert ours["count"].values[:, 0].tolist() == [1, 0, 2, 0, 3, 0]


def test_a_file_of_another_length_than_its_place_is_refused_and_the_store_stays(tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    files = [write_counts(tmp_path / f"{day}.nc", day) for day in range(3)]
    hide(files[1])
    choices: dict[str, Any] = {"fill_values": {"count": -1}}
    build(files, store, **{**MISSING, **choices})
    write_counts(tmp_path / "1.nc", 1, steps=1)
    with pytest.raises(StoreMismatchError, match=r"1\.nc does not fit into its place in the store: it is \[1\] long"):
        append(files, store, **choices)
    assert holes_of(store) == [(("time", (2, 4)),)]


def test_a_plan_tells_how_many_places_would_be_filled(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    unhide = hide(files[1])
    build(files, store, **MISSING)
    unhide()
    plan = vz_beam.plan_build(files, store, concat_dim="time", mode="append", progress=False, **MISSING)
    assert "places of the store without an input that would be filled: 1" in str(plan)
