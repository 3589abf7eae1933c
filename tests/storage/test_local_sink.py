from __future__ import annotations

import os
from pathlib import Path

import pytest

from vz_beam.errors import StoreError
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.sink_keys import metadata_last


def test_a_write_that_fails_leaves_the_old_object_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(tmp_path / "store")
    sink.write("a", b"old")

    def fail(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match=r"store/a could not be written: No space left"):
        sink.write("a", b"new")
    assert sink.read("a") == b"old"
    assert os.listdir(tmp_path / "store") == ["a"]


def test_what_a_killed_process_left_is_not_seen(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    sink.write("d/a", b"1")
    rest = ".vz_beam-unfinished-0"
    (tmp_path / "d" / rest).write_bytes(b"half")
    (tmp_path / rest).mkdir()
    (tmp_path / rest / "b").write_bytes(b"half")
    assert sink.list() == ["d/a"]


def test_a_move_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(tmp_path)
    sink.write("new/a", b"new")
    sink.write("old/a", b"old")
    rename = os.rename

    def fail_for_new(source: Path, target: Path) -> None:
        if source.name == "new":
            raise OSError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_for_new)
    with pytest.raises(StoreError, match="Permission denied"):
        sink.move("new", "old")
    assert sink.read("old/a") == b"old"
    assert sink.read("new/a") == b"new"


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file/a could not be written"):
        open_sink(tmp_path / "file").write("a", b"1")


def test_nothing_is_created_before_something_is_written(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "x" / "store")
    assert not sink.exists()
    sink.list()
    sink.sub("y").delete()
    assert os.listdir(tmp_path) == []


def test_the_root_of_a_store_becomes_visible_last() -> None:
    keys = ["zarr.json", "g/zarr.json", "g/a/zarr.json", "g/a/c/0", "b/.zarray", "b/refs.0.parq", ".zmetadata"]
    assert metadata_last(keys) == [
        "b/refs.0.parq", "g/a/c/0", "g/a/zarr.json", "b/.zarray", "g/zarr.json", ".zmetadata", "zarr.json",
    ]  # fmt: skip
