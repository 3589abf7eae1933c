"""No server is asked for more files at once, or more often, than was allowed."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import PipelineOptions

import vz_beam
from integration.servers.range_server import RangeServer
from tests.daily_series import assert_store_equals, read_series, write_series
from tests.store_contents import contents
from vz_beam.errors import InputError
from vz_beam.patterns.index import Index
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.fsspec_source import FsspecSource
from vz_beam.storage.traffic import Pace, Traffic, counting
from vz_beam.transforms.lanes import Kindness, Paces, _dealt
from vz_beam.transforms.opening import OpenWithVirtualizarr
from vz_beam.transforms.runners import local_runner


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_series(tmp_path_factory.mktemp("series"), count=6)


def test_lanes_are_of_equal_length() -> None:
    pairs = [(Index(()), f"https://host/{number}") for number in range(8)]
    dealt = list(_dealt(("https://host", pairs), 3))
    lanes = [key for key, _ in dealt]
    assert sorted(lanes.count(("https://host", lane)) for lane in range(3)) == [2, 3, 3]
    assert [pair for _, pair in dealt] == pairs


def test_no_server_has_more_files_open_at_once_than_it_may(files: list[str], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()

    def slow(dataset: xr.Dataset) -> xr.Dataset:
        url = dataset.encoding["source"]
        began = time.monotonic_ns()
        time.sleep(0.3)
        _, _, host, name = url.split("/")
        (notes / name).write_text(f"{host} {began} {time.monotonic_ns()}")
        return dataset

    served = {Path(path).name: Path(path) for path in files}
    with RangeServer(served) as one, RangeServer(served) as other:
        urls = [f"{(one, other)[number % 2].url}/{Path(path).name}" for number, path in enumerate(files)]
        words: dict[str, Any] = {"concat_dim": "time", "progress": False}
        vz_beam.build(urls, tmp_path / "a.parquet", max_concurrency=1, workers=4, preprocess=slow, **words)
        spans = [note.read_text().split() for note in notes.iterdir()]
        assert len(spans) == len(files)
        for host in {span[0] for span in spans}:
            of_host = sorted((int(began), int(ended)) for name, began, ended in spans if name == host)
            assert all(next_began >= ended for (_, ended), (next_began, _) in pairwise(of_host))
        vz_beam.build(urls, tmp_path / "b.parquet", **words)
        assert_store_equals(tmp_path / "a.parquet", read_series(files))
    assert contents(tmp_path / "a.parquet") == contents(tmp_path / "b.parquet")


def test_requests_are_sent_in_even_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    pace = Pace(4.0)
    assert pace.wait(1) == 0.0
    assert pace.wait(2) == 0.25
    assert pace.wait(1) == 0.5
    clock[0] += 10  # nothing is saved up
    assert [pace.wait(1), pace.wait(1), clock[0]] == [0.0, 0.25, 111.0]


@pytest.mark.parametrize("library", ["obstore", "fsspec"])
def test_every_request_waits_for_its_turn(library: str, files: list[str]) -> None:
    class Asked(Pace):
        requests = 0

        def wait(self, requests: int) -> float:
            self.requests += requests
            return 0.5

    asked = Asked(1.0)
    traffic = Traffic(asked)
    with RangeServer({"a.nc": Path(files[0])}) as server, counting(traffic):
        url = f"{server.url}/a.nc"
        source = open_source(url) if library == "obstore" else FsspecSource(fsspec.filesystem("https"), url, url)
        source.read_head(100)
        source.read(5, 10)
        source.read_many([(0, 5), (9000, 9050), (19000, 19010)])
        source.identity()
        source.close()
        assert asked.requests == traffic.requests == len(server.requests) >= 4
    assert traffic.waited > 0


def test_a_build_is_held_back(files: list[str], tmp_path: Path) -> None:
    served = {Path(path).name: Path(path) for path in files}
    words: dict[str, Any] = {"concat_dim": "time", "progress": False}
    with RangeServer(served) as server:
        urls = [f"{server.url}/{name}" for name in served]
        summary = vz_beam.build(urls, tmp_path / "a.parquet", requests_per_second=3.0, workers=2, **words)
        times = sorted(request.began for request in server.requests)
        assert_store_equals(tmp_path / "a.parquet", read_series(files))
    assert summary.counts["requests"] == len(times) >= 6
    assert times[-1] - times[0] >= (len(times) - 2) / 3.0 - 0.3  # the first of each worker comes at once
    assert summary.counts["requests_held_back_milliseconds"] > 0


def test_shares_of_what_a_server_may_be_sent() -> None:
    options = PipelineOptions()
    here = beam.Pipeline(local_runner(options, 2), options)
    elsewhere = beam.Pipeline("FlinkRunner")
    for kindness, pipeline, lanes, share in [
        (Kindness(), here, None, None),
        (Kindness(20), here, 20, None),
        (Kindness(20, 10.0), here, 20, 5.0),
        (Kindness(1, 10.0), here, 1, 10.0),
        (Kindness(None, 10.0), here, 2, 5.0),
        (Kindness(20, 10.0), elsewhere, 20, 0.5),
        (Kindness(None, 10.0), elsewhere, 10, 1.0),
    ]:
        assert (kindness.lanes(pipeline), kindness.share(pipeline)) == (lanes, share)
    paces = Paces(5.0)
    assert paces.of("s3://bucket/a.nc") is paces.of("s3://bucket/b.nc") is not paces.of("s3://other/a.nc")
    assert paces.of("https://me:hush@host/a.nc") is not None  # whoever opens it refuses it


@pytest.mark.parametrize("words", [{"max_concurrency": 0}, *({"requests_per_second": x} for x in (0, -1, math.inf))])
def test_limits_that_let_nothing_through_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(words))):
        OpenWithVirtualizarr(**words)
