"""A watch of a subscription, whose messages Google's own fake of Pub/Sub keeps."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vz_beam
from integration.servers.programs import ProgramMissingError
from integration.servers.pubsub import PubSubServer
from tests.hourly_files import check, file_at
from vz_beam.errors import InputError, TransientSourceError
from vz_beam.storage.pubsub_notices import PubSubNotices


@pytest.fixture(scope="module")
def service() -> Iterator[PubSubServer]:
    try:
        server = PubSubServer()
        server.command()
    except ProgramMissingError as error:
        pytest.skip(str(error))
    with server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", server.address)
        yield server


def watching(url: str, store: Path, **choices: Any) -> list[Any]:
    """The rounds until nothing is new."""
    words: dict[str, Any] = {"concat_dim": "time", "every": 0.01, "idle_seconds": 0, **choices}
    return list(vz_beam.watch(url, store, **words))


def left(url: str, seconds: float = 0.0) -> list[str]:
    """What a subscription still has, when leases have ended."""
    time.sleep(seconds)
    look = PubSubNotices(url)
    found = list(look())
    look.close()
    return found


def test_a_watch_publishes_what_messages_name_and_acknowledges_them(tmp_path: Path, service: PubSubServer) -> None:
    files = [file_at(tmp_path, number) for number in range(6)]
    store = tmp_path / "store.parquet"
    url = service.make("files")
    assert watching(url, store) == []
    service.send("files", [files[0], json.dumps({"url": files[1]}), files[0]])
    assert [one.inputs for one in watching(url, store)] == [2]
    check(store, files[:2])
    service.send("files", ["{}", "\n".join(files[2:5]), files[5]])
    service.send("files", ['{"bucket": "b", "name": "gone.nc"}'], eventType="OBJECT_DELETE")
    with pytest.warns(UserWarning, match=rf"{url}, message \w+: a message tells of no file"):
        rounds = watching(url, store, inputs_per_round=3)
    assert [one.inputs for one in rounds] == [5, 6]
    check(store, files)
    assert left(url, 11) == []


def test_what_was_pulled_and_not_published_comes_again(tmp_path: Path, service: PubSubServer) -> None:
    files = [file_at(tmp_path, number) for number in range(3)]
    url = service.make("killed")
    service.send("killed", files)
    lost = PubSubNotices(url)
    assert sorted(lost()) == files
    lost.close()  # as if killed
    assert left(url) == []
    store = tmp_path / "store.parquet"
    time.sleep(11)
    assert [one.inputs for one in watching(url, store, rounds=1, inputs_per_round=2)] == [2]
    check(store, files[:2])
    assert left(url, 11) == [files[2]]
    time.sleep(11)
    assert [one.inputs for one in watching(url, store)] == [3]
    check(store, files)


def test_a_file_that_fails_is_acknowledged_when_it_was_given_up_and_listed(
    tmp_path: Path, service: PubSubServer
) -> None:
    good, broken = file_at(tmp_path, 0), tmp_path / "f001.nc"
    broken.write_bytes(b"no netCDF")
    url = service.make("failing")
    store = tmp_path / "store.parquet"
    service.send("failing", [str(broken)])
    assert [len(one.failures) for one in watching(url, store, attempts=2)] == [1]
    assert left(url, 11) == [str(broken)]
    time.sleep(11)
    service.send("failing", [good])
    rounds = watching(url, store, attempts=2, idle_seconds=0.5)
    assert [(one.inputs, len(one.failures)) for one in rounds] == [(1, 1), (1, 1)]
    (record,) = map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines())
    assert (record["url"], record["attempts"]) == (str(broken), 2)
    assert left(url, 11) == []


def test_many_messages_are_pulled_and_acknowledged_in_batches(service: PubSubServer) -> None:
    url = service.make("many", deadline_seconds=60)
    names = [f"s3://bucket/{number}.nc" for number in range(3_000)]
    service.send("many", names)
    look = PubSubNotices(url)
    assert sorted(look()) == sorted(names)
    look.settle(lambda name: name != names[7])
    assert list(look()) == [names[7]]
    look.close()


def test_what_is_not_there_is_refused_and_what_does_not_answer_may_later(
    service: PubSubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"pubsub://vz-beam/absent cannot be read: 404"):
        PubSubNotices("pubsub://vz-beam/absent")()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    with pytest.raises(TransientSourceError, match=r"pubsub://vz-beam/files cannot be read"):
        PubSubNotices("pubsub://vz-beam/files")()
