"""The three transforms: equal to their functions in a loop, and safe where runs fail or repeat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import xarray as xr
from apache_beam.coders.typecoders import registry
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.testing.util import assert_that

import vz_beam
from tests.combine.virtual_files import combine
from tests.daily_series import assert_store_equals, read_series, write_series
from vz_beam import CombineManifests, ConcatDim, FilePattern, OpenWithVirtualizarr, WriteReferences
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import (
    FormatError,
    HolesError,
    InputError,
    MismatchError,
    PatternError,
    RunnerError,
    StoreExistsError,
    StoreNotFoundError,
)
from vz_beam.patterns import Index
from vz_beam.transforms.runners import check_runner, local_runner
from vz_beam.writers.writer import find_writer, write_store


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data")


def pipeline() -> beam.Pipeline:
    options = PipelineOptions()
    return beam.Pipeline(runner=local_runner(options), options=options)


def contents(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def test_a_pipeline_equals_its_functions_in_a_loop(files: list[str], tmp_path: Path) -> None:
    pattern = vz_beam.pattern_from_file_sequence(files, "time")
    with pipeline() as p:
        _ = (
            p
            | beam.Create(pattern.items())
            | OpenWithVirtualizarr()
            | CombineManifests(chunks_per_shard=7)
            | WriteReferences(tmp_path / "beam.parquet")
        )
    inputs = [(index, vz_beam.open_virtual_dataset(url)) for index, url in pattern.items()]
    layout, shards = combine(inputs, chunks_per_shard=7)
    loop = tmp_path / "loop.parquet"
    identities = [dataset.encoding["identity"] for _, dataset in inputs]
    write_store(find_writer(loop), loop.as_uri(), layout, shards, inputs=identities)
    assert contents(tmp_path / "beam.parquet") == contents(loop)
    assert_store_equals(loop, read_series(files))


@pytest.mark.parametrize("suffix", ["parquet", "json"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_reads_as_its_files(suffix: str, workers: int, files: list[str], tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    summary = vz_beam.build(files, store, concat_dim="time", workers=workers, progress=False)
    assert_store_equals(store, read_series(files))
    assert summary.files == 5
    assert summary.dimensions["time"] == 20
    assert not (tmp_path / "failures.jsonl").exists()


def test_bundles_that_run_twice_and_runs_that_repeat_give_the_same_bytes(files: list[str], tmp_path: Path) -> None:
    stores = []
    for name, repeats in (("a", 0), ("b", 1), ("a", 0)):
        options = PipelineOptions()
        options.view_as(DirectOptions).direct_runner_bundle_repeat = repeats
        store = tmp_path / f"{name}.parquet"
        vz_beam.build(files, store, concat_dim="time", options=options, progress=False, mode="overwrite")
        stores.append(contents(store))
    assert stores[0] == stores[1] == stores[2]


def test_transforms_may_be_applied_twice_and_plain_xarray_goes_between(files: list[str], tmp_path: Path) -> None:
    pattern = vz_beam.pattern_from_file_sequence(files, "time")
    with pipeline() as p:
        opened = p | beam.Create(pattern.items()) | OpenWithVirtualizarr()
        for name in ("t", "p"):
            _ = (
                opened
                | f"Without {name}" >> beam.MapTuple(lambda index, ds, name=name: (index, ds.drop_vars(name)))
                | f"Combine {name}" >> CombineManifests()
                | f"Write {name}" >> WriteReferences(tmp_path / f"without_{name}.parquet")
            )
    for name in ("t", "p"):
        assert_store_equals(tmp_path / f"without_{name}.parquet", read_series(files).drop_vars(name))


def test_transforms_declare_what_flows_between_them(tmp_path: Path) -> None:
    p = pipeline()
    opened = p | beam.Create([("", "")]) | OpenWithVirtualizarr()
    combined = opened | CombineManifests()
    written = combined | WriteReferences(tmp_path / "store.parquet")
    assert opened.element_type == beam.typehints.Tuple[Index, xr.Dataset]
    assert combined.layout.element_type is Layout
    assert combined.fragments.element_type == beam.typehints.Tuple[ShardKey, Fragment]
    assert written.element_type is vz_beam.StoreSummary


@pytest.mark.parametrize("value", [Index(()), vz_beam.pattern_from_file_sequence(["a", "b"], "t")])
def test_keys_have_deterministic_coders(value: Any) -> None:
    index = value if isinstance(value, Index) else next(iter(value))
    for key in (index, ShardKey("group/air", 7)):
        coder = registry.get_coder(type(key))
        assert coder.is_deterministic()
        assert coder.decode(coder.encode(key)) == key
        assert len(coder.encode(key)) < 60


def test_the_summary_flows_on(files: list[str], tmp_path: Path) -> None:
    def check(summaries: list[Any]) -> None:
        (summary,) = summaries
        assert summary.references > 0
        assert summary.url.endswith("store.parquet")

    with pipeline() as p:
        summaries = (
            p
            | beam.Create(vz_beam.pattern_from_file_sequence(files, "time").items())
            | OpenWithVirtualizarr()
            | CombineManifests()
            | WriteReferences("store.parquet", target_root=str(tmp_path))
        )
        assert summaries.element_type is vz_beam.StoreSummary
        assert_that(summaries, check)


@pytest.mark.parametrize("workers", [1, 2])
def test_failed_files_are_listed_and_the_rest_is_right(workers: int, files: list[str], tmp_path: Path) -> None:
    Path(files[2]).write_bytes(b"rubbish")
    Path(files[4]).unlink()
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", errors="collect", workers=workers, progress=False)
    assert_store_equals(store, read_series([files[0], files[1], files[3]]))
    assert summary.files == 5
    assert len(summary.failures) == 2
    lines = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [Path(line["url"]).name for line in lines] == ["day_2.nc", "day_4.nc"]
    assert [line["error"] for line in lines] == ["FormatError", "SourceNotFoundError"]
    write_series(tmp_path / "data")
    vz_beam.build(files, store, concat_dim="time", errors="collect", progress=False, mode="overwrite")
    assert not (tmp_path / "failures.jsonl").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_file_ends_the_run_by_name_and_leaves_nothing(workers: int, files: list[str], tmp_path: Path) -> None:
    Path(files[2]).write_bytes(b"rubbish")
    store = tmp_path / "store.parquet"
    with pytest.raises(FormatError, match=r"day_2\.nc") as caught:
        vz_beam.build(files, store, concat_dim="time", workers=workers, progress=False)
    assert "while running" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mismatch_keeps_its_list(workers: int, files: list[str], tmp_path: Path) -> None:
    with xr.open_dataset(files[1], engine="h5netcdf", decode_cf=False) as opened:
        changed = opened.load()
    changed["t"].attrs["scale_factor"] = 0.5
    changed["p"].attrs["units"] = "inch"
    changed.to_netcdf(files[1], engine="h5netcdf")
    with pytest.raises(MismatchError) as caught:
        vz_beam.build(files, tmp_path / "store.parquet", concat_dim="time", workers=workers, progress=False)
    assert len(caught.value.disagreements) >= 2
    assert len(set(caught.value.disagreements)) == len(caught.value.disagreements)
    assert any("0.1" in text and "0.5" in text and "day_1.nc" in text for text in caught.value.disagreements)


def test_every_failure_leaves_the_old_store_as_it_was(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    vz_beam.build(files[:2], store, concat_dim="time", progress=False)
    before = contents(store)
    with pytest.raises(StoreExistsError, match=r"store\.parquet"):
        vz_beam.build(files, store, concat_dim="time", progress=False)
    Path(files[4]).write_bytes(b"rubbish")
    with pytest.raises(FormatError):
        vz_beam.build(files, store, concat_dim="time", progress=False, mode="overwrite")
    assert contents(store) == before


def test_a_file_that_never_arrives_is_a_hole(files: list[str], tmp_path: Path) -> None:
    items = list(vz_beam.pattern_from_file_sequence(files, "time").items())
    with pytest.raises(HolesError, match="time=2"), pipeline() as p:
        _ = (
            p
            | beam.Create([*items[:2], *items[3:]])
            | OpenWithVirtualizarr()
            | CombineManifests()
            | WriteReferences(tmp_path / "store.parquet")
        )


@pytest.mark.parametrize("suffix", ["parquet", "json", "zarr", "icechunk"])
def test_a_store_that_is_there_is_refused_before_anything_is_opened(suffix: str, tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    vz_beam.build(write_series(tmp_path / "data", count=1), store, concat_dim="time", progress=False)
    with pytest.raises(StoreExistsError, match=r"is there already. Way out: mode='append' to add what it lacks"):
        vz_beam.build([str(tmp_path / "absent.nc")], store, concat_dim="time", progress=False)


def test_input_that_cannot_work_is_refused_before_anything_runs(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    with pytest.raises(PatternError):
        vz_beam.build([], store)
    with pytest.raises(PatternError):
        vz_beam.build(str(tmp_path / "*.none"), store)
    with pytest.raises(InputError, match="spelling"):
        vz_beam.build(files, store, concat_dim="time", spelling=1)
    for choices in (
        {"errors": "ignore"},
        {"mismatch": "repair"},
        {"holes": "ignore"},
        {"mode": "insert"},
        {"workers": 0},
    ):
        with pytest.raises(InputError):
            vz_beam.build(files, store, concat_dim="time", **choices)
    with pytest.raises(InputError, match=r"\.csv"):
        vz_beam.build(files, tmp_path / "store.csv", concat_dim="time")
    with pytest.raises(StoreNotFoundError, match=r"store\.parquet: there is no store"):
        vz_beam.build(files, store, concat_dim="time", mode="append")
    assert not store.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_declared_gaps_of_a_pattern_read_as_missing_at_their_times(
    workers: int, files: list[str], tmp_path: Path
) -> None:
    days = [np.datetime64("2001-01-01") + number for number in range(5)]
    pattern = FilePattern(
        lambda time: files[days.index(time)], ConcatDim("time", days), gaps=lambda time: time in days[1:3]
    )
    store = tmp_path / "store.parquet"
    with pytest.raises(HolesError, match=r"time=1 \(2001-01-02"):
        vz_beam.build(pattern, store, progress=False)
    summary = vz_beam.build(pattern, store, holes="missing", workers=workers, progress=False)
    assert any("2 of the pattern's inputs are absent" in note for note in summary.notes)
    expected = read_series(files)
    here = xr.DataArray([number not in (1, 2) for number in range(5) for _ in range(4)], dims="time")
    fields = {name: expected[name].where(here) for name in ("t", "p")}
    assert_store_equals(store, expected.assign(fields))


def test_patterns_of_pangeo_forge_recipes_are_taken_as_they_are(files: list[str], tmp_path: Path) -> None:
    class Operation(Enum):
        CONCAT = 2

    class Dimension:
        name = "time"
        operation = Operation.CONCAT

    class Position:
        def __init__(self, value: int) -> None:
            self.value = value
            self.indexed = False
            self.dimsize = 0

    class Pattern:
        def items(self) -> Iterator[tuple[dict[Any, Any], str]]:
            return (({Dimension(): Position(number)}, url) for number, url in enumerate(files))

    store = tmp_path / "store.parquet"
    vz_beam.build(Pattern(), store, progress=False)
    assert_store_equals(store, read_series(files))


def test_preprocess_sees_each_dataset(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    vz_beam.build(files, store, concat_dim="time", preprocess=lambda ds: ds.drop_vars("p"), workers=2, progress=False)
    assert_store_equals(store, read_series(files).drop_vars("p"))


def test_runners_that_are_wrong_are_refused() -> None:
    with pytest.raises(RunnerError, match="only the last of two sinks"):
        check_runner("apache_beam.runners.dask.DaskRunner")


def test_worker_processes_see_the_options_of_the_pipeline() -> None:
    options = PipelineOptions(job_name="seen")
    runner = local_runner(options, 2)
    given = runner._provision_info.provision_info.pipeline_options
    assert given["beam:option:job_name:v1"] == "seen"
    assert options.view_as(DirectOptions).direct_running_mode == "multi_processing"
