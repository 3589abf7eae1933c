"""Damage on which libhdf5 hangs, crashes or takes all memory, found before it is asked. Mutations led to all of it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog
from vz_beam.testing.hdf5_checksums import resealed, sealed_blocks

Data = bytearray


@dataclass(frozen=True)
class Damage:
    """A healthy file, what is done to its bytes, and what the error has to say."""

    name: str
    write: Callable[[h5py.File], Any]
    change: Callable[[Data], Any]
    match: str
    libver: str = "earliest"


def ragged(file: h5py.File) -> None:
    lists: NDArray[Any] = np.empty(2, object)
    lists[:] = [np.arange(2), np.arange(3)]
    file.attrs.create("ragged", lists, dtype=h5py.vlen_dtype("i8"))


def ragged_of_named_type(file: h5py.File) -> None:
    file["kind"] = h5py.vlen_dtype("i8")
    lists: NDArray[Any] = np.empty(1, object)
    lists[0] = np.arange(2)
    file.attrs.create("ragged", lists, dtype=file["kind"])


def filled_strings(file: h5py.File) -> None:
    file.create_dataset("words", (3,), h5py.string_dtype(), fillvalue="none", chunks=(2,))


def arrays(file: h5py.File) -> None:
    file.attrs.create("array", np.zeros((2, 3, 5), "i8"), shape=(2, 3, 5), dtype=np.dtype("(3,5)i8"))


def compound_of_array(file: h5py.File) -> None:
    file.attrs.create("pair", np.zeros(2, [("x", "i2"), ("y", "f4", (3, 5))]))


def region(file: h5py.File) -> None:
    file["v"] = np.arange(12).reshape(3, 4)
    file.attrs["region"] = file["v"].regionref[0:2, 1]


def subgroup(file: h5py.File) -> None:
    file["g/v"] = np.arange(3)


def external(file: h5py.File) -> None:
    file.create_dataset("raw", (4,), "f8", external=[("other.raw", 0, 32)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "v", (3,))
    file.create_virtual_dataset("virtual", layout)


def many_links(file: h5py.File) -> None:
    for number in range(20):
        file[f"d{number}"] = number


def many_attributes(file: h5py.File) -> None:
    for number in range(20):
        file.attrs[f"a{number}"] = number


def endless_behind_free_space(data: Data) -> None:
    place = data.index(b"GCOL") + 16
    while number := int.from_bytes(data[place : place + 2], "little"):
        assert number < 3
        place += 16 + (int.from_bytes(data[place + 8 : place + 16], "little") + 7) // 8 * 8
    data[place + 8 : place + 16] = struct.pack("<Q", 16)


def no_heap(data: Data) -> None:
    place = data.index(b"GCOL")
    data[place + 16 : place + 80] = bytes(64)


def no_heap_and_no_elements(data: Data) -> None:
    for address in (data.index(b"GCOL"),):
        for number in (1, 2):
            place = data.index(struct.pack("<QI", address, number)) - 4
            data[place : place + 4] = bytes(4)
    no_heap(data)


def unknown_kind(data: Data) -> None:
    data[data.index(struct.pack("<BBBBI", 0x19, 0, 0, 0, 16)) + 1] = 0x0F


def long_array(data: Data) -> None:
    place = data.index(struct.pack("<II", 3, 5))
    data[place : place + 4] = struct.pack("<I", 2**23)


def circle(number: int) -> Callable[[Data], None]:
    """The free space of a local heap that leads to itself, in the heap ``number``."""

    def change(data: Data) -> None:
        at = -1
        for _ in range(number + 1):
            at = data.index(b"HEAP", at + 1)
        nbytes, _, start = struct.unpack_from("<QQQ", data, at + 8)
        assert nbytes >= 24
        data[at + 16 : at + 24] = struct.pack("<Q", nbytes - 16)
        data[start + nbytes - 16 : start + nbytes] = struct.pack("<QQ", nbytes - 16, 16)

    return change


def many_dimensions(data: Data) -> None:
    """Selections of more dimensions than there can be, at the first object of the global heap."""
    place = data.index(struct.pack("<II", 2, 3), data.index(b"GCOL"))
    data[place + 13] = 0xFF


def changed(signature: bytes, offset: int, replacement: bytes) -> Callable[[Data], None]:
    """Other bytes behind a signature, the checksum put right."""

    def change(data: Data) -> None:
        whole = bytes(data)
        place = data.index(signature) + offset
        data[place : place + len(replacement)] = replacement
        data[:] = resealed(bytes(data), whole, sealed_blocks(whole))

    return change


def old_region(data: Data) -> None:
    """The region of a reference, version 1 of blocks: kind, version, nothing, length, rank."""
    place = data.index(struct.pack("<II", 2, 1), data.index(b"GCOL"))
    data[place + 16 : place + 20] = struct.pack("<I", 2**30)


DAMAGE = [
    Damage("objects behind free space", ragged, endless_behind_free_space, "no whole collection"),
    Damage("type that a header only points at", ragged_of_named_type, no_heap, "no whole collection"),
    Damage("values of no elements", ragged, no_heap_and_no_elements, "no whole collection"),
    Damage("kind of values of variable length", ragged, unknown_kind, "are of kind 15"),
    Damage("fill value", filled_strings, no_heap, "'/words'.*global heap"),
    Damage("array type", arrays, long_array, "'array' claims to hold"),
    Damage("array in a compound type", compound_of_array, long_array, "'pair' claims to hold"),
    Damage("local heap of the root", subgroup, circle(0), "leads round in a circle"),
    Damage("local heap of a group", subgroup, circle(1), "'/g'.*leads round in a circle"),
    Damage("local heap of raw files", external, circle(1), "'/raw'.*leads round in a circle"),
    Damage("mappings", virtual, many_dimensions, "'/virtual'.*checksum does not fit", "latest"),
    Damage("region", region, old_region, "a region of 1073741824 dimensions"),
    Damage("node size of a tree", many_links, changed(b"BTHD", 6, bytes(4)), "a tree of type 5", "latest"),
    Damage("bits of a heap", many_links, changed(b"FRHP", 128, b"\1"), "a heap of 1 bits", "latest"),
    Damage("link identifier", many_links, changed(b"BTLF", 10, b"\x30"), "a heap without an object", "latest"),
    Damage("attribute identifier", many_attributes, changed(b"BTLF", 6, b"\x10"), "without an object", "latest"),
    Damage("shared attribute", many_attributes, changed(b"BTLF", 14, b"\2"), "nothing to share", "latest"),
]


@pytest.mark.parametrize("remote", [False, True], ids=["local", "bytes"])
@pytest.mark.parametrize("damage", DAMAGE, ids=[damage.name for damage in DAMAGE])
def test_damage_is_found_before_libhdf5_is_asked(hdf5: Hdf5File, damage: Damage, remote: bool) -> None:
    with hdf5.write(libver=damage.libver) as file:
        damage.write(file)
    parse(hdf5, remote)
    data = bytearray(hdf5.path.read_bytes())
    damage.change(data)
    hdf5.path.write_bytes(data)
    with pytest.raises(FormatError, match=rf"sample\.h5.*{damage.match}"):
        parse(hdf5, remote, HDFParser())


def parse(hdf5: Hdf5File, remote: bool, parser: HDFParser = HDFParser(unsupported="skip")) -> None:  # noqa: B008
    source = open_source(hdf5.path)
    parser.parse(RequestLog(source) if remote else source)
    source.close()


def test_what_libhdf5_says_on_closing_is_one_of_our_errors(hdf5: Hdf5File, monkeypatch: pytest.MonkeyPatch) -> None:
    with hdf5.write() as file:
        subgroup(file)
    close = h5py.File.close

    def closed(file: h5py.File) -> None:
        close(file)
        raise RuntimeError("pinned entry count not decreasing")

    monkeypatch.setattr(h5py.File, "close", closed)
    with pytest.raises(FormatError, match=r"sample\.h5.*pinned"):
        hdf5.parse()
    monkeypatch.setattr("vz_beam.parsers.hdf5.contents.described_dataset", lambda *_: struct.unpack("<Q", b""))
    with pytest.raises(FormatError, match=r"sample\.h5.*'/g/v'"):
        hdf5.parse()


def test_a_level_of_compression_that_is_none_does_no_harm(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(4), chunks=(2,), compression="gzip", compression_opts=7)
        file["v"].id.write_direct_chunk((0,), np.arange(2).tobytes(), filter_mask=1)
    data = hdf5.path.read_bytes()
    hdf5.path.write_bytes(data.replace(b"deflate\0" + struct.pack("<I", 7), b"deflate\0" + struct.pack("<I", 2**31)))
    assert hdf5.path.read_bytes() != data
    array = hdf5.parse().arrays["v"]
    assert list(array.manifest.inlined) == [0]
    assert decode_chunk(array.metadata, array.manifest.inlined[0]).tolist() == [0, 1]


def test_a_grid_out_of_proportion_to_its_file_is_refused(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("sparse", (2**25,), "i1", chunks=(1,))[0] = 1
        file.create_dataset("unwritten", (2**25,), "i1", chunks=(1,))
    with pytest.raises(UnsupportedError, match=r"sparse.*makes 33554432 chunks, and the file has") as caught:
        hdf5.parse()
    assert "unwritten" not in str(caught.value)


def test_members_that_grow_over_each_other_are_refused(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.ones(3, "c8")
        file.attrs["a"] = np.complex64(1)
    data = hdf5.path.read_bytes()
    single = h5py.h5t.IEEE_F32LE.encode()[3:]
    # the first of the two floats gets another bias: h5py takes a number of 8 bytes for it, and leaves it 4
    wide = single[:-4] + struct.pack("<I", 219)
    for start in (data.index(b"r\0"), data.rindex(b"r\0")):
        place = data.index(single, start)
        data = data[:place] + wide + data[place + len(wide) :]
    hdf5.path.write_bytes(data)
    group = hdf5.parse(unsupported="skip")
    assert group.skipped == {"v": "its compound values have a member 'r' that is another size in numpy"}
    assert group.attributes == {"a": None}


def test_lists_of_regions_are_not_given_to_h5py(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(6)
        lists: NDArray[Any] = np.empty(1, object)
        lists[0] = np.array([file["v"].regionref[1:3]], h5py.regionref_dtype)
        file.attrs.create("lists", lists, dtype=h5py.vlen_dtype(h5py.regionref_dtype))
        file["v"].attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.regionref_dtype))
    group = hdf5.parse()
    assert group.attributes == {"lists": None}
    assert list(group.arrays) == ["v"]


@pytest.mark.parametrize(
    ("place", "byte"), [(2, 1), (2, 0), (11, 0), (15, 0)], ids=["rank", "none", "chunk", "element"]
)
def test_chunks_that_cannot_be_are_found_before_libhdf5_divides_by_them(hdf5: Hdf5File, place: int, byte: int) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(6, dtype="i4"), chunks=(3,))
    hdf5.checked()
    data = bytearray(hdf5.path.read_bytes())
    (layout,) = re.finditer(rb"\x03\x02\x02.{8}\x03\0\0\0\x04\0\0\0", bytes(data), re.DOTALL)
    data[layout.start() + place] = byte
    hdf5.path.write_bytes(data)
    with pytest.raises(FormatError, match=r"'/v': (chunks of|its data layout)"):
        hdf5.parse()
