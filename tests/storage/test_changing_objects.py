"""Objects that change while they are read, and answers that break off: never bytes of two versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from vz_beam.errors import SourceError, TransientSourceError
from vz_beam.storage import object_source
from vz_beam.storage.object_source import ObjectSource

BROKEN = RuntimeError("Generic HTTP error: HTTP error: request or response body error")
OTHER_RANGE = RuntimeError("Generic HTTP error: Requested 4..8, got 5..9")
REFUSED = RuntimeError("Generic S3 error: Server returned non-2xx status code: 503 Service Unavailable")


class Answer:
    def __init__(self, data: bytes, meta: dict[str, Any]) -> None:
        self._data = data
        self.meta = meta

    def bytes(self) -> bytes:
        return self._data


class ChangingStore:
    """An object of 100 bytes whose answers are made one after the other: errors, or (etag, hour of the last change)."""

    def __init__(self, *answers: Exception | tuple[str | None, int]) -> None:
        self.left = list(answers)
        self.asked = 0

    def get(self, key: str, *, options: dict[str, Any]) -> Answer:
        start, stop = options["range"]
        return Answer(bytes(range(start, stop)), self.head(key))

    def head(self, key: str) -> dict[str, Any]:
        self.asked += 1
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return {"size": 100, "e_tag": answer[0], "last_modified": datetime(2026, 1, 1, answer[1], tzinfo=UTC)}

    def get_range(self, key: str, *, start: int, end: int) -> bytes:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_source, "WAIT_SECONDS", 0)


def source(store: ChangingStore, url: str = "s3://bucket/key") -> ObjectSource:
    return ObjectSource(store, "key", url)


@pytest.mark.parametrize(
    "read",
    [
        lambda one: one.read(4, 8),
        lambda one: one.read_many([(4, 8), (40, 50)]),
    ],
)
def test_an_answer_of_another_version_is_refused(read: Callable[[ObjectSource], Any]) -> None:
    one = source(ChangingStore(("first", 1), ("second", 2)))
    assert one.read_head(4) == bytes(range(4))
    with pytest.raises(TransientSourceError, match="s3://bucket/key has changed while it was read"):
        read(one)


def test_the_first_answer_says_which_version_it_is() -> None:
    one = source(ChangingStore(("first", 1), ("first", 1), ("second", 2)))
    assert one.read(4, 8) == bytes(range(4, 8))
    assert one.size() == 100
    assert one.read(5, 6) == b"\x05"
    with pytest.raises(TransientSourceError, match="has changed"):
        one.read(5, 6)


@pytest.mark.parametrize(
    ("url", "second", "is_same"),
    [
        ("https://host/key", ("mark of another mirror", 1), True),
        ("https://host/key", ("mark of another mirror", 2), False),
        ("https://host/key", (None, 2), False),
        ("s3://bucket/key", ("second", 1), False),
        ("s3://bucket/key", ("first", 2), True),
    ],
)
def test_mirrors_may_have_marks_of_their_own(url: str, second: tuple[str | None, int], is_same: bool) -> None:
    one = source(ChangingStore(("first", 1), second), url)
    one.read(0, 1)
    if is_same:
        assert one.read(1, 2) == b"\x01"
    else:
        with pytest.raises(TransientSourceError, match="has changed"):
            one.read(1, 2)


@pytest.mark.parametrize("fault", [BROKEN, OTHER_RANGE])
def test_an_answer_that_breaks_off_is_asked_for_again(fault: Exception) -> None:
    store = ChangingStore(fault, fault, ("first", 1))
    assert source(store).read(4, 8) == bytes(range(4, 8))
    assert store.asked == 3


@pytest.mark.parametrize(("fault", "asked"), [(BROKEN, 4), (OTHER_RANGE, 4), (REFUSED, 1)])
def test_what_goes_on_failing_may_pass_later(fault: Exception, asked: int) -> None:
    store = ChangingStore(fault)
    with pytest.raises(TransientSourceError, match="try again"):
        source(store).read(4, 8)
    assert store.asked == asked


def test_what_cannot_pass_is_asked_for_once() -> None:
    store = ChangingStore(RuntimeError("Generic S3 error: status code: 403 Forbidden"))
    with pytest.raises(SourceError, match="access was refused"):
        source(store).read(4, 8)
    assert store.asked == 1
