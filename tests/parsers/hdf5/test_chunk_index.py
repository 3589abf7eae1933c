"""Chunk indexes that are decoded without libhdf5: equal to what it tells, and safe on damaged nodes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from numcodecs.jenkins import jenkins_lookup3

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import FormatError, TruncatedFileError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5 import HDFParser, btree_v1
from vz_beam.parsers.hdf5.layout import stored_chunks
from vz_beam.parsers.hdf5.layout_message import chunked_layout
from vz_beam.parsers.hdf5.object_header import header_messages
from vz_beam.storage.block_cache import BLOCK_BYTES
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog

UNDEFINED = 2**64 - 1


def assert_as_libhdf5_tells(path: Path, group: ManifestGroup) -> None:
    """There are as many references as chunks, and those looked at lie where libhdf5 says that the chunk lies."""
    with h5py.File(path) as file:
        for name, array in group.arrays.items():
            dataset = file[name]
            manifest = array.manifest
            assert manifest.nrefs == dataset.id.get_num_chunks()
            stored = np.argwhere(manifest.location_ids == 0)
            for place in stored[
                :: 1 + len(stored) // 300
            ].tolist():  # libhdf5 looks through all of some indexes for each
                start = tuple(index * chunk for index, chunk in zip(place, dataset.chunks, strict=True))
                info = dataset.id.get_chunk_info_by_coord(start)
                assert (manifest.offsets[*place], manifest.lengths[*place]) == (info.byte_offset, info.size)


@pytest.mark.parametrize("options", [{}, {"userblock_size": 1024}, {"libver": ("v108", "v108")}])
def test_trees_of_several_levels_and_ranks_are_read_together(hdf5: Hdf5File, options: dict[str, object]) -> None:
    generator = np.random.default_rng(1)
    with hdf5.write(**options) as file:
        file.create_dataset("deep", data=generator.integers(0, 9, (5000, 2)), chunks=(1, 2), compression="gzip")
        file.create_dataset("flat", data=generator.random(100), chunks=(30,), shuffle=True)
        file.create_dataset("many", data=generator.random((17, 19, 5)), chunks=(2, 3, 4), maxshape=(None, None, 5))
        some = file.create_dataset("some", (1000, 4), "f4", chunks=(1, 4))
        for row in generator.permutation(1000)[:300]:
            some[row] = row
        file.create_dataset("none", (10, 10), "i2", chunks=(2, 2))
    assert_as_libhdf5_tells(hdf5.path, hdf5.checked())


def test_one_dataset_under_two_names_is_two_arrays_with_the_same_references(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("a", data=np.arange(500), chunks=(1,))
        file["b"] = file["a"]
        file["c"] = h5py.SoftLink("/a")
    group = hdf5.checked()
    assert group.arrays.keys() == {"a", "b", "c"}
    assert_as_libhdf5_tells(hdf5.path, group)


def test_a_chunk_at_an_address_that_no_file_has_is_truncation(hdf5: Hdf5File) -> None:
    with hdf5.write(userblock_size=1024) as file:
        file.create_dataset("v", data=np.arange(3), chunks=(3,))
    data = bytearray(hdf5.path.read_bytes())
    child = data.index(b"TREE\x01\x00") + _CHILD
    data[child : child + 8] = struct.pack("<Q", UNDEFINED - 500)  # with the user block, byte 523
    hdf5.path.write_bytes(data)
    with pytest.raises(TruncatedFileError, match=r"sample\.h5"):
        hdf5.parse()


def test_nodes_of_more_entries_than_usual_are_read_again(hdf5: Hdf5File, monkeypatch: pytest.MonkeyPatch) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(3000), chunks=(2,))
    monkeypatch.setattr(btree_v1, "_USUAL_ENTRIES", 3)
    assert_as_libhdf5_tells(hdf5.path, hdf5.checked())


def test_libhdf5_is_not_asked_for_chunks_of_the_usual_index(hdf5: Hdf5File, monkeypatch: pytest.MonkeyPatch) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(300), chunks=(2,))
    monkeypatch.setattr("vz_beam.parsers.hdf5.chunk_index.stored_chunks", None)
    assert hdf5.checked().arrays["v"].manifest.nrefs == 150


def test_all_nodes_of_a_level_are_fetched_together(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for name in "abcdefgh":
            file.create_dataset(name, data=np.arange(64 * 64), chunks=(1,))
    log = RequestLog(open_source(str(hdf5.path)))
    group = HDFParser().parse(log)
    log.close()
    assert sum(array.manifest.nrefs for array in group.arrays.values()) == 8 * 64 * 64
    blocks = hdf5.path.stat().st_size / BLOCK_BYTES
    assert blocks > 20
    # libhdf5 reads headers, a block at a time; the levels of the trees are one round each, whatever their size
    assert log.rounds < 12


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "single": ("SINGLE", {"shape": (50, 70), "chunks": (50, 70)}),
    "single_zlib": ("SINGLE", {"shape": (50, 70), "chunks": (50, 70), "compression": "gzip"}),
    "fixed": ("FIXED_ARRAY", {"shape": (50, 70), "chunks": (3, 4)}),
    "fixed_zlib": ("FIXED_ARRAY", {"shape": (50, 70), "chunks": (3, 4), "compression": "gzip"}),
    "fixed_pages": ("FIXED_ARRAY", {"shape": (100, 41), "chunks": (1, 1)}),
    "fixed_pages_zlib": ("FIXED_ARRAY", {"shape": (1025,), "chunks": (1,), "compression": "gzip"}),
    "fixed_limited": ("FIXED_ARRAY", {"shape": (50, 7, 5), "maxshape": (60, 7, 9), "chunks": (3, 4, 2)}),
    "extensible": ("EXTENSIBLE_ARRAY", {"shape": (50, 70), "maxshape": (None, 70), "chunks": (3, 4)}),
    "extensible_zlib": (
        "EXTENSIBLE_ARRAY",
        {"shape": (50, 70), "maxshape": (90, None), "chunks": (3, 4), "compression": "gzip"},
    ),
    "extensible_pages": ("EXTENSIBLE_ARRAY", {"shape": (9000,), "maxshape": (None,), "chunks": (1,)}),
    "extensible_middle": (
        "EXTENSIBLE_ARRAY",
        {"shape": (8, 60, 10), "maxshape": (9, None, 10), "chunks": (2, 1, 3), "shuffle": True},
    ),
    "tree": ("BTREE_V2", {"shape": (50, 70), "maxshape": (None, None), "chunks": (3, 4)}),
    "tree_zlib": ("BTREE_V2", {"shape": (50, 70), "maxshape": (None, None), "chunks": (1, 1), "compression": "gzip"}),
    "tree_deep": ("BTREE_V2", {"shape": (200, 100), "maxshape": (None, None), "chunks": (1, 1)}),
}


@pytest.mark.parametrize("written", ["all", "some", "last", "none"])
@pytest.mark.parametrize("name", KINDS)
def test_indexes_of_newer_files_are_read_without_libhdf5(
    hdf5: Hdf5File, monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    kind, choices = KINDS[name]
    shape = choices["shape"]
    values = np.arange(1, np.prod(shape) + 1, dtype="i2").reshape(shape)
    with hdf5.write(libver="latest", userblock_size=512) as file:
        dataset = file.create_dataset("v", dtype="i2", **choices, fillvalue=-1)
        if written == "all":
            dataset[...] = values
        elif written == "some":
            for row in range(0, shape[0], 1 + shape[0] // 7):
                dataset[row] = values[row]
        elif written == "last":
            dataset[-1:] = values[-1:]
        address = h5py.h5o.get_info(dataset.id).addr
    data = hdf5.path.read_bytes()[512:]
    layout = chunked_layout(header_messages(lambda start, stop: data[start:stop], address))
    assert layout is not None
    assert layout.kind.name == kind
    monkeypatch.setattr("vz_beam.parsers.hdf5.chunk_index.stored_chunks", None)
    group = hdf5.checked()
    if kind != "EXTENSIBLE_ARRAY" or choices["maxshape"][0] is None:
        # where another dimension than the first is unlimited, libhdf5 2.0 reads the right chunks, and tells wrong ones
        assert_as_libhdf5_tells(hdf5.path, group)
    manifest = group.arrays["v"].manifest
    ours = {
        (number, int(manifest.offsets.flat[number]), int(manifest.lengths.flat[number]))
        for number in np.flatnonzero(manifest.location_ids == 0).tolist()
    }
    with h5py.File(hdf5.path) as file:  # with what is put right there, where libhdf5 tells wrong places
        told = stored_chunks(file["v"].id, group.arrays["v"].metadata.chunk_grid)
    assert ours == set(zip(told.numbers.tolist(), told.offsets.tolist(), told.lengths.tolist(), strict=True))


def test_an_implicit_index_is_read_without_libhdf5(hdf5: Hdf5File, monkeypatch: pytest.MonkeyPatch) -> None:
    with hdf5.write(libver="latest") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((3, 4))
        plist.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        space = h5s.create_simple((10, 14), (20, 14))
        h5d.create(file.id, b"v", h5t.STD_I32LE, space, plist).write(h5s.ALL, h5s.ALL, np.arange(140, dtype="i4"))
    monkeypatch.setattr("vz_beam.parsers.hdf5.chunk_index.stored_chunks", None)
    assert_as_libhdf5_tells(hdf5.path, hdf5.checked())


def test_edge_chunks_that_went_through_no_filter_are_known_from_the_layout(hdf5: Hdf5File) -> None:
    values = np.arange(120, dtype="i4").reshape(10, 12)
    with hdf5.write(libver="latest") as file:
        dataset = file.create_dataset("v", data=values, chunks=(3, 4), maxshape=(None, None), shuffle=True)
        for column in range(3):
            chunk = np.zeros((3, 4), "i4")
            chunk[:1] = values[9:, 4 * column : 4 * column + 4]
            dataset.id.write_direct_chunk((9, 4 * column), chunk.tobytes())
        address = h5py.h5o.get_info(dataset.id).addr
    # h5py cannot make such a file: the flag is set in the layout message, and the checksum of the header made right
    data = bytearray(hdf5.path.read_bytes())
    messages = header_messages(lambda start, stop: bytes(data[start:stop]), address)
    layout = next(message.body for message in messages if message.kind == 0x08)
    data[data.index(layout, address) + 2] |= 1
    end = next(end for end in range(address + 8, address + 2000) if _is_checksum(hdf5.path.read_bytes(), address, end))
    data[end : end + 4] = jenkins_lookup3(bytes(data[address:end]), 0).to_bytes(4, "little")
    hdf5.path.write_bytes(data)
    assert hdf5.checked().arrays["v"].manifest.location_ids.tolist() == [[0] * 3] * 3 + [[-2] * 3]


def _is_checksum(data: bytes, start: int, end: int) -> bool:
    return bool(jenkins_lookup3(data[start:end], 0) == int.from_bytes(data[end : end + 4], "little"))


@pytest.mark.parametrize("signature", [b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EASB", b"EADB", b"BTHD", b"BTIN", b"BTLF"])
@pytest.mark.parametrize("offset", [0, 4, 20])
def test_a_damaged_block_of_a_newer_index_is_named(hdf5: Hdf5File, signature: bytes, offset: int) -> None:
    with hdf5.write(libver="latest") as file:
        for name, limits in {"fixed": (60, 50), "extensible": (None, 50), "tree": (None, None)}.items():
            file.create_dataset(name, data=np.arange(3000).reshape(60, 50), maxshape=limits, chunks=(1, 1))
    data = bytearray(hdf5.path.read_bytes())
    data[data.index(signature) + offset] ^= 0xFF
    hdf5.path.write_bytes(data)
    name = {b"F": "fixed", b"E": "extensible", b"B": "tree"}[signature[:1]]
    with pytest.raises(FormatError, match=rf"sample\.h5: the chunk index of '/{name}' is damaged: at address.*Way out"):
        hdf5.parse()


@pytest.mark.parametrize("kind", ["fixed", "extensible", "tree"])
def test_a_newer_index_is_read_in_few_rounds(hdf5: Hdf5File, kind: str) -> None:
    limits: Any = {"fixed": (300, 200), "extensible": (None, 200), "tree": (None, None)}[kind]
    with hdf5.write(libver="latest") as file:
        for name in "abc":
            file.create_dataset(name, data=np.zeros((300, 200), "i1"), maxshape=limits, chunks=(1, 1), compression=1)
    log = RequestLog(open_source(str(hdf5.path)))
    group = HDFParser().parse(log)
    log.close()
    assert sum(array.manifest.nrefs for array in group.arrays.values()) == 3 * 60000
    assert log.rounds <= 6


def _root(path: Path) -> int:
    """Where the root of the B-tree is: behind the signature that stands before the node type of chunks."""
    place = path.read_bytes().index(b"TREE\x01\x01")
    assert place > 0
    return place


def _damaged(hdf5: Hdf5File, offset: int, replacement: bytes) -> None:
    data = bytearray(hdf5.path.read_bytes())
    start = _root(hdf5.path) + offset
    data[start : start + len(replacement)] = replacement
    hdf5.path.write_bytes(data)


_KEY = 8 + 2 * 8  # length, mask, start of one dimension and of the element
_CHILD = 24 + _KEY
_ENTRY = _KEY + 8


@pytest.mark.parametrize(
    ("offset", "replacement", "said"),
    [
        (0, b"TREK", "no node of a chunk index"),
        (0, b"TREK\x01\x01\xff\xff", "no node of a chunk index"),
        (4, b"\x00", "no node of a chunk index"),
        (6, struct.pack("<H", 60000), "claims 60000 entries"),
        (_CHILD, struct.pack("<Q", 8), "no node of level 0"),
        (_CHILD, None, "listed already"),
    ],
    ids=["signature", "all of the head", "type", "entries", "child", "cycle"],
)
def test_a_damaged_node_is_named(hdf5: Hdf5File, offset: int, replacement: bytes | None, said: str) -> None:
    with hdf5.write() as file:
        file.create_dataset("g/v", data=np.arange(500), chunks=(1,))
    if replacement is None:  # the second child is the first once more
        start = _root(hdf5.path) + _CHILD
        replacement = hdf5.path.read_bytes()[start : start + 8]
        offset += _ENTRY
    _damaged(hdf5, offset, replacement)
    with pytest.raises(FormatError, match=rf"sample\.h5: the chunk index of '/g/v' is damaged.*{said}.*Way out"):
        hdf5.parse()


def test_a_node_behind_the_end_of_the_file_is_truncation(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(500), chunks=(1,))
    _damaged(hdf5, _CHILD, struct.pack("<Q", 2**40))
    with pytest.raises(TruncatedFileError, match=r"sample\.h5"):
        hdf5.parse()
    _damaged(hdf5, _CHILD, struct.pack("<Q", UNDEFINED - 1))
    with pytest.raises(FormatError, match=r"sample\.h5"):
        hdf5.parse()
