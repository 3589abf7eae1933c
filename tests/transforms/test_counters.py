from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vz_beam
from integration.servers.range_server import RangeServer
from tests.hourly_files import fails_once, file_at
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.traffic import Traffic, counting


@pytest.mark.parametrize("workers", [1, 2])
def test_the_summary_counts_what_the_server_was_asked_for(tmp_path: Path, workers: int) -> None:
    files = [Path(file_at(tmp_path, number)) for number in range(4)]
    broken = tmp_path / "broken.nc"
    broken.write_bytes(b"no netCDF at all")
    with RangeServer({path.name: path for path in (*files, broken)}) as server:
        urls = [f"{server.url}/{path.name}" for path in (*files, broken)]
        words: Any = {"concat_dim": "time", "errors": "collect", "progress": False}
        summary = vz_beam.build(urls, tmp_path / "store.parquet", workers=workers, **words)
        counts = summary.counts
        assert counts["requests"] == len(server.requests)
        assert counts["bytes_read"] == sum(one.stop - one.start for one in server.requests if one.method == "GET")
    assert {name: counts[name] for name in ("files_opened", "files_failed", "files_failed_FormatError")} == {
        "files_opened": 4,
        "files_failed": 1,
        "files_failed_FormatError": 1,
    }
    assert counts["references_opened"] == 8
    assert counts["references_written"] == summary.references
    assert counts["shards_written"] >= 2
    assert {"open_milliseconds", "write_shard_milliseconds", "commit_milliseconds"} <= counts.keys()
    assert f"  requests    {counts['requests']}, 0 repeated, " in str(summary)


def test_files_that_are_tried_again_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_at(tmp_path, 0)
    fails_once(monkeypatch)
    summary = vz_beam.build([path], tmp_path / "store.parquet", progress=False)
    assert summary.counts["files_repeated"] == 1
    assert "requests" not in summary.counts  # local files are asked of no server


def test_rounds_add_up(tmp_path: Path) -> None:
    files = [file_at(tmp_path, number) for number in range(4)]
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", inputs_per_round=2, progress=False)
    assert summary.counts["files_opened"] == 4


def test_traffic_is_counted_by_those_who_opened_the_source(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(1000))
    mine, others = Traffic(), Traffic()
    with RangeServer({"a.bin": path, "b.bin": path}) as server:
        with counting(mine):
            source = open_source(f"{server.url}/a.bin")
        with counting(others):
            source.read(0, 10)
            beside = source.sibling("b.bin")
            beside.read_many([(0, 5), (900, 950)])
        source.close()
        beside.close()
        assert mine.requests == len(server.requests)
        assert mine.nbytes == sum(one.stop - one.start for one in server.requests if one.method == "GET")
    assert (others.requests, others.nbytes, others.repeated) == (0, 0, 0)
