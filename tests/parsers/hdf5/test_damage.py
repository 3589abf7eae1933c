from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.parsers.hdf5.conftest import Hdf5File, parsed
from vz_beam.datasets.opening import open_virtual_dataset, open_virtual_datatree
from vz_beam.errors import (
    FormatError,
    SourceError,
    TransientSourceError,
    TruncatedFileError,
    UnsupportedError,
    VzBeamError,
)
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.request_log import RequestLog
from vz_beam.testing.parser_suite import assert_same_values, stored_values
from vz_beam.testing.sample_files import daily_values, write_daily_files


def test_a_truncated_file_is_refused_with_both_sizes(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(1000)
    data = hdf5.path.read_bytes()
    hdf5.path.write_bytes(data[:-500])
    with pytest.raises(TruncatedFileError, match=rf"sample.h5.*{len(data) - 500}.*{len(data)}"):
        hdf5.parse()


def test_damage_is_named_with_its_path(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["g/v"] = np.arange(3)
        address = h5py.h5o.get_info(file["g/v"].id).addr
    data = bytearray(hdf5.path.read_bytes())
    data[address] = 99
    hdf5.path.write_bytes(data)
    with pytest.raises(FormatError, match=r"sample.h5.*'/g/v'") as caught:
        hdf5.parse()
    assert caught.value.__cause__ is not None
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), FormatError)


@pytest.fixture
def partly_damaged(hdf5: Hdf5File) -> Hdf5File:
    """A file with a sound variable, and three whose header, chunk index and attribute are damaged."""
    with hdf5.write() as file:
        file["sound"] = np.arange(3)
        file["g/header"] = np.arange(3)
        file.create_dataset("index", data=np.arange(500), chunks=(1,))
        file.create_dataset("attribute", data=np.arange(3)).attrs["names"] = ["a text"]
        address = h5py.h5o.get_info(file["g/header"].id).addr
    data = bytearray(hdf5.path.read_bytes())
    data[address] = 99
    for signature in (b"TREE\x01\x01", b"GCOL"):  # a node of chunks above others; the heap of the attribute's value
        data[data.index(signature)] = 0
    hdf5.path.write_bytes(data)
    return hdf5


@pytest.mark.parametrize("wrap", [lambda source: source, RequestLog], ids=["local", "bytes"])
def test_damaged_variables_are_skipped_and_listed_where_asked(
    partly_damaged: Hdf5File, wrap: Callable[[ByteSource], Any]
) -> None:
    with wrap(open_source(str(partly_damaged.path))) as source:
        group = HDFParser(unsupported="skip").parse(source)
    assert sorted(group.skipped) == ["attribute", "g/header", "index"]
    for name, said in (("attribute", "global heap"), ("g/header", "HDF5 library"), ("index", "chunk index")):
        assert said in group.skipped[name]
    assert stored_values(ManifestStore(group))["sound"].tolist() == [0, 1, 2]


def test_a_damaged_variable_is_an_error_or_left_out_by_name(partly_damaged: Hdf5File) -> None:
    with pytest.raises(FormatError, match="is damaged"):
        partly_damaged.parse()
    path = str(partly_damaged.path)
    with pytest.raises(UnsupportedError, match=r"attribute(.|\n)*index(.|\n)*drop_variables=\['attribute', 'index'\]"):
        open_virtual_dataset(path)
    assert list(open_virtual_dataset(path, drop_variables=["attribute", "index"])) == ["sound"]
    tree = open_virtual_datatree(path, drop_variables=["attribute", "index", "g/header"])
    assert list(tree.variables) == ["sound"]


def test_a_type_that_libhdf5_refuses_is_a_problem_of_its_variable(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["sound"] = np.arange(3)
        file["odd"] = np.arange(3, dtype="i4")
    data = hdf5.path.read_bytes()
    kind = struct.pack("<IIHH", 0x0810, 4, 0, 32)
    assert data.count(kind) == 1
    hdf5.path.write_bytes(data.replace(kind, struct.pack("<IIHH", 0x0810, 4, 0, 3)))
    with pytest.raises(UnsupportedError, match="odd: its type is one that libhdf5 refuses"):
        hdf5.parse()
    assert list(hdf5.parse(unsupported="skip").arrays) == ["sound"]


@pytest.mark.parametrize("wrap", [lambda source: source, RequestLog], ids=["local", "bytes"])
def test_a_file_that_is_being_written_is_refused(hdf5: Hdf5File, wrap: Callable[[ByteSource], ByteSource]) -> None:
    copy = hdf5.path.with_name("copy.h5")
    with hdf5.write(libver="latest") as file:
        file["v"] = np.arange(3)
        file.flush()
        copy.write_bytes(hdf5.path.read_bytes())
    source = wrap(open_source(str(copy)))
    with pytest.raises(FormatError, match=r"copy\.h5.*open for writ"):
        HDFParser().parse(source)
    source.close()


class Failing(RequestLog):
    """A source whose connection breaks after so many rounds of requests."""

    def __init__(self, path: Path, error: Exception, rounds: int) -> None:
        super().__init__(open_source(str(path)))
        self.error = error
        self.most_rounds = rounds

    def read_head(self, nbytes: int) -> bytes:
        self._check()
        return super().read_head(nbytes)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self._check()
        return super().read_many(ranges)

    def _check(self) -> None:
        if self.rounds == self.most_rounds:
            raise self.error


@pytest.mark.parametrize("error", [TransientSourceError("503"), SourceError("denied"), ConnectionResetError("reset")])
def test_errors_of_the_source_are_not_taken_for_damage(hdf5: Hdf5File, error: Exception) -> None:
    with hdf5.write() as file:
        for number in range(300):
            file[f"v{number}"] = np.arange(100)
        file["s"] = [f"text {number}" for number in range(10_000)]
    log = RequestLog(open_source(str(hdf5.path)))
    HDFParser().parse(log)
    log.close()
    assert log.rounds >= 2
    for rounds in range(log.rounds):
        source = Failing(hdf5.path, error, rounds)
        with pytest.raises(type(error), match=str(error)):
            HDFParser().parse(source)
        source.close()


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_daily_files(tmp_path_factory.mktemp("damage"), 1)[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@example(data=None)
def test_a_file_cut_at_any_byte_is_refused_or_reads_the_same(daily: Path, data: st.DataObject | None) -> None:
    whole = daily.read_bytes()
    stop = data.draw(st.integers(0, len(whole) - 1)) if data is not None else len(whole) // 2
    cut = daily.with_name("cut.nc")
    cut.write_bytes(whole[:stop])
    try:
        found = stored_values(ManifestStore(parsed(cut)))
    except VzBeamError:
        return
    expected = daily_values("wind_speed", np.arange(4, dtype=np.float64) * 6, (12, 16))
    assert_same_values(found["wind_speed"], expected)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 12_000), value=st.integers(0, 255))
