"""A plan tells what a build would do, and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest

import vz_beam
from tests.daily_series import write_series
from vz_beam.errors import InputError, VzBeamError
from vz_beam.patterns import ConcatDim, FilePattern
from vz_beam.patterns.sampling import sampled


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_plan_has_the_counts_of_the_build(workers: int, files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    choices: dict[str, Any] = {"concat_dim": "time", "chunks_per_shard": 16, "progress": False}
    plan = vz_beam.plan_build(files, store, workers=workers, **choices)
    assert not store.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    summary = vz_beam.build(files, store, **choices)
    assert plan.layout is not None
    assert plan.layout.sizes == summary.dimensions
    assert plan.total.nbytes == summary.virtual_nbytes
    assert plan.total.references == summary.references - summary.inlined
    assert (plan.inputs, plan.opened, plan.disagreements) == (5, 5, ())
    text = str(plan)
    for words in (
        "store.parquet (kerchunk-parquet), nothing is written",
        "inputs      5 opened, 0 failed",
        "t(time: 20, lat: 6, lon: 8) int16 in chunks of 2 x 3 x 8, 20 references",
        "2 shards",
        "time(time: 20) ",
        "of at most 16 chunks",
    ):
        assert words in text


def test_disagreements_are_in_the_plan_and_no_error(files: list[str], tmp_path: Path) -> None:
    with h5py.File(files[3], "r+") as file:
        file["t"].attrs["units"] = "degC"
        file["p"].attrs["units"] = "m"
    plan = vz_beam.plan_build(files, tmp_path / "store.json", concat_dim="time", progress=False)
    assert plan.layout is None
    assert len(plan.disagreements) == 2
    assert "disagree    'p' attribute units: 'mm' in" in str(plan)
    plan = vz_beam.plan_build(files, concat_dim="time", mismatch="exclude", progress=False)
    assert plan.layout is not None
    assert "excluded" in str(plan)
    assert files[3] in str(plan)
    plan = vz_beam.plan_build(files, concat_dim="time", mismatch="split", progress=False)
    assert "era_2/t(time: 4" in str(plan)


def test_files_that_fail_are_in_the_plan_where_they_are_collected(files: list[str], tmp_path: Path) -> None:
    Path(files[1]).write_bytes(b"no file of any format")
    with pytest.raises(VzBeamError, match="day_1"):
        vz_beam.plan_build(files, concat_dim="time", progress=False)
    plan = vz_beam.plan_build(files, concat_dim="time", errors="collect", progress=False)
    assert len(plan.failures) == 1
    assert "5 opened, 1 failed" in str(plan)


def test_a_sample_opens_some_files_and_says_so(files: list[str], tmp_path: Path) -> None:
    Path(files[1]).unlink()  # which is not in the sample
    plan = vz_beam.plan_build(files, concat_dim="time", sample=3, progress=False)
    assert (plan.inputs, plan.opened) == (5, 3)
    assert plan.layout is not None
    assert plan.layout.sizes["time"] == 12
    assert "3 of 5 (a sample: what follows is of these) opened" in str(plan)
    assert f"references  about {round(plan.total.references * 5 / 3):,}" in str(plan)


def test_a_sample_keeps_the_other_dimensions_whole() -> None:
    pattern = FilePattern(
        lambda member, time: f"{member}_{time}",
        ConcatDim("member", [0, 1]),
        ConcatDim("time", list(range(10))),
    )
    assert [url for _, url in sampled(list(pattern.items()), 6)] == ["0_0", "0_4", "0_9", "1_0", "1_4", "1_9"]
    assert len(sampled(list(pattern.items()), 100)) == 20


@pytest.mark.parametrize(("store", "sample"), [("store.xyz", None), ("store.json", 0)])
def test_what_cannot_work_is_refused_before_a_file_is_opened(store: str, sample: int | None) -> None:
    with pytest.raises(InputError):
        vz_beam.plan_build(["nowhere.nc"], store, sample=sample, progress=False)
