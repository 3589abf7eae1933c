from __future__ import annotations

import json
from pathlib import Path

import pytest

from vz_beam.errors import FormatError, InputError
from vz_beam.storage.kafka_notices import KafkaNotices
from vz_beam.storage.notices import urls_of_notice
from vz_beam.storage.pubsub_notices import PubSubNotices


def s3_event(name: str, key: str) -> dict[str, object]:
    return {"eventName": name, "s3": {"bucket": {"name": "bucket"}, "object": {"key": key}}}


def bridge_event(kind: str, key: str) -> str:
    detail = {"bucket": {"name": "bucket"}, "object": {"key": key}}
    return json.dumps({"source": "aws.s3", "detail-type": kind, "detail": detail})


@pytest.mark.parametrize(
    ("message", "urls"),
    [
        ("/data/a b.nc\n\n https://host/c.nc \n", ["/data/a b.nc", "https://host/c.nc"]),
        ('{"url": "s3://bucket/a.nc", "time": 3}', ["s3://bucket/a.nc"]),
        ('[{"url": "a.nc"}, {"url": "b.nc"}]', ["a.nc", "b.nc"]),
        (json.dumps({"Records": [s3_event("ObjectCreated:Put", "x/a+b%2B1.nc")]}), ["s3://bucket/x/a b+1.nc"]),
        (json.dumps({"Records": [s3_event("ObjectRemoved:Delete", "a.nc")]}), []),
        ('{"Service": "Amazon S3", "Event": "s3:TestEvent"}', []),
        (json.dumps({"Type": "Notification", "Message": '{"Records": []}'}), []),
        (
            json.dumps(
                {"Type": "Notification", "Message": json.dumps({"Records": [s3_event("ObjectCreated:Put", "a")]})}
            ),
            ["s3://bucket/a"],
        ),
        (bridge_event("Object Created", "x/a+b 1.nc"), ["s3://bucket/x/a+b 1.nc"]),
        (bridge_event("Object Deleted", "a.nc"), []),
        ('{"kind": "storage#object", "bucket": "b", "name": "x/y.nc"}', ["gs://b/x/y.nc"]),
    ],
)
def test_messages_name_files(message: str, urls: list[str]) -> None:
    assert urls_of_notice(message) == urls
    assert urls_of_notice(message.encode()) == urls


@pytest.mark.parametrize(
    "message", [b"", b" \n", b"\xff\xfe", b'{"url": 3}', b'{"url": ""}', b"{}", b'{"Records": 1}', b"[1]"]
)
def test_other_messages_are_refused(message: bytes) -> None:
    with pytest.raises(FormatError, match="tells of no file that is known here"):
        urls_of_notice(message)


@pytest.mark.parametrize(
    "source", ["kafka://host:1", "kafka:///topic", "kafka://host/a/b", "kafka://me:hush@host:1/topic"]
)
def test_other_forms_of_topics_are_refused(source: str) -> None:
    with pytest.raises(InputError, match="is not of the form kafka://HOST:PORT/TOPIC") as raised:
        KafkaNotices(source)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("source", ["pubsub://project", "pubsub:///subscription", "pubsub://project/a/b"])
def test_other_forms_of_subscriptions_are_refused(source: str) -> None:
    with pytest.raises(InputError, match="is not of the form pubsub://PROJECT/SUBSCRIPTION"):
        PubSubNotices(source)


def test_subscriptions_without_credentials_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PUBSUB_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(InputError, match=r"pubsub://project/name cannot be read: File .*absent\.json was not found"):
        PubSubNotices("pubsub://project/name")
