from __future__ import annotations

import io
import os
from array import array
from pathlib import Path

import h5py
import numpy as np
import pytest

from vz_beam.errors import InputError
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.request_log import RequestLog
from vz_beam.storage.source_file import SourceFile

DATA = bytes(range(256)) * 40


def test_a_file_reads_seeks_and_tells_as_a_file_on_disk(source: ByteSource) -> None:
    ours, theirs = SourceFile(source), io.BytesIO(DATA)
    for offset, whence, size in [
        (0, 0, 10),
        (-5, 1, 7),
        (-3, 2, 10),
        (0, 2, 4),
        (10_000, 0, -1),
        (20_000, 0, 5),
        (3, 0, 0),
    ]:
        assert ours.seek(offset, whence) == theirs.seek(offset, whence)
        assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()
    ours.seek(10_200)
    assert ours.readall() == DATA[10_200:]
    assert (ours.readable(), ours.seekable(), ours.writable()) == (True, True, False)


def test_reading_into_a_buffer_past_the_end_leaves_zeros(source: ByteSource) -> None:
    file, buffer = SourceFile(source), bytearray(b"\xff" * 8)
    file.seek(-3, os.SEEK_END)
    assert file.readinto(buffer) == 3
    assert buffer == DATA[-3:] + bytes(5)
    buffer[:] = b"\xff" * 8
    assert file.readinto(buffer) == 0
    assert buffer == bytes(8)


def test_any_kind_of_buffer_is_filled(source: ByteSource) -> None:
    buffer = array("i", [0, 0, 0, 0])
    assert SourceFile(source).readinto(buffer) == 16
    assert buffer.tobytes() == DATA[:16]


@pytest.mark.parametrize("place", [(-1, 0), (-1, 1), (0, 3)])
def test_a_place_outside_the_file_is_refused(tmp_path: Path, place: tuple[int, int]) -> None:
    (tmp_path / "a").write_bytes(b"01")
    with pytest.raises(InputError):
        SourceFile(open_source(tmp_path / "a")).seek(*place)


def test_h5py_reads_through_a_source_what_it_reads_from_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    values = np.arange(5000, dtype="f4").reshape(50, 100)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=(7, 30), compression="gzip", shuffle=True)
        file.attrs["title"] = "a file"
    log = RequestLog(open_source(path))
    with h5py.File(SourceFile(BlockCache(log, block_bytes=512)), "r") as file:
        np.testing.assert_array_equal(file["x"][()], values)
        assert file.attrs["title"] == "a file"
    assert log.requests


def test_a_failure_of_the_source_comes_out_of_h5py_as_it_is(tmp_path: Path) -> None:
    class Lost(ConnectionError):
        pass

    class Failing(RequestLog):
        def read(self, start: int, stop: int) -> bytes:
            if len(self.requests) > 1:
                raise Lost("gone")
            return super().read(start, stop)

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(10)
    with pytest.raises(Lost):
        h5py.File(SourceFile(Failing(open_source(tmp_path / "a.h5"))), "r")