def test_a_changed_byte_raises_none_but_our_errors(daily: Path, place: int, value: int) -> None:
    whole = bytearray(daily.read_bytes())
    whole[place % len(whole)] = value
    changed = daily.with_name("changed.nc")
    changed.write_bytes(whole)
    refusal = "changed.nc"
    try:
        parsed(changed)
    except VzBeamError as error:
        refusal = str(error)
    assert "changed.nc" in refusal


def test_a_damaged_heap_of_dimension_scales_is_told_and_never_hangs(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["x"] = np.arange(3)
        file["x"].make_scale("x")
        file["v"] = np.arange(3)
        file["v"].dims[0].attach_scale(file["x"])
    data = bytearray(hdf5.path.read_bytes())
    data[data.index(b"GCOL") + 16] ^= 0x40  # the number of the first object
    hdf5.path.write_bytes(data)
    with pytest.raises(
        FormatError,
        match=r"sample\.h5: the file is damaged at ./v.: its dimension scales .* global heap at address \d+.*Way out",
    ):
        hdf5.parse()


@pytest.mark.parametrize("layout", ["contiguous", "chunked", "compact", "attribute"])
@pytest.mark.parametrize("wrap", [lambda source: source, RequestLog], ids=["local", "bytes"])
def test_a_damaged_heap_of_strings_is_told_and_never_hangs(
    hdf5: Hdf5File, layout: str, wrap: Callable[[ByteSource], ByteSource]
) -> None:
    with hdf5.write(track_order=True) as file:
        if layout == "attribute":
            file.attrs["words"] = ["one", "two"]
        elif layout == "compact":
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            space, kind = h5py.h5s.create_simple((2,)), h5py.h5t.py_create(h5py.string_dtype(), logical=True)
            h5py.Dataset(h5py.h5d.create(file.id, b"words", kind, space, plist))[...] = ["one", "two"]
        else:
            file.create_dataset("words", data=["one", "two"], chunks=(1,) if layout == "chunked" else None)
    assert parsed(hdf5.path).skipped == {}
    data = bytearray(hdf5.path.read_bytes())
    at = data.index(b"GCOL") + 16
    data[at : at + 64] = bytes(64)
    hdf5.path.write_bytes(data)
    source = wrap(open_source(str(hdf5.path)))
    with pytest.raises(FormatError, match=r"sample\.h5: the file is damaged.*global heap at address \d+.*Way out"):
        HDFParser().parse(source)
    source.close()


@pytest.mark.parametrize("wrap", [lambda source: source, RequestLog], ids=["local", "bytes"])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_small_file_cut_at_every_byte_is_refused_or_reads_the_same(
    hdf5: Hdf5File, libver: str, wrap: Callable[[ByteSource], ByteSource]
) -> None:
    expected = np.arange(6, dtype="i2")
    with hdf5.write(libver=libver) as file:
        # a B-tree of version 1 would make thousands of bytes of it
        file.create_dataset("v", data=expected, chunks=(3,) if libver == "latest" else None)
        file["v"].attrs["units"] = np.bytes_("m")  # text of variable length would take a heap of 4096 bytes
    whole = hdf5.path.read_bytes()
    assert len(whole) < 2500
    for stop in range(len(whole)):
        hdf5.path.write_bytes(whole[:stop])
        source, refusal = wrap(open_source(hdf5.path)), ""
        try:
            group = HDFParser().parse(source)
        except VzBeamError as error:
            refusal = str(error)
        finally:
            source.close()
        if refusal:
            assert "sample.h5" in refusal, f"cut at {stop}"
        else:
            assert_same_values(stored_values(ManifestStore(group))["v"], expected, f"cut at {stop}")
