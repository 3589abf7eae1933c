"""A run that is going wrong stops, and publishes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vz_beam
from tests.daily_series import assert_store_equals, read_series, write_series
from vz_beam.cli import main
from vz_beam.errors import InputError, TooManyFailuresError


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    found = write_series(tmp_path / "data")
    for number in (1, 2):
        Path(found[number]).write_bytes(b"no netCDF")
    return found


def build(files: list[str], store: Path, **choices: Any) -> Any:
    return vz_beam.build(files, store, concat_dim="time", progress=False, errors="collect", **choices)


@pytest.mark.parametrize("limit", [0, 1, 0.0, 0.39])
@pytest.mark.parametrize("workers", [1, 2])
def test_more_failures_than_allowed_publish_nothing(
    limit: float, workers: int, files: list[str], tmp_path: Path
) -> None:
    store = tmp_path / "store.parquet"
    with pytest.raises(TooManyFailuresError, match=rf"max_failures is {limit}.*day_[12]\.nc"):
        build(files, store, max_failures=limit, workers=workers)
    assert not store.exists()


@pytest.mark.parametrize("limit", [2, 3, 0.4, 1.0, None])
def test_as_many_as_allowed_are_left_out(limit: float | None, files: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    assert len(build(files, store, max_failures=limit).failures) == 2
    assert_store_equals(store, read_series([files[0], *files[3:]]))


@pytest.mark.parametrize("limit", [-1, 1.5, "2", True])
def test_what_is_no_limit_is_refused(limit: Any, files: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a number of inputs"):
        build(files, tmp_path / "store.parquet", max_failures=limit)


def test_a_limit_without_collecting_is_refused(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="errors='collect'"):
        vz_beam.build(files, tmp_path / "store.parquet", concat_dim="time", max_failures=1, progress=False)


def test_the_command(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", *files, str(tmp_path / "store.parquet"), "--concat-dim", "time", "--errors", "collect"]
    assert main([*words, "--max-failures", "0.2", "--no-progress"]) == 1
    assert "2 of 5 inputs failed" in capsys.readouterr().err
    assert main([*words, "--max-failures", "2", "--no-progress"]) == 3
