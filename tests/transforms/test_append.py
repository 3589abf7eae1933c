"""Stores that grow: the bytes of a store that is built at once, or the old store and the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import netCDF4
import numpy as np
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

import vz_beam
from tests.combine.virtual_files import combine
from tests.daily_series import assert_store_equals, build, read_series, write_series
from tests.store_contents import contents
from vz_beam import CombineManifests, ConcatDim, FilePattern, MergeDim, OpenWithVirtualizarr, WriteReferences
from vz_beam.combine.append import moved_to_end
from vz_beam.combine.fragment import Fragment
from vz_beam.datasets.appending import grown_layout
from vz_beam.errors import (
    FormatError,
    IncompleteStoreError,
    InputError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
)
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.source_pool import SourcePool
from vz_beam.transforms.runners import local_runner
from vz_beam.writers.writer import WriteTarget, find_writer

FILES = ("parquet", "json", "zarr")
"""Stores of plain files, which any object store of fsspec can hold."""
SUFFIXES = (*FILES, "icechunk")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data")


def append(files: Any, store: str | Path, **choices: Any) -> Any:
    return build(files, store, mode="append", **choices)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("chunks_per_shard", [3, 10, 100_000])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_grown_store_is_the_bytes_of_one_that_was_built_at_once(
    suffix: str, chunks_per_shard: int, workers: int, files: list[str], tmp_path: Path
) -> None:
    once, grown = tmp_path / f"once.{suffix}", tmp_path / f"grown.{suffix}"
    build(files, once, chunks_per_shard=chunks_per_shard)
    build(files[:2], grown, chunks_per_shard=chunks_per_shard)
    summary = append(files[2:4], grown, chunks_per_shard=7, workers=workers)
    assert (summary.files, summary.dimensions["time"]) == (2, 16)
    assert (summary.added, summary.references + summary.missing + summary.kept) == (17, 36)
    assert ("17 new; " in str(summary)) == (summary.kept > 0)
    append(files[4:], grown, workers=workers)
    assert contents(grown) == contents(once)
    assert_store_equals(grown, read_series(files))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bundles_that_run_twice_give_the_same_bytes(suffix: str, files: list[str], tmp_path: Path) -> None:
    once, grown = tmp_path / f"once.{suffix}", tmp_path / f"grown.{suffix}"
    build(files, once, chunks_per_shard=5)
    build(files[:3], grown, chunks_per_shard=5)
    options = PipelineOptions()
    options.view_as(DirectOptions).direct_runner_bundle_repeat = 2
    append(files[3:], grown, options=options)
    assert contents(grown) == contents(once)


def test_record_files_that_stay_as_they_are_are_not_written_again(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    build(files[:3], store, chunks_per_shard=5)
    before = {path: path.stat().st_ino for path in store.rglob("*.parq")}
    append(files[3:], store)
    same = {str(path.relative_to(store)) for path, inode in before.items() if path.stat().st_ino == inode}
    assert same == {f"{name}/refs.{number}.parq" for name in ("t", "p") for number in range(2)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_the_store_has_are_passed_over(suffix: str, files: list[str], tmp_path: Path) -> None:
    once, grown = tmp_path / f"once.{suffix}", tmp_path / f"grown.{suffix}"
    build(files, once)
    build(files[:2], grown)
    assert append(files, grown).files == 3
    assert contents(grown) == contents(once)
    summary = append(files, grown)
    assert (summary.files, summary.arrays) == (0, 0)
    assert "the store has all of the 5 inputs" in str(summary)
    assert contents(grown) == contents(once)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_has_changed_is_named_and_the_store_stays(suffix: str, files: list[str], tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    build(files[:2], store)
    before = contents(store)
    os.utime(files[1], ns=(1, 1))
    with pytest.raises(StoreMismatchError, match=r"day_1\.nc has changed"):
        append(files, store)
    assert contents(store) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_in_a_pipeline_of_ones_own_a_known_input_is_an_error(suffix: str, files: list[str], tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    build(files[:2], store)
    before = contents(store)
    options = PipelineOptions()
    pipeline = beam.Pipeline(local_runner(options), options)
    pattern = vz_beam.pattern_from_file_sequence(files[1:3], "time")
    opened = pipeline | beam.Create(pattern.items()) | OpenWithVirtualizarr()
    _ = opened | CombineManifests(overlaps="keep") | WriteReferences(store, mode="append", append_dim="time")
    with pytest.raises(Exception, match=r"1 of 2 inputs are in .* already: .*day_1\.nc"):
        pipeline.run()
    assert contents(store) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_append_that_is_killed_at_any_step_leaves_the_old_store_and_is_repeated(
    suffix: str, files: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.transforms.killed_appends", f"store.{suffix}", str(tmp_path / "k"), *files]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) > 15


@pytest.mark.parametrize("mode", ["create", "overwrite", "append"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_two_runs_at_one_place_the_first_is_told_and_the_second_wins(
    suffix: str, mode: str, files: list[str], tmp_path: Path
) -> None:
    store = str(tmp_path / f"store.{suffix}")
    writer = find_writer(store)
    if mode != "create":
        build(files[:1], store)
    started = []
    for part in (files[1:2], files[1:3]):
        pattern = vz_beam.pattern_from_file_sequence(part, "time")
        layout, shards = combine([(index, vz_beam.open_virtual_dataset(url)) for index, url in pattern.items()])
        target = WriteTarget(store, mode, "time" if mode == "append" else None)
        if mode == "append":
            with SourcePool() as open_location:
                layout = grown_layout(writer, target, layout, None, open_location)
        started.append((target, layout, shards))
    for target, layout, _ in started:
        writer.begin(target, layout)
    receipts = []
    for target, layout, shards in started:
        moved = [moved_to_end(layout, key, fragment) for key, fragment in shards.items()]
        parts = dict(part for parts in moved for part in parts)
        keys = layout.shard_keys()
        receipts.append([writer.write_shard(target, layout, k, parts.get(k, Fragment.empty())) for k in keys])
    with pytest.raises(StoreError, match="another one has begun"):
        writer.commit(*started[0][:2], receipts[0])
    writer.commit(*started[1][:2], receipts[1])
    with pytest.raises(StoreError):
        writer.commit(*started[0][:2], receipts[0])
    assert_store_equals(store, read_series(files[:3] if mode == "append" else files[1:3]))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ds: ds["t"].attrs.update(units="degC"), ["'t'", "'K'", "'degC'", "what is appended"]),
        (lambda ds: ds["t"].encoding.update(scale_factor=0.2), ["'t'", "0.1", "0.2"]),
        (lambda ds: ds.update({"lat": ("lat", ds["lat"].values + 1)}), ["lat", "-50", "-49"]),
        (lambda ds: ds["t"].encoding.update(chunksizes=(4, 3, 8)), ["'t'", "(2, 3, 8)", "(4, 3, 8)"]),
    ],
)
def test_what_does_not_fit_is_told_in_the_words_of_combining(
    suffix: str, change: Any, words: list[str], files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / f"store.{suffix}"
    build(files[:2], store)
    before = contents(store)
    with xr.open_dataset(files[2]) as opened:
        dataset = opened.load().copy(deep=True)
    change(dataset)
    dataset.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
    with pytest.raises(StoreMismatchError) as refusal:
        append([str(tmp_path / "odd.nc")], store, append_dim="time")
    for word in words:
        assert word in str(refusal.value)
    assert contents(store) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_files_out_of_order_are_refused(files: list[str], tmp_path: Path) -> None:
    build(files[1:3], tmp_path / "store.parquet")
    with pytest.raises(StoreMismatchError, match=r"(?s)time.*overlap|backwards|before"):
        append(files[:1], tmp_path / "store.parquet", append_dim="time")


def test_a_partial_last_chunk_is_refused(tmp_path: Path) -> None:
    whole = write_series(tmp_path / "whole", count=2, steps=4)
    odd = write_series(tmp_path / "odd", count=1, steps=3)
    build([odd[0]], tmp_path / "store.parquet")
    with pytest.raises(StoreMismatchError, match="partial chunk in the middle of 'time'"):
        append(whole[1:], tmp_path / "store.parquet", append_dim="time")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_where_no_store_is_the_way_out_is_told(suffix: str, files: list[str], tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="build it first"):
        append(files, tmp_path / f"store.{suffix}")
    assert os.listdir(tmp_path) == ["data"]


def test_the_dimension_is_asked_for_where_it_is_not_clear(files: list[str], tmp_path: Path) -> None:
    build(files[:1], tmp_path / "store.parquet")
    with pytest.raises(InputError, match="append_dim"):
        vz_beam.build(files[1], tmp_path / "store.parquet", mode="append", progress=False)
    with pytest.raises(InputError, match=r"no dimension 'tiem'.*'time'"):
        append(files[1:], tmp_path / "store.parquet", append_dim="tiem")
    with pytest.raises(InputError, match="append_dim='time' is for mode='append'"):
        build(files[1:], tmp_path / "store.parquet", append_dim="time")


def test_a_lost_record_file_is_noticed(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    build(files[:3], store, chunks_per_shard=5)
    (store / "t" / "refs.0.parq").unlink()
    before = contents(store)
    with pytest.raises(IncompleteStoreError, match=r"t/refs\.0\.parq"):
        append(files[3:], store)
    assert contents(store) == before


@pytest.mark.parametrize("chunks_per_shard", [3, 100_000])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_store_grows_along_any_axis(suffix: str, chunks_per_shard: int, tmp_path: Path) -> None:
    for time in range(4):
        for member in range(3):
            dataset = xr.Dataset(
                {"v": (("y", "x"), np.arange(12.0).reshape(3, 4) + 100 * time + 1000 * member)},
                coords={"y": [1, 2, 3]},
            )
            dataset.to_netcdf(tmp_path / f"v_{member}_{time}.nc", encoding={"v": {"chunksizes": (3, 2), "zlib": True}})

    def pattern(times: list[int]) -> FilePattern:
        return FilePattern(
            lambda member, time: str(tmp_path / f"v_{member}_{time}.nc"),
            ConcatDim("member", [0, 1, 2]),
            ConcatDim("time", times),
        )

    once, grown = tmp_path / f"once.{suffix}", tmp_path / f"grown.{suffix}"
    build(pattern([0, 1, 2, 3]), once, chunks_per_shard=chunks_per_shard)
    build(pattern([0, 1]), grown, chunks_per_shard=chunks_per_shard)
    append(pattern([0, 1, 2, 3]), grown, append_dim="time")
    assert contents(grown) == contents(once)
    with xr.open_dataset(str(grown), engine="vz_beam") as ours:
        assert ours["v"].dims == ("member", "time", "y", "x")
        expected = (
            np.arange(12.0).reshape(3, 4) + 100 * np.arange(4)[:, None, None] + 1000 * np.arange(3)[:, None, None, None]
        )
        np.testing.assert_array_equal(ours["v"].values, expected)
        np.testing.assert_array_equal(ours["time"].values, [0, 1, 2, 3])


def test_half_known_places_are_refused(files: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        for time in range(3):
            xr.Dataset({name: (("time",), [float(time)])}, {"time": [time]}).to_netcdf(tmp_path / f"{name}_{time}.nc")

    def pattern(names: list[str], times: list[int]) -> FilePattern:
        return FilePattern(
            lambda name, time: str(tmp_path / f"{name}_{time}.nc"), MergeDim("name", names), ConcatDim("time", times)
        )

    build(pattern(["a"], [0, 1]), tmp_path / "store.parquet")
    with pytest.raises(InputError, match=r"(?s)some of the inputs of time=0 .*a_0\.nc.*lacks others.*b_0\.nc"):
        append(pattern(["a", "b"], [0, 1, 2]), tmp_path / "store.parquet")


def test_groups_grow_as_well(tmp_path: Path) -> None:
    files = []
    for number in range(3):
        path = str(tmp_path / f"scan_{number}.nc")
        with netCDF4.Dataset(path, "w") as file:
            for name in ("one", "two"):
                group = file.createGroup(name)
                group.createDimension("time", None)
                group.createDimension("x", 2)
                times = group.createVariable("time", "f8", ("time",))
                times.units = "days since 2000-01-01"
                times[:] = [number]
                group.createVariable("v", "f4", ("time", "x"), chunksizes=(1, 2), zlib=True)[:] = number + 1
        files.append(path)
    once, grown = tmp_path / "once.parquet", tmp_path / "grown.parquet"
    build(files, once, tree=True)
    build(files[:1], grown, tree=True)
    append(files[1:], grown, tree=True, append_dim="time")
    assert contents(grown) == contents(once)
    with xr.open_datatree(grown, engine="vz_beam") as tree:
        np.testing.assert_array_equal(tree["two/v"].values, [[1, 1], [2, 2], [3, 3]])


def test_an_array_that_does_not_grow_must_be_the_same(tmp_path: Path) -> None:
    def file(number: int, mask: list[int]) -> str:
        path = str(tmp_path / f"m_{number}_{sum(mask)}.nc")
        dataset = xr.Dataset({"v": (("time", "x"), np.full((1, 300), number)), "mask": (("x",), mask)})
        dataset.to_netcdf(path, unlimited_dims=["time"], encoding={"mask": {"zlib": True, "chunksizes": (300,)}})
        return path

    mask = [0] * 300
    store = tmp_path / "store.parquet"
    build([file(0, mask)], store)
    before = contents(store)
    with pytest.raises(StoreMismatchError, match="'mask' does not grow and is not the same"):
        append([file(1, list(range(300)))], store, append_dim="time")
    assert contents(store) == before
    append([file(1, mask)], store, append_dim="time")
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["mask"].values, mask)
        np.testing.assert_array_equal(ours["v"].values[:, 0], [0, 1])


@pytest.fixture
def remote() -> Iterator[str]:
    sink = open_sink("memory://append")
    sink.delete()
    yield sink.url
    sink.delete()


def objects(store: str) -> dict[str, bytes]:
    sink = open_sink(store)
    return {key: sink.read(key) for key in sink.list()} or {
        "": open_sink(store.rpartition("/")[0]).read(store.rpartition("/")[2])
    }


@pytest.mark.parametrize("suffix", FILES)
def test_stores_on_object_stores_grow_as_well(suffix: str, remote: str, files: list[str]) -> None:
    once, grown = f"{remote}/once.{suffix}", f"{remote}/grown.{suffix}"
    build(files, once, chunks_per_shard=5)
    build(files[:3], grown, chunks_per_shard=5)
    append(files[3:], grown)
    assert objects(grown) == objects(once)
    assert not [name for name in open_sink(remote).list() if "building" in name]


@pytest.mark.parametrize("copies", [0, 1, 3])
def test_on_object_stores_the_next_run_ends_what_a_killed_one_had_begun_to_publish(
    copies: int, remote: str, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    once, grown = f"{remote}/once.parquet", f"{remote}/grown.parquet"
    build(files, once, chunks_per_shard=5)
    build(files[:3], grown, chunks_per_shard=5)
    sink_type = type(open_sink(remote))
    original, left = sink_type.copy, [copies]

    def dying_copy(self: Any, source: str, target: str) -> None:
        if not left[0]:
            raise FormatError("killed")
        left[0] -= 1
        original(self, source, target)

    with monkeypatch.context() as patch:
        patch.setattr(sink_type, "copy", dying_copy)
        with pytest.raises(FormatError, match="killed"):
            append(files[3:], grown)
    assert ".zmetadata" not in objects(grown)
    assert append(files, grown).files == 0
    assert objects(grown) == objects(once)
