"""Folders of stores as recipes get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pytest

from vz_beam.errors import InputError
from vz_beam.storage.target_root import folder_of, options_of


class Target(NamedTuple):
    root_path: Any
    fs: Any = None


class FakeS3(NamedTuple):
    protocol: Any
    storage_options: dict[str, Any]


def test_texts_paths_and_targets_are_folders(tmp_path: Path) -> None:
    s3 = FakeS3(("s3", "s3a"), {"key": "K", "secret": "S", "client_kwargs": {"region_name": "eu-west-1"}})
    assert folder_of("s3://bucket/a/") == "s3://bucket/a"
    assert folder_of(tmp_path) == str(tmp_path)
    assert folder_of(Target(str(tmp_path), fsspec.filesystem("file"))) == str(tmp_path)
    assert folder_of(Target("bucket/a", s3)) == "s3://bucket/a"
    assert folder_of(Target("s3://bucket/a", s3)) == "s3://bucket/a"
    assert folder_of(Target("/root", fsspec.filesystem("memory"))) == "memory://root"
    assert options_of(Target("bucket/a", s3)) == {
        "access_key_id": "K",
        "secret_access_key": "S",
        "region": "eu-west-1",
    }
    assert options_of(Target("bucket/a", FakeS3("s3", {"anon": True, "endpoint_url": "http://h"}))) == {
        "skip_signature": True,
        "endpoint": "http://h",
    }
    assert options_of(str(tmp_path)) is None


@pytest.mark.parametrize("wrong", [Target(None), Target(""), 3])
def test_what_is_no_folder_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="target_root is a URL"):
        folder_of(wrong)
