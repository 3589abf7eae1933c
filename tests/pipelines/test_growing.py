from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

from pipelines import growing_in_rounds, notices_stream
from tests.hourly_files import check, file_at


def test_rounds_publish_what_is_there_and_end_where_nothing_is_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [file_at(tmp_path, number) for number in range(3)]
    (tmp_path / "f900.nc").write_bytes(b"no netCDF")
    store = tmp_path / "store.parquet"
    options = ["--every", "0.01", "--idle_seconds", "0.05", "--inputs_per_round", "2"]
    growing_in_rounds.run(["--source", f"{tmp_path}/*.nc", "--store", str(store), *options])
    check(store, files)
    printed = capsys.readouterr().out
    assert "round 1: 2 inputs in the store" in printed
    assert "not in it: " in printed
    assert "f900.nc" in printed


def test_notices_are_published_window_by_window_and_late_ones_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [file_at(tmp_path, number) for number in range(5)]
    times = {files[1]: 3, files[0]: 5, files[2]: 61, files[4]: 130, files[3]: 62}  # the last comes too late
    lines = [json.dumps({"time": time, "url": url}) for url, time in times.items()]
    (tmp_path / "notices.jsonl").write_text("\n".join([*lines, lines[0]]) + "\n")
    store = tmp_path / "store.icechunk"
    notices_stream.run(["--notices", str(tmp_path / "notices.jsonl"), "--store", str(store)])
    check(store, [files[0], files[1], files[2], files[4]])
    printed = capsys.readouterr().out
    assert printed.count("inputs      ") == 3
    assert printed.count("not in the store:") == 1
    assert f"{files[3]} (time=0): LateInputError: it comes behind what is published" in printed
    with xr.open_dataset(store, engine="vz_beam") as ours:
        assert ours.sizes["time"] == 8


@pytest.mark.parametrize(
    "options", [["--store", "a.parquet"], ["--notices", "a"], ["--store", "a", "--notices", "b", "--subscription", "c"]]
)
def test_the_stream_says_what_it_needs(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        notices_stream.run(options)
    assert "--notices" in capsys.readouterr().err
