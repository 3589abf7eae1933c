from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing import test_stream
from apache_beam.transforms.window import FixedWindows, Sessions, TimestampedValue

from tests.hourly_files import check, file_at
from vz_beam import CombineManifests, OpenWithVirtualizarr, WriteReferences
from vz_beam.combine.schema import FailedInput
from vz_beam.datasets.verification import Verifier
from vz_beam.errors import InputError
from vz_beam.patterns.index import Index, Position
from vz_beam.writers.store_summary import StoreSummary

Stream = test_stream.TestStream
STORES = ["store.parquet", "store.json", "store.icechunk", "store.zarr"]
COLLECTED: list[Any] = []
"""What pipelines gave; the runner of TestStream works in this process."""


def collect(what: Any) -> None:
    COLLECTED.append(what)


@pytest.fixture(autouse=True)
def _nothing_is_collected() -> None:
    COLLECTED.clear()


def place(number: int, key: Any = None) -> Index:
    return Index((Position("time", "concat", number, 0, key),))


def arrivals(url: str, at: float, number: int = 0) -> TimestampedValue[Any]:
    return TimestampedValue((place(number), url), at)


def run(stream: Any, store: Path, *, opening: Any = None, combining: Any = None, window: float = 10) -> None:
    """The pipeline, whose summaries and failures go to ``COLLECTED``."""
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with beam.Pipeline(options=options) as pipeline:
        done = (
            pipeline
            | stream
            | beam.WindowInto(FixedWindows(window))
            | OpenWithVirtualizarr(errors="collect", **(opening or {}))
            | CombineManifests(**(combining or {}))
            | WriteReferences(store, mode="append")
        )
        _ = done.summaries | "Collect summaries" >> beam.Map(collect)
        _ = done.failures | "Collect failures" >> beam.Map(collect)


def summaries() -> list[StoreSummary]:
    return [one for one in COLLECTED if isinstance(one, StoreSummary)]


def failures() -> list[FailedInput]:
    return [one for one in COLLECTED if isinstance(one, FailedInput)]


@pytest.mark.parametrize("name", STORES)
def test_each_window_is_one_commit_in_order_and_the_store_grows(tmp_path: Path, name: str) -> None:
    files = [file_at(tmp_path, number) for number in range(5)]
    store = tmp_path / name
    stream = (
        Stream()
        .add_elements([arrivals(files[1], 2), arrivals(files[0], 3)])
        .add_elements([arrivals(files[4], 25), arrivals(files[2], 12)])  # a later window comes first
        .advance_watermark_to(5)
        .add_elements([arrivals(files[3], 14)])
        .advance_watermark_to_infinity()
    )
    run(stream, store)
    assert [summary.files for summary in summaries()] == [2, 2, 1]
    assert not failures()
    check(store, files)
    assert len(Verifier(str(store)).inputs()) == 5


def test_nothing_is_published_before_the_watermark_passes_the_end_of_the_window(tmp_path: Path) -> None:
    first, second = file_at(tmp_path, 0), file_at(tmp_path, 1)
    store = tmp_path / "store.parquet"

    def look(summary: StoreSummary) -> None:
        with xr.open_dataset(store, engine="vz_beam") as ours:
            collect(ours.sizes["time"])

    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    stream = (
        Stream()
        .add_elements([arrivals(first, 1)])
        .advance_watermark_to(9)
        .add_elements([arrivals(second, 11)])
        .advance_watermark_to(10)
        .advance_watermark_to(19)
        .advance_watermark_to_infinity()
    )
    with beam.Pipeline(options=options) as pipeline:
        windows = pipeline | stream | beam.WindowInto(FixedWindows(10)) | OpenWithVirtualizarr()
        done = windows | CombineManifests() | WriteReferences(store, mode="append")
        _ = done.summaries | beam.Map(look)
    assert COLLECTED == [2, 4]


def test_what_comes_twice_changes_nothing(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(3)]
    store = tmp_path / "store.parquet"

    def twice() -> Any:
        return (
            Stream()
            .add_elements([arrivals(file, 1) for file in files[:2]])
            .add_elements([arrivals(files[0], 2)])
            .advance_watermark_to(10)
            .add_elements([arrivals(files[1], 3)])  # late, and there already
            .add_elements([arrivals(files[0], 15), arrivals(files[2], 15)])
            .advance_watermark_to_infinity()
        )

    run(twice(), store)
    assert [summary.files for summary in summaries()] == [2, 1]
    assert not failures()
    check(store, files)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    COLLECTED.clear()
    run(twice(), store)  # the whole stream once more, as after a crash behind the last commit
    assert not COLLECTED
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_late_file_without_a_hole_is_a_failure_that_says_so(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(3)]
    store = tmp_path / "store.parquet"
    stream = (
        Stream()
        .add_elements([arrivals(files[0], 1), arrivals(files[2], 12)])
        .advance_watermark_to(30)
        .add_elements([arrivals(files[1], 2)])
        .advance_watermark_to_infinity()
    )
    run(stream, store)
    [failure] = failures()
    assert (failure.url, failure.error_type) == (f"file://{files[1]}", "LateInputError")
    assert "comes behind what is published" in failure.message
    assert json.loads((tmp_path / "failures.jsonl").read_text())["url"] == failure.url
    check(store, [files[0], files[2]])


