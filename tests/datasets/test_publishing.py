"""A store that grows: whatever comes twice, in whatever order within a round, it is the store of one build."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vz_beam
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.schema import FailedInput
from vz_beam.datasets.publishing import Arrived, GrowingStore, Published, renumbered
from vz_beam.datasets.verification import Verifier
from vz_beam.errors import InputError, StoreError
from vz_beam.patterns.index import Index, Position
from vz_beam.storage.source_pool import SourcePool
from vz_beam.writers.writer import WriteTarget, find_writer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Eight files of two hours each."""
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number in range(8):
        dataset = xr.Dataset(
            {"air": ("time", np.arange(2.0) + 10 * number)},
            {"time": ("time", np.arange(2) + 2 * number, {"units": "hours since 2000-01-01"})},
        )
        path = folder / f"f{number}.nc"
        dataset.to_netcdf(path, unlimited_dims=["time"], encoding={"air": {"chunksizes": (1,), "zlib": True}})
        paths.append(str(path))
    return paths


def index_of(number: int) -> Index:
    return Index((Position("time", "concat", number),))


def arrived(file: str, number: int = 0) -> Arrived:
    return Arrived(index_of(number), vz_beam.open_virtual_dataset(file))


def publish(store: Path, some: Iterable[Arrived], *, late: bool = False, **choices: Any) -> Published:
    with SourcePool() as open_location:
        target = WriteTarget(str(store), "append")
        place = (find_writer(str(store)), target, CombineChoices(**choices), None, open_location)
        return GrowingStore(*place).publish(some, late=late)


def content(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    repeats=st.lists(st.integers(0, 7), max_size=6),
    seed=st.integers(0, 2**16),
)
def test_rounds_with_repeats_in_any_order_give_the_store_of_one_build(
    files: list[str], tmp_path: Path, rounds: Sequence[int], repeats: Sequence[int], seed: int
) -> None:
    store, whole = tmp_path / "grown.parquet", tmp_path / "whole.parquet"
    for path in (store, whole):
        shutil.rmtree(path, ignore_errors=True)
    chance = random.Random(seed)
    came = 0
    for size in rounds:
        new = files[came : came + size]
        came += len(new)
        again = [files[number] for number in repeats if number < came]
        some = [arrived(file) for file in [*new, *again]]
        chance.shuffle(some)
        done = publish(store, some)
        assert not done.failures
        assert [summary.files for summary in done.summaries] == ([len(new)] if new else [])
    vz_beam.build(files[:came], whole, concat_dim="time", progress=False)
    assert content(store) == content(whole)


def test_a_failed_input_leaves_a_hole_that_is_filled_when_it_comes(files: list[str], tmp_path: Path) -> None:
    store, whole = tmp_path / "grown.parquet", tmp_path / "whole.parquet"
    failure = FailedInput(index_of(1), files[1], "FormatError", "damaged", 1)
    some = [arrived(files[0]), Arrived(index_of(1), None, failure), arrived(files[2], 2)]
    done = publish(store, [*some, some[1]], holes="missing")
    failure = replace(failure, url=f"file://{files[1]}")
    assert done.failures == [failure]
    assert [str(failure)] == list(done.summaries[-1].failures)
    assert "damaged" in (tmp_path / "failures.jsonl").read_text()
    again = publish(store, some, holes="missing")
    assert (again.summaries, again.failures) == ([], [failure])
    filled = publish(store, [arrived(files[1], 5)], late=True, holes="missing")
    assert not filled.failures
    assert "damaged" not in "".join(path.read_text() for path in tmp_path.glob("failures.jsonl"))
    vz_beam.build(files[:3], whole, concat_dim="time", progress=False)
    with xr.open_dataset(store, engine="vz_beam") as ours, xr.open_dataset(whole, engine="vz_beam") as theirs:
        xr.testing.assert_identical(ours.load(), theirs.load())


def test_without_a_hole_what_is_late_is_refused_and_listed(files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "grown.parquet"
    publish(store, [arrived(files[0]), arrived(files[2])])
    before = content(store)
    done = publish(store, [arrived(files[1]), arrived(files[0])], late=True)
    assert [failure.error_type for failure in done.failures] == ["LateInputError"]
    assert not done.summaries
    assert content(store) == before
    assert "LateInputError" in (tmp_path / "failures.jsonl").read_text()


def test_an_input_behind_the_end_of_the_store_is_refused_and_the_others_are_not(
    files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / "grown.parquet"
    publish(store, [arrived(files[2])])
    done = publish(store, [arrived(files[1]), arrived(files[3])])
    [failure] = done.failures
    assert failure.url == f"file://{files[1]}"
    assert "time" in failure.message
    assert [summary.files for summary in done.summaries] == [1]
    assert [one.url for one in Verifier(str(store)).inputs()] == [f"file://{file}" for file in files[2:4]]


def test_a_store_that_cannot_be_written_ends_the_work(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "grown.parquet"
    publish(store, [arrived(files[0])])
    before = content(store)

    def broken(*arguments: Any, **options: Any) -> None:
        raise StoreError("no space left")

    writer = type(find_writer(str(store)))
    with monkeypatch.context() as patched:
        patched.setattr(writer, "commit", broken)
        with pytest.raises(StoreError, match="no space left"):
            publish(store, [arrived(files[1]), arrived(files[2])])
    assert content(store) == before
    assert [summary.files for summary in publish(store, [arrived(files[1]), arrived(files[2])]).summaries] == [2]


def test_a_dataset_that_does_not_say_what_file_it_is_of_is_refused(files: list[str], tmp_path: Path) -> None:
    dataset = vz_beam.open_virtual_dataset(files[0])
    dataset.encoding.clear()
    with pytest.raises(InputError, match="keep the encoding of the dataset"):
        publish(tmp_path / "a.parquet", [Arrived(index_of(0), dataset)])


def test_numbers_of_a_grid_keep_their_order_and_lose_their_gaps() -> None:
    def at(time: int, member: int) -> Arrived:
        positions = Position("time", "concat", time, key=time), Position("member", "concat", member)
        return Arrived(Index(positions), None)

    moved = [one.index for one in renumbered([at(70, 2), at(70, 5), at(90, 5)])]
    assert [index.numbers for index in moved] == [(0, 0), (0, 1), (1, 1)]
    assert [index.positions[0].key for index in moved] == [70, 70, 90]
    assert {position.size for index in moved for position in index.positions} == {2}
