"""Chunk indexes that are decoded without libhdf5: equal to what it tells, and safe on damaged nodes."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import FormatError, TruncatedFileError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5 import HDFParser, chunk_btree
from vz_beam.storage.block_cache import BLOCK_BYTES
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog

UNDEFINED = 2**64 - 1


def assert_as_libhdf5_tells(path: Path, group: ManifestGroup) -> None:
    """Every reference of every array lies where libhdf5 says that the chunk lies."""
    with h5py.File(path) as file:
        for name, array in group.arrays.items():
            dataset = file[name]
            manifest = array.manifest
            assert manifest.nrefs == dataset.id.get_num_chunks()
            for number in range(dataset.id.get_num_chunks()):
                info = dataset.id.get_chunk_info(number)
                place = tuple(start // chunk for start, chunk in zip(info.chunk_offset, dataset.chunks, strict=True))
                assert manifest.location_ids[place] == 0
                assert (manifest.offsets[place], manifest.lengths[place]) == (info.byte_offset, info.size)


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
    monkeypatch.setattr(chunk_btree, "_USUAL_ENTRIES", 3)
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