def test_a_late_file_goes_into_its_hole(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(4)]
    content = Path(files[1]).read_bytes()
    Path(files[1]).write_bytes(b"not yet")
    store = tmp_path / "store.parquet"

    def mend(pair: tuple[Index, str]) -> tuple[Index, str]:
        if pair[0].numbers == (7,):
            Path(pair[1]).write_bytes(content)
        return pair

    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    stream = (
        Stream()
        .add_elements([arrivals(file, 1, number) for number, file in enumerate(files[:3])])
        .advance_watermark_to(10)
        .add_elements([arrivals(files[3], 12)])
        .advance_watermark_to(20)
        .add_elements([arrivals(files[1], 2, 7)])
        .advance_watermark_to_infinity()
    )
    with beam.Pipeline(options=options) as pipeline:
        windows = pipeline | stream | beam.Map(mend) | beam.WindowInto(FixedWindows(10))
        opened = windows | OpenWithVirtualizarr(errors="collect")
        done = opened | CombineManifests(holes="missing") | WriteReferences(store, mode="append")
        _ = done.summaries | "Collect summaries" >> beam.Map(collect)
        _ = done.failures | "Collect failures" >> beam.Map(collect)
    assert [failure.url for failure in failures()] == [f"file://{files[1]}"]
    assert [summary.files for summary in summaries()] == [2, 1, 1]
    assert "places without an input that were filled" in str(summaries()[-1])
    check(store, files)


def test_a_file_that_does_not_fit_holds_up_no_other(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(4)]
    odd = file_at(tmp_path, 9, scale_factor=0.5)
    store = tmp_path / "store.parquet"
    stream = (
        Stream()
        .add_elements([arrivals(file, 1, number) for number, file in enumerate(files[:2])])
        .advance_watermark_to(10)
        .add_elements([arrivals(files[2], 11, 2), arrivals(odd, 11, 3), arrivals(files[3], 11, 4)])
        .advance_watermark_to_infinity()
    )
    run(stream, store)
    [failure] = failures()
    assert failure.url == f"file://{odd}"
    assert "scale_factor" in failure.message
    check(store, files)


def test_a_file_that_has_changed_since_it_was_published_is_a_failure(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(2)]
    store = tmp_path / "store.parquet"
    run(Stream().add_elements([arrivals(files[0], 1)]).advance_watermark_to_infinity(), store)
    file_at(tmp_path, 0, steps=1)
    run(Stream().add_elements([arrivals(f, 1) for f in files]).advance_watermark_to_infinity(), store)
    assert [failure.error_type for failure in failures()] == ["InputsChangedError"]
    assert [summary.files for summary in summaries()] == [1, 1]


def grid(folder: Path) -> Iterable[tuple[Index, str]]:
    """Files of two variables at three steps."""
    for step in range(3):
        for number, name in enumerate(("u", "v")):
            dataset = xr.Dataset({name: ("time", [10.0 * step + number])}, {"time": [step]})
            path = folder / f"{name}{step}.nc"
            dataset.to_netcdf(path)
            variable = Position("variable", "merge", number, 2, name)
            yield Index((Position("time", "concat", step), variable)), str(path)


def test_windows_of_several_dimensions_are_grids(tmp_path: Path) -> None:
    pairs = list(grid(tmp_path))
    store = tmp_path / "store.parquet"
    stream = (
        Stream()
        .add_elements([TimestampedValue(pair, 1) for pair in reversed(pairs[:4])])
        .add_elements([TimestampedValue(pair, 11) for pair in pairs[4:]])
        .advance_watermark_to_infinity()
    )
    run(stream, store)
    assert not failures()
    with xr.open_dataset(store, engine="vz_beam") as ours:
        np.testing.assert_array_equal(ours["u"].values, [0, 10, 20])
        np.testing.assert_array_equal(ours["v"].values, [1, 11, 21])


def test_bounded_inputs_in_windows_are_published_window_by_window(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(4)]
    store = tmp_path / "store.parquet"
    with beam.Pipeline(runner="BundleBasedDirectRunner") as pipeline:
        inputs = pipeline | beam.Create([(place(n), file) for n, file in enumerate(files)])
        windows = inputs | beam.Map(lambda pair: TimestampedValue(pair, pair[0].numbers[0]))
        opened = windows | beam.WindowInto(FixedWindows(2)) | OpenWithVirtualizarr()
        done = opened | CombineManifests() | WriteReferences(store, mode="append")
        _ = done.summaries | beam.Map(collect)
    assert [summary.files for summary in summaries()] == [2, 2]
    check(store, files)


@pytest.mark.parametrize(
    ("words", "window", "match"),
    [
        ({}, None, "without windows nobody knows"),
        ({}, Sessions(5), "may still merge"),
        ({"mode": "create"}, FixedWindows(5), "mode='append'"),
        ({"mismatch": "rewrite"}, FixedWindows(5), "looks at all inputs"),
        ({"mismatch": "split"}, FixedWindows(5), "looks at all inputs"),
        ({"max_failures": 0.5}, FixedWindows(5), "needs an end"),
        ({"max_concurrency": 2}, FixedWindows(5), "as many workers as"),
    ],
)
def test_choices_that_no_stream_can_have_are_refused_before_it_runs(
    tmp_path: Path, words: dict[str, Any], window: Any, match: str
) -> None:
    pipeline = beam.Pipeline()
    inputs: Any = pipeline | Stream().add_elements([(place(0), "a.nc")]).advance_watermark_to_infinity()
    if window is not None:
        inputs = inputs | beam.WindowInto(window)
    opening = {name: words[name] for name in ("max_concurrency",) if name in words}
    combining = {name: words[name] for name in ("mismatch",) if name in words}
    writing = {"mode": "append", **{name: words[name] for name in ("mode", "max_failures") if name in words}}
    with pytest.raises(InputError, match=match):
        _ = (
            inputs
            | OpenWithVirtualizarr(**opening)
            | CombineManifests(**combining)
            | WriteReferences(tmp_path / "store.parquet", **writing)
        )
