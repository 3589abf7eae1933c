"""A watch of a topic, whose messages a real broker keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vz_beam
from integration.servers.kafka import KafkaServer
from tests.hourly_files import check, file_at
from vz_beam.errors import TransientSourceError
from vz_beam.storage.kafka_notices import KafkaNotices


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    with KafkaServer() as running:
        yield running


def watching(broker: KafkaServer, topic: str, store: Path, **choices: Any) -> list[Any]:
    """The rounds until nothing is new."""
    words: dict[str, Any] = {"concat_dim": "time", "every": 0.01, "idle_seconds": 0.02, **choices}
    return list(vz_beam.watch(f"kafka://{broker.address}/{topic}", store, **words))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_watch_publishes_what_messages_name(tmp_path: Path, broker: KafkaServer, partitions: int) -> None:
    files = [file_at(tmp_path, number) for number in range(6)]
    store, topic = tmp_path / "store.parquet", f"files{partitions}"
    broker.make_topic(topic, partitions)
    assert watching(broker, topic, store) == []
    broker.send(topic, [files[0], json.dumps({"url": files[1]}), files[0]])
    assert [one.inputs for one in watching(broker, topic, store)] == [2]
    check(store, files[:2])
    broker.send(topic, ["{}", "\n".join(files[2:5]), files[5]])
    with pytest.warns(
        UserWarning, match=rf"kafka://{broker.address}/{topic}, partition \d, offset \d+: a message tells"
    ):
        rounds = watching(broker, topic, store, inputs_per_round=3)
    assert [one.inputs for one in rounds] == [5, 6]
    check(store, files)


def test_a_topic_is_read_on_from_look_to_look(broker: KafkaServer) -> None:
    broker.make_topic("many")
    names = [f"s3://bucket/{number}.nc" for number in range(25_000)]
    look = KafkaNotices(f"kafka://{broker.address}/many")
    assert look() == []
    broker.send("many", names[:20_000])
    assert look() == names[:20_000]
    broker.send("many", names[20_000:])
    assert look() == names
    assert look() == names
    look.close()


def test_a_broker_that_does_not_answer_may_answer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vz_beam.storage.kafka_notices._TIMEOUT_SECONDS", 0.5)
    look = KafkaNotices("kafka://127.0.0.1:1/files")
    with pytest.raises(TransientSourceError, match=r"kafka://127.0.0.1:1/files cannot be read"):
        look()
    look.close()
