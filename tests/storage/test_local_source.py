from __future__ import annotations

import os
from pathlib import Path

import pytest

from vz_beam.errors import SourceError, SourceNotFoundError, TruncatedFileError
from vz_beam.storage.byte_source import open_source


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"gone\.nc is not there \(no such file\)"):
        open_source(tmp_path / "gone.nc")
    with pytest.raises(SourceNotFoundError, match=f"its folder '{tmp_path}/no' does not exist"):
        open_source(tmp_path / "no" / "gone.nc")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        open_source(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "a").chmod(0)
    with pytest.raises(SourceError, match="access was refused"):
        open_source(tmp_path / "a")


def test_a_percent_encoded_url_of_a_file_that_is_there_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a b.nc").write_bytes(b"1")
    with pytest.raises(SourceNotFoundError, match="taken literally"):
        open_source((tmp_path / "a b.nc").as_uri())


def test_a_file_cut_short_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    source = open_source(path)
    before = source.identity()
    os.truncate(path, 4)
    with pytest.raises(TruncatedFileError, match="bytes 2 to 8"):
        source.read(2, 8)
    assert source.identity() != before


def test_a_file_of_the_same_size_that_was_written_again_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"01")
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    source = open_source(path)
    before = source.identity()
    assert before.modified == "2023-11-14T22:13:20.123456789Z"
    (tmp_path / "b").write_bytes(b"23")
    os.replace(tmp_path / "b", path)
    assert source.identity() != before
    assert source.first_identity() == before


def test_a_closed_source_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"01")
    source = open_source(tmp_path / "a")
    source.close()
    source.close()
    with pytest.raises(SourceError, match="was closed"):
        source.read(0, 1)


def test_a_dropped_source_gives_its_descriptor_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"01")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        open_source(tmp_path / "a").read(0, 1)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
