"""What happens in a run, told through loggers and in a file; README lists the events."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import vz_beam
from tests.daily_series import write_series
from tests.hourly_files import fails_once, file_at
from vz_beam.cli import main
from vz_beam.transforms.event_log import FILE_VARIABLE, NOTICE, log_event

README = Path(__file__).parents[2] / "README.md"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def fields_in_readme() -> dict[str, tuple[str, set[str]]]:
    table = re.search(r"\| event \| level \| fields \|\n\|---\|---\|---\|\n(.*?)\n\n", README.read_text(), re.DOTALL)
    assert table is not None
    rows = [row.strip("|").split(" | ") for row in table[1].splitlines()]
    return {row[0].split("`")[1]: (row[1].strip(), set(re.findall("`(.*?)`", row[2]))) for row in rows}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_appends_its_events_to_a_file(tmp_path: Path, workers: int) -> None:
    files = write_series(tmp_path, count=3)
    broken = tmp_path / "day_9.nc"
    broken.write_bytes(b"no netCDF")
    log, store = tmp_path / "run.jsonl", tmp_path / "store.parquet"
    log.write_text('{"event": "before"}\n')
    words = ["--concat-dim", "time", "--errors", "collect", "--workers", str(workers), "--no-progress"]
    assert main(["build", *files, str(broken), str(store), *words, "--log-file", str(log)]) == 3
    before, *lines = lines_of(log)
    assert before == {"event": "before"}
    by_event: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_event.setdefault(line["event"], []).append(line)
    assert sorted(line["url"] for line in by_event["file_opened"]) == [*files]
    (failed,) = by_event["file_failed"]
    assert (failed["url"], failed["error"], failed["attempts"], failed["level"]) == (
        str(broken),
        "FormatError",
        1,
        "WARNING",
    )
    (committed,) = by_event["store_committed"]
    assert (committed["files"], committed["failed"], committed["mode"]) == (4, 1, "create")
    assert sum(line["references"] for line in by_event["shard_written"]) == committed["references"]
    assert sum(line["references"] for line in by_event["file_opened"]) > 0
    described = fields_in_readme()
    for line in lines:
        level, fields = described[line["event"]]
        assert line.keys() - {"time", "level", "process", "event"} == fields
        assert line["level"].lower() == level
    assert (len({line["process"] for line in lines}) > 1) == (workers > 1)


def test_watches_tell_of_rounds(tmp_path: Path) -> None:
    write_series(tmp_path, count=2)
    log, store = tmp_path / "run.jsonl", tmp_path / "store.parquet"
    words = ["--concat-dim", "time", "--idle-seconds", "0", "--inputs-per-round", "1", "--log-file", str(log)]
    assert main(["watch", str(tmp_path / "*.nc"), str(store), *words]) == 0
    rounds = [line for line in lines_of(log) if line["event"] == "round_done"]
    assert [(line["round"], line["files"], line["inputs"]) for line in rounds] == [(1, 1, 1), (2, 1, 2)]
    assert rounds[0].keys() - {"time", "level", "process", "event"} == fields_in_readme()["round_done"][1]


def test_loggers_get_the_same(tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_at(tmp_path, 0)
    fails_once(monkeypatch)
    with caplog.at_level(logging.INFO, logger="vz_beam"):
        vz_beam.build([path], tmp_path / "store.parquet", progress=False)
    records = [record for record in caplog.records if record.name == "vz_beam"]
    assert [record.vz_beam["event"] for record in records] == ["file_repeated", "store_committed"]
    told = records[0].vz_beam
    assert told == {**told, "url": path, "error": "TransientSourceError", "message": "time-out", "attempt": 1}
    event, _, text = records[0].getMessage().partition(" ")
    assert {"event": event, **json.loads(text)} == told
    assert told.keys() - {"event"} == fields_in_readme()["file_repeated"][1]


def test_a_log_file_that_cannot_be_written_is_refused_at_once_and_stops_no_run(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "absent" / "run.jsonl"
    assert main(["build", "a.nc", str(tmp_path / "store.parquet"), "--log-file", str(absent)]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    monkeypatch.setenv(FILE_VARIABLE, str(absent))
    log_event(NOTICE, "round_done")
    assert not absent.exists()
