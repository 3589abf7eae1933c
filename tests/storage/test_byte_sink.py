"""One suite for every kind of sink."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from vz_beam.errors import InputError, SourceNotFoundError, StoreError
from vz_beam.storage.byte_sink import ByteSink, open_sink
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.fsspec_sink import FsspecSink

KINDS: dict[str, Callable[[Path], ByteSink]] = {
    "local": lambda folder: open_sink(folder / "store"),
    "memory": lambda folder: open_sink(f"memory://sinks/{uuid.uuid4().hex}"),
    "fsspec memory": lambda folder: FsspecSink(
        fsspec.filesystem("memory"), f"/sinks/{(name := uuid.uuid4().hex)}", f"memory://sinks/{name}"
    ),
    "fsspec chain": lambda folder: open_sink(f"dir::file://{folder}/store"),
}


@pytest.fixture(params=KINDS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> ByteSink:
    return KINDS[request.param](tmp_path)


def test_what_is_written_is_read_back_and_listed(sink: ByteSink) -> None:
    assert not sink.exists()
    assert sink.list() == []
    sink.write("b/x", b"1")
    sink.write("a", b"")
    sink.write("b/x", b"22")
    sink.write("b/y/z#1 ?.parq", b"333")
    assert (sink.read("a"), sink.read("b/x"), sink.read("b/y/z#1 ?.parq")) == (b"", b"22", b"333")
    assert sink.list() == ["a", "b/x", "b/y/z#1 ?.parq"]
    assert sink.exists()


def test_prefixes_are_compared_by_segments(sink: ByteSink) -> None:
    for key in ("data/x", "data2/x", "data.x"):
        sink.write(key, b"1")
    assert sink.list("data") == ["data/x"]
    assert sink.list("data/x") == ["data/x"]
    assert sink.list("dat") == []
    assert (sink.exists("data"), sink.exists("data/x"), sink.exists("dat")) == (True, True, False)
    sink.delete("data")
    assert sink.list() == ["data.x", "data2/x"]


def test_deleting_what_is_not_there_is_fine(sink: ByteSink) -> None:
    sink.delete("nothing/here")
    sink.delete()
    sink.write("a/b", b"1")
    sink.delete()
    sink.delete()
    assert (sink.list(), sink.exists()) == ([], False)


def test_reading_what_is_not_there_is_an_error_with_its_name(sink: ByteSink) -> None:
    with pytest.raises(SourceNotFoundError, match="b/gone"):
        sink.read("b/gone")


def test_a_sink_below_another_sees_its_keys(sink: ByteSink) -> None:
    below = sink.sub("a/b")
    below.write("c", b"1")
    assert sink.list() == ["a/b/c"]
    assert (below.list(), below.read("c"), below.url) == (["c"], b"1", f"{sink.url}/a/b")
    below.delete()
    assert not sink.exists()


def test_a_prefix_moves_in_place_of_what_was_there(sink: ByteSink) -> None:
    for key in (".zmetadata", "air/refs.0.parq", "air/.zarray"):
        sink.write(f"new/{key}", key.encode())
    sink.write("old/.zmetadata", b"before")
    sink.write("old/gone/refs.0.parq", b"before")
    sink.move("new", "old")
    assert sink.list() == ["old/.zmetadata", "old/air/.zarray", "old/air/refs.0.parq"]
    assert sink.read("old/.zmetadata") == b".zmetadata"


def test_an_object_moves_onto_another(sink: ByteSink) -> None:
    sink.write("new.json", b"new")
    sink.write("old.json", b"old")
    sink.move("new.json", "old.json")
    assert (sink.list(), sink.read("old.json")) == (["old.json"], b"new")
    sink.move("old.json", "sub/other.json")
    assert sink.list() == ["sub/other.json"]


def test_a_copy_replaces_what_was_there_and_stays_when_its_source_is_replaced(sink: ByteSink) -> None:
    sink.write("old/a", b"1")
    sink.write("new/a", b"0")
    for _ in range(2):
        sink.copy("old/a", "new/a")
    sink.write("old/a", b"2")
    assert (sink.list(), sink.read("new/a"), sink.read("old/a")) == (["new/a", "old/a"], b"1", b"2")


def test_copying_nothing_is_an_error(sink: ByteSink) -> None:
    with pytest.raises(SourceNotFoundError, match="gone"):
        sink.copy("gone", "b")


def test_moving_nothing_is_an_error_and_moving_into_itself_too(sink: ByteSink) -> None:
    sink.write("a/b", b"1")
    with pytest.raises(SourceNotFoundError, match="nothing to move"):
        sink.move("gone", "b")
    with pytest.raises(StoreError, match="one lies in the other"):
        sink.move("a", "a/b/c")
    sink.move("a", "a")
    assert sink.list() == ["a/b"]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0"])
def test_a_key_that_leaves_the_root_is_refused(sink: ByteSink, key: str) -> None:
    for act in (
        lambda: sink.write(key, b""),
        lambda: sink.read(key),
        lambda: sink.sub(key),
        lambda: sink.move(key, "b"),
    ):
        with pytest.raises(InputError, match="is no key"):
            act()


def test_a_sink_and_a_source_of_one_url_see_the_same(tmp_path: Path) -> None:
    for sink in (open_sink(tmp_path / "s"), open_sink(f"memory://same/{uuid.uuid4().hex}")):
        sink.write("a", b"0123")
        assert open_source(f"{sink.url}/a").read(1, 3) == b"12"


def test_the_root_of_a_memory_store_is_a_sink() -> None:
    sink = open_sink("memory://")
    name = uuid.uuid4().hex
    sink.write(f"{name}/a", b"1")
    assert sink.list(name) == [f"{name}/a"]
    assert sink.sub(name).list() == ["a"]
    sink.delete(name)
