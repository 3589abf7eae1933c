"""Watched sources: what comes is put into the store, once, in whole rounds, whatever happens in between."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import vz_beam
from tests.daily_series import assert_store_equals, read_series, write_series
from tests.store_contents import contents
from vz_beam.cli import main
from vz_beam.errors import InputError, StoreError, TransientSourceError
from vz_beam.transforms.watching import Round, source_of
from vz_beam.writers.writer import WriteTarget, find_writer

SUFFIXES = ("parquet", "json", "icechunk")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_series(tmp_path_factory.mktemp("series"), count=6)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def _run_command(words: list[str]) -> None:
    sys.exit(main(words))


def arrive(series: list[str], inbox: Path, *numbers: int) -> None:
    for number in numbers:
        part = inbox / f".{number}.part"
        shutil.copyfile(series[number], part)
        os.rename(part, inbox / Path(series[number]).name)


def watching(inbox: Any, store: Path, **words: Any) -> Iterator[Round]:
    words = {"concat_dim": "time", "every": 0.01, "idle_seconds": 0, **words}
    return vz_beam.watch(str(inbox), store, **words)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_comes_is_put_to_the_end_in_rounds(suffix: str, series: list[str], inbox: Path, tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    assert list(watching(inbox, store)) == []
    found = []
    for numbers in ((0, 1), (2,), (), (3, 4, 5)):
        arrive(series, inbox, *numbers)
        found += list(watching(inbox, store, inputs_per_round=2))
    assert [(each.number, each.summary.files, each.inputs) for each in found if each.summary] == [
        (1, 2, 2),
        (1, 1, 3),
        (1, 2, 5),
        (2, 1, 6),
    ]
    assert all(each.failures == () and each.seconds > 0 for each in found)
    assert_store_equals(store, read_series(series))
    files = [str(inbox / Path(path).name) for path in series]
    once = tmp_path / f"once.{suffix}"
    vz_beam.build(files, once, concat_dim="time", progress=False)
    assert contents(store) == contents(once)


def test_one_watch_goes_on_until_it_has_been_idle(series: list[str], inbox: Path, tmp_path: Path) -> None:
    arrive(series, inbox, 0)
    store = tmp_path / "store.parquet"
    inputs = []
    for each in watching(inbox, store, idle_seconds=0.3):
        inputs.append(each.inputs)
        if len(inputs) < 4:
            arrive(series, inbox, len(inputs))
    assert inputs == [1, 2, 3, 4]
    assert_store_equals(store, read_series(series[:4]))
    assert [each.inputs for each in watching(inbox, store, rounds=1)] == []


def test_a_broken_file_holds_up_no_other_and_is_listed(series: list[str], inbox: Path, tmp_path: Path) -> None:
    arrive(series, inbox, 0, 2)
    (inbox / "day_1.nc").write_bytes(b"half a file")
    store = tmp_path / "store.parquet"
    (first,) = watching(inbox, store)
    assert first.summary is not None
    assert (first.inputs, first.summary.files, len(first.failures)) == (2, 2, 1)
    assert "day_1.nc" in first.failures[0]
    assert not (tmp_path / "failures.jsonl").exists()
    rounds = [each for _ in range(4) for each in watching(inbox, store, attempts=2, idle_seconds=0.1)]
    assert [len(each.failures) for each in rounds] == [1] * len(rounds)
    (record,) = map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines())
    assert (record["url"], record["error"], record["attempts"]) == (
        f"file://{inbox / 'day_1.nc'}",
        "FormatError",
        2,
    )
    assert_store_equals(store, read_series([series[0], series[2]]))


def test_a_file_that_is_mended_in_time_is_taken(series: list[str], inbox: Path, tmp_path: Path) -> None:
    arrive(series, inbox, 0)
    (inbox / "day_1.nc").write_bytes(b"half a file")
    store = tmp_path / "store.parquet"
    for each in watching(inbox, store, idle_seconds=0.5, attempts=3):
        if each.failures:
            arrive(series, inbox, 1)
    assert_store_equals(store, read_series(series[:2]))


def test_a_late_file_is_a_failure_that_says_where_it_belongs(series: list[str], inbox: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    arrive(series, inbox, 0, 2)
    list(watching(inbox, store))
    arrive(series, inbox, 1, 3)
    (found,) = watching(inbox, store)
    assert found.summary is not None
    assert found.inputs == 3
    assert len(found.failures) == 1
    assert "day_1.nc" in found.failures[0]
    assert_store_equals(store, read_series([series[0], series[2], series[3]]))


def test_a_list_of_urls_and_standard_input(series: list[str], tmp_path: Path) -> None:
    names = tmp_path / "urls.txt"
    names.write_text(f"# a comment\n{series[0]}\n{series[1][:-3]}")
    store = tmp_path / "store.parquet"
    assert [each.inputs for each in watching(f"@{names}", store)] == [1]  # the second line is not complete
    names.write_text(f"{series[0]}\n{series[1]}\n")
    assert [each.inputs for each in watching(f"@{names}", store)] == [2]
    look = source_of("-", lines=io.StringIO(f"{series[0]}\n\n{series[1]}\n"))
    end = time.monotonic() + 5
    while len(look()) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert list(look()) == series[:2]
    with pytest.raises(InputError, match="is not there"):
        list(watching("@absent.txt", store))


def test_new_dimensions_go_on_counting(inbox: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    for number in range(4):
        dataset = xr.Dataset({"v": (("x",), [float(number)] * 300)})
        dataset.to_netcdf(inbox / f"v_{number}.nc", encoding={"v": {"zlib": True, "chunksizes": (300,)}})
        list(vz_beam.watch(str(inbox), store, concat_dim="scan", idle_seconds=0, every=0.01))
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        assert ours["v"].values[:, 0].tolist() == [0, 1, 2, 3]
        assert ours["scan"].values.tolist() == [0, 1, 2, 3]


def test_another_writer_ends_the_watch(
    series: list[str], inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store.parquet"
    arrive(series, inbox, 0)
    writer = type(find_writer(store))
    original = writer.commit

    def meanwhile(self: Any, target: WriteTarget, layout: Any, *others: Any) -> Any:
        monkeypatch.setattr(writer, "commit", original)
        self.begin(WriteTarget(target.url), layout)
        return original(self, target, layout, *others)

    monkeypatch.setattr(writer, "commit", meanwhile)
    with pytest.raises(StoreError, match="one run at a time"):
        list(watching(inbox, store))
    list(watching(inbox, store))
    assert_store_equals(store, read_series(series[:1]))


def test_choices_that_cannot_work_are_refused(series: list[str], inbox: Path, tmp_path: Path) -> None:
    for words, message in (
        ({"mode": "overwrite"}, "mode is not for a watch"),
        ({"spelling": 1}, "spelling"),
    ):
        with pytest.raises(InputError, match=message):
            list(watching(inbox, tmp_path / "store.parquet", **words))
    vz_beam.open_virtual_dataset(series[0]).vz.to_kerchunk(str(tmp_path / "own.json"), format="json")
    document = json.loads((tmp_path / "own.json").read_text())
    (tmp_path / "own.json").write_text(json.dumps({"version": 1, "refs": document["refs"]}))
    with pytest.raises(InputError, match="does not say what it was made of"):
        list(watching(inbox, tmp_path / "own.json"))


class Source:
    """URLs that are looked at; ``errors`` come first, and ``settled`` are those that need not come again."""

    def __init__(self, urls: list[str], errors: int = 0) -> None:
        self.urls = urls
        self.errors = errors
        self.settled: list[set[str]] = []

    def __call__(self) -> list[str]:
        self.errors -= 1
        if self.errors >= 0:
            raise TransientSourceError("it does not answer")
        return self.urls

    def settle(self, is_done: Callable[[str], bool]) -> None:
        self.settled.append({url for url in self.urls if is_done(url)})
        if len(self.settled) == 2:
            raise TransientSourceError("another time will do")


def test_a_source_that_does_not_answer_is_looked_at_again(series: list[str], tmp_path: Path, caplog: Any) -> None:
    words: dict[str, Any] = {"concat_dim": "time", "every": 0.01, "idle_seconds": 0}
    with pytest.warns(UserWarning, match="looked at again later: it does not answer"):
        rounds = list(vz_beam.watch(Source(series[:2], errors=2), tmp_path / "store.parquet", **words))
    assert [each.inputs for each in rounds] == [2]
    told = [record.vz_beam for record in caplog.records if record.name == "vz_beam"]
    assert [one["attempt"] for one in told if one["event"] == "look_failed"] == [1, 2]
    with (
        pytest.warns(UserWarning, match="looked at again later: it does not answer"),
        pytest.raises(TransientSourceError, match="it does not answer"),
    ):
        list(vz_beam.watch(Source(series, errors=3), tmp_path / "store.parquet", **words))


def test_a_source_is_told_what_need_not_come_again(series: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.nc"
    broken.write_bytes(b"no netCDF")
    source = Source([str(broken)])
    words: dict[str, Any] = {"concat_dim": "time", "every": 0.01, "idle_seconds": 0, "attempts": 1}
    (failed,) = vz_beam.watch(source, tmp_path / "store.parquet", **words)
    assert failed.summary is None
    assert source.settled == [set(), set()]  # nothing is listed as long as there is no store
    assert not (tmp_path / "failures.jsonl").exists()
    source = Source([*series[:3], str(broken)])
    rounds = list(vz_beam.watch(source, tmp_path / "store.parquet", inputs_per_round=2, **words))
    assert [each.inputs for each in rounds] == [2, 3]
    assert source.settled == [set(), set(series[:2]), set(source.urls)]
    assert "broken.nc" in (tmp_path / "failures.jsonl").read_text()


_PROCESSES = multiprocessing.get_context("forkserver")
"""It loads this module once, so that few kills come before there is anything to kill."""
_PROCESSES.set_forkserver_preload([__name__])


def _started(words: list[str]) -> ForkServerProcess:
    process = _PROCESSES.Process(target=_run_command, args=(words,))
    process.start()
    return process


def _killed_until_done(words: list[str], seconds: float) -> int:
    """Kills the command at moments that are spread over so many seconds, until it ends by itself; how often it did."""
    for number in range(200):
        process = _started(words)
        process.join(timeout=seconds * (0.618 * number % 1) * (1 + number / 50))
        if process.exitcode is not None:
            assert process.exitcode == 0
            return number
        process.kill()
        process.join()
    raise AssertionError("it has not ended after 200 kills")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_watch_that_is_killed_at_any_moment_goes_on(
    suffix: str, series: list[str], inbox: Path, tmp_path: Path
) -> None:
    arrive(series, inbox, *range(6))
    options = ["--concat-dim", "time", "--every", "0.1", "--idle-seconds", "0", "--inputs-per-round", "1"]
    seconds = 0.0
    for name in ("loads.parquet", f"round.{suffix}"):  # the first one waits until everything is loaded
        began = time.monotonic()
        whole = _started(["watch", str(inbox), str(tmp_path / name), *options, "--rounds", "1"])
        whole.join()
        assert whole.exitcode == 0
        seconds = 1.5 * (time.monotonic() - began)
    for attempt in range(10):
        store = tmp_path / f"store{attempt}.{suffix}"
        words = ["watch", str(inbox), str(store), *options]
        if _killed_until_done(words, seconds / 2**attempt) >= 3:
            break  # else it was quicker than the one round
    else:
        raise AssertionError("it was never killed three times")
    command = "import sys; from vz_beam.cli import main; sys.exit(main(sys.argv[1:]))"
    last = subprocess.run([sys.executable, "-c", command, *words], capture_output=True, text=True)
    assert (last.returncode, last.stdout) == (0, ""), last.stderr
    assert_store_equals(store, read_series(series))
    files = [str(inbox / Path(path).name) for path in series]
    once = tmp_path / f"once.{suffix}"
    vz_beam.build(files, once, concat_dim="time", progress=False)
    assert contents(store) == contents(once)


def test_the_command(series: list[str], inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrive(series, inbox, 0, 1, 2)
    store = str(tmp_path / "store.parquet")
    words = ["watch", str(inbox / "*.nc"), store, "--concat-dim", "time", "--idle-seconds", "0", "--every", "0.01"]
    assert main([*words, "--inputs-per-round", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("round 1: 2 files added in ")
    assert "3 in the store" in lines[1]
    (inbox / "day_9.nc").write_bytes(b"no netCDF")
    assert main(words) == 3
    assert "day_9.nc" in capsys.readouterr().err
