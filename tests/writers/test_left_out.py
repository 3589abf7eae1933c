"""What is listed beside a store."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.combine.virtual_files import time_index
from vz_beam.combine.schema import FailedInput
from vz_beam.combine.skipped import SkippedInput
from vz_beam.writers.left_out import record_failures, record_skipped
from vz_beam.writers.store_summary import StoreSummary

REASON = "one\u2028line"


def inputs(count: int) -> list[SkippedInput]:
    return [SkippedInput(time_index(n), f"s3://archive/{n}.nc", {"v": f"chunk {n}", "a": REASON}) for n in range(count)]


def summary(folder: Path, name: str = "store.json") -> StoreSummary:
    return StoreSummary((folder / name).as_uri(), "kerchunk-json", 1)


def test_every_input_has_a_line_and_the_summary_has_every_variable(tmp_path: Path) -> None:
    noted = record_skipped(summary(tmp_path), inputs(12))
    lines = (tmp_path / "skipped.jsonl").read_bytes().decode().rstrip("\n").split("\n")
    assert [json.loads(line) for line in lines] == [
        {
            "store": "store.json",
            "index": f"time={n}",
            "url": f"s3://archive/{n}.nc",
            "skipped": {"a": REASON, "v": f"chunk {n}"},
        }
        for n in range(12)
    ]
    assert [(one.path, one.inputs, one.url) for one in noted.skipped] == [
        ("a", 12, "s3://archive/0.nc"),
        ("v", 12, "s3://archive/0.nc"),
    ]
    shown = [line for line in str(noted).splitlines() if "skipped" in line]
    assert shown == [
        "  skipped     'a': one line (in 12 inputs, the first is s3://archive/0.nc)",
        "  skipped     'v': chunk 0 (in 12 inputs, the first is s3://archive/0.nc)",
    ]


def test_order_and_repetition_change_no_byte(tmp_path: Path) -> None:
    record_skipped(summary(tmp_path), inputs(12))
    expected = (tmp_path / "skipped.jsonl").read_bytes()
    for seed in range(3):
        shuffled = [*inputs(12), *inputs(5)]
        random.Random(seed).shuffle(shuffled)
        record_skipped(summary(tmp_path), shuffled)
        assert (tmp_path / "skipped.jsonl").read_bytes() == expected


def test_the_lines_of_other_stores_stay_and_a_clean_run_takes_its_own_away(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        record_skipped(summary(tmp_path, name), inputs(2))
        record_failures(summary(tmp_path, name), [FailedInput(time_index(1), "f.nc", "FormatError", REASON, 1)])
    assert record_skipped(summary(tmp_path, "a.json"), []).skipped == ()
    assert record_failures(summary(tmp_path, "a.json"), []).failures == ()
    for file, count in (("skipped.jsonl", 2), ("failures.jsonl", 1)):
        lines = (tmp_path / file).read_bytes().decode().rstrip("\n").split("\n")
        assert [json.loads(line)["store"] for line in lines] == ["b.json"] * count
    record_skipped(summary(tmp_path, "b.json"), [])
    record_failures(summary(tmp_path, "b.json"), [])
    assert list(tmp_path.iterdir()) == []


def test_a_summary_shows_a_failure_in_one_line(tmp_path: Path) -> None:
    failure = FailedInput(time_index(1), "f.nc", "UnsupportedError", "cannot express:\n  * v: wild\nWay out: ...", 1)
    text = str(record_failures(summary(tmp_path), [failure]))
    assert "  failed      f.nc (time=1): UnsupportedError: cannot express: * v: wild Way out: ..." in text.splitlines()
