"""What parsers skip flows past the datasets to the summary, whatever steps stand between."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import h5py
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.testing.util import assert_that

import vz_beam
from tests.combine.virtual_files import combine
from tests.mixed_files import BAD, series_values, write_mixed_file, write_mixed_series
from vz_beam import CombineManifests, HDFParser, OpenWithVirtualizarr, WriteReferences
from vz_beam.combine.skipped import skipped_inputs
from vz_beam.errors import CombineError, InputError, MismatchError, UnsupportedError
from vz_beam.transforms import Opened
from vz_beam.transforms.runners import local_runner
from vz_beam.writers.left_out import record_skipped
from vz_beam.writers.writer import find_writer, write_store


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_mixed_series(tmp_path / "data")


def pipeline() -> beam.Pipeline:
    options = PipelineOptions()
    return beam.Pipeline(runner=local_runner(options), options=options)


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run left in a folder: the store, and what is beside it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "skipped.jsonl").read_text().splitlines()]


def assert_reads_as_the_series(store: Path, count: int = 3) -> None:
    with xr.open_dataset(str(store), engine="kerchunk") as dataset:
        assert set(dataset.variables) == {"time", "t"}
        assert dataset["t"].values.tolist() == series_values(count)
        assert dataset["time"].values.tolist() == list(range(4 * count))
        assert dataset.attrs == {}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("choices", [{"unsupported": "skip"}, {"parser": HDFParser(unsupported="skip")}])
def test_skipped_variables_are_in_the_summary_and_beside_the_store(
    workers: int, choices: dict[str, Any], files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", workers=workers, progress=False, **choices)
    assert_reads_as_the_series(store)
    first = f"file://{files[0]}"
    assert [(one.path, one.inputs, one.url) for one in summary.skipped] == [(path, 3, first) for path in BAD]
    assert "REFERENCE" in summary.skipped[0].reason
    assert [(line["url"], list(line["skipped"])) for line in listed(tmp_path)] == [
        (f"file://{file}", list(BAD)) for file in files
    ]
    assert not (tmp_path / "failures.jsonl").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_without_asking_the_run_ends_and_names_every_variable(workers: int, files: list[str], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        vz_beam.build(files, tmp_path / "store.parquet", concat_dim="time", workers=workers, progress=False)
    for words in (*BAD, "part_", "drop_variables=['links', 'pairs', 'ragged']", 'unsupported="skip"'):
        assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_dropping_them_by_name_is_the_other_way_out(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", drop_variables=BAD, progress=False)
    assert_reads_as_the_series(store)
    assert summary.skipped == ()
    assert not (tmp_path / "skipped.jsonl").exists()


def test_a_pipeline_with_skipped_variables_equals_its_functions_in_a_loop(files: list[str], tmp_path: Path) -> None:
    beam_folder, loop_folder = tmp_path / "beam", tmp_path / "loop"
    pattern = vz_beam.pattern_from_file_sequence(files, "time")
    with pipeline() as p:
        summaries = (
            p
            | beam.Create(pattern.items())
            | OpenWithVirtualizarr(unsupported="skip")
            | CombineManifests()
            | WriteReferences(beam_folder / "store.parquet")
        )
        _ = summaries | beam.Map(lambda summary: (beam_folder / "summary").write_text(repr(summary.skipped)))
    inputs = [(index, vz_beam.open_virtual_dataset(url, unsupported="skip")) for index, url in pattern.items()]
    layout, shards = combine(inputs)
    store = loop_folder / "store.parquet"
    identities = [dataset.encoding["identity"] for _, dataset in inputs]
    summary = write_store(find_writer(store), store.as_uri(), layout, shards, inputs=identities)
    summary = record_skipped(summary, [one for pair in inputs for one in skipped_inputs(*pair)])
    (loop_folder / "summary").write_text(repr(summary.skipped))
    assert contents(beam_folder) == contents(loop_folder)


def test_repeated_bundles_runs_and_other_orders_give_the_same_bytes(files: list[str], tmp_path: Path) -> None:
    items = list(vz_beam.pattern_from_file_sequence(files, "time").items())
    runs = []
    for seed, repeats in ((None, 0), (1, 1), (2, 0)):
        if seed is not None:
            random.Random(seed).shuffle(items)
        options = PipelineOptions()
        options.view_as(DirectOptions).direct_runner_bundle_repeat = repeats
        with beam.Pipeline(local_runner(options), options) as p:
            _ = (
                p
                | beam.Create(items)
                | OpenWithVirtualizarr(unsupported="skip")
                | CombineManifests()
                | WriteReferences(tmp_path / "out" / "store.parquet", mode="overwrite")
            )
        runs.append(contents(tmp_path / "out"))
    assert "skipped.jsonl" in runs[0]
    assert runs[0] == runs[1] == runs[2]


def test_steps_between_get_the_datasets_and_may_lose_their_encoding(files: list[str], tmp_path: Path) -> None:
    with pipeline() as p:
        opened = (
            p
            | beam.Create(vz_beam.pattern_from_file_sequence(files, "time").items())
            | OpenWithVirtualizarr(unsupported="skip")
            | beam.MapTuple(lambda index, ds: (index, xr.Dataset(ds.data_vars, ds.coords)))
            | "Again" >> beam.MapTuple(lambda index, ds: (index, ds.drop_encoding()))
        )
        assert isinstance(opened, Opened)
        _ = opened | "Combine" >> CombineManifests() | WriteReferences(tmp_path / "store.parquet")
    assert_reads_as_the_series(tmp_path / "store.parquet")
    assert [list(line["skipped"]) for line in listed(tmp_path)] == [list(BAD)] * 3


def test_a_step_between_that_gives_no_one_collection_is_refused() -> None:
    opened = pipeline() | beam.Create([("", "")]) | OpenWithVirtualizarr(errors="collect")
    with pytest.raises(InputError, match="apply it to the datasets"):
        _ = opened | beam.ParDo(beam.DoFn()).with_outputs("odd", main="even")


def test_datasets_that_a_step_of_the_user_opened_say_themselves_what_was_skipped(
    files: list[str], tmp_path: Path
) -> None:
    def check(summaries: list[Any]) -> None:
        assert [one.path for one in summaries[0].skipped] == list(BAD)

    with pipeline() as p:
        summaries = (
            p
            | beam.Create(vz_beam.pattern_from_file_sequence(files, "time").items())
            | beam.MapTuple(lambda index, url: (index, vz_beam.open_virtual_dataset(url, unsupported="skip")))
            | CombineManifests()
            | WriteReferences(tmp_path / "store.parquet")
        )
        assert_that(summaries, check)
    assert len(listed(tmp_path)) == 3


def test_preprocess_cannot_lose_what_was_skipped(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    choices: dict[str, Any] = {"unsupported": "skip", "preprocess": lambda ds: ds.drop_encoding()}
    summary = vz_beam.build(files, store, concat_dim="time", progress=False, **choices)
    assert [one.inputs for one in summary.skipped] == [3, 3, 3]


def test_failed_files_and_skipped_variables_are_listed_apart(files: list[str], tmp_path: Path) -> None:
    Path(files[1]).write_bytes(b"rubbish")
    store = tmp_path / "store.parquet"
    choices: dict[str, Any] = {"concat_dim": "time", "unsupported": "skip", "progress": False}
    summary = vz_beam.build(files, store, errors="collect", **choices)
    assert [one.inputs for one in summary.skipped] == [2, 2, 2]
    assert len(summary.failures) == 1
    assert [Path(line["url"]).name for line in listed(tmp_path)] == ["part_0.h5", "part_2.h5"]
    for number, file in enumerate(files):
        write_mixed_file(Path(file), number, bad=())
    vz_beam.build(files, store, mode="overwrite", **choices)
    assert_reads_as_the_series(store)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "store.parquet"}


def test_the_group_of_each_file_has_its_own_paths(files: list[str], tmp_path: Path) -> None:
    summary = vz_beam.build(files[0], tmp_path / "store.json", group="below", unsupported="skip", progress=False)
    assert [one.path for one in summary.skipped] == ["ragged"]
    with pytest.raises(UnsupportedError, match=r"drop_variables=\['below/ragged'\]"):
        vz_beam.build(files[0], tmp_path / "other.json", group="below", progress=False)
    vz_beam.build(files[0], tmp_path / "other.json", group="below", drop_variables=["below/ragged"], progress=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_variable_that_only_some_files_skip_is_a_mismatch_that_says_why(workers: int, tmp_path: Path) -> None:
    files = [write_mixed_file(tmp_path / f"{number}.h5", number, bad=BAD[number:]) for number in range(2)]
    with h5py.File(files[1], "a") as file:
        file["links"] = [1, 2]
    with pytest.raises(MismatchError) as caught:
        vz_beam.build(
            files, tmp_path / "s.json", concat_dim="time", unsupported="skip", workers=workers, progress=False
        )
    (text,) = caught.value.disagreements
    assert text.startswith(
        f"variable 'links' is in file://{files[1]} and not in file://{files[0]}, where it was skipped"
    )
    assert "REFERENCE" in text


def test_a_file_of_which_nothing_is_left_makes_no_store(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "wild.h5", "w") as file:
        file.create_dataset("v", (2,), dtype=h5py.ref_dtype)
    with pytest.raises(CombineError, match=r"every variable .*'v' \(such as in .*wild\.h5\)"):
        vz_beam.build(tmp_path / "wild.h5", tmp_path / "store.json", unsupported="skip", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["wild.h5"]


def test_only_what_may_leave_something_out_gives_more_than_datasets(tmp_path: Path) -> None:
    inputs = pipeline() | beam.Create([("", "")])
    skipping = HDFParser(unsupported="skip")
    for label, opening in (
        ("a", OpenWithVirtualizarr(unsupported="skip")),
        ("b", OpenWithVirtualizarr(errors="collect")),
        ("c", OpenWithVirtualizarr(skipping)),
    ):
        assert isinstance(inputs | label >> opening, Opened)
    for label, opening in (("d", OpenWithVirtualizarr()), ("e", OpenWithVirtualizarr(skipping, unsupported="raise"))):
        assert isinstance(inputs | label >> opening, beam.PCollection)
    with pytest.raises(InputError, match="unsupported"):
        OpenWithVirtualizarr(unsupported="ignore")
