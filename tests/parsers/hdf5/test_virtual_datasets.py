from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5s

from tests.parsers.hdf5.conftest import Folder
from tests.parsers.hdf5.virtual_files import (
    block,
    values,
    write_mappings,
    write_source,
    write_virtual,
)


@pytest.mark.parametrize(
    "choices",
    [{}, {"chunks": (5, 10)}, {"chunks": (3, 20), "compression": "gzip", "shuffle": True}, {"chunks": (10, 7)}],
    ids=str,
)
def test_sources_stacked_along_a_new_dimension_keep_their_chunks(folder: Folder, choices: dict[str, Any]) -> None:
    for number in range(3):
        write_source(folder, f"{number}.h5", values((10, 20), 1000 * number), **choices)
    write_virtual(folder, (5, 10, 20), *((number, f"{number}.h5", None) for number in range(3)))
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert found.metadata.chunk_shape == (1, *choices.get("chunks", (10, 20)))
    assert (found.manifest.location_ids[3:] == -1).all()
    assert len(found.manifest.locations) == 3


def test_rows_of_uncompressed_sources_are_cut_where_files_meet(folder: Folder) -> None:
    for name, rows in (("a.h5", 4), ("b.h5", 6), ("c.h5", 2)):
        write_source(folder, name, values((rows, 20), 100 * rows))
    parts = ((np.s_[0:4], "a.h5", None), (np.s_[4:10], "b.h5", None), (np.s_[12:14], "c.h5", None))
    write_virtual(folder, (15, 20), *parts)
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert found.metadata.chunk_shape == (2, 20)
    assert found.manifest.nrefs == 6


def test_columns_of_uncompressed_sources_are_cut_into_rows(folder: Folder) -> None:
    for number in range(2):
        write_source(folder, f"{number}.h5", values((4, 10), 100 * number))
    parts = ((np.s_[:, 0:10], "0.h5", None), (np.s_[:, 10:15], "1.h5", np.s_[:, 5:10]))
    write_virtual(folder, (4, 15), *parts)
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].metadata.chunk_shape == (1, 5)


def test_chunked_sources_side_by_side_on_chunk_borders_are_references(folder: Folder) -> None:
    for number in range(4):
        write_source(folder, f"{number}.h5", values((8, 6), 100 * number), chunks=(4, 3), compression="gzip")
    places = [
        (np.s_[8 * (n // 2) : 8 * (n // 2) + 8, 6 * (n % 2) : 6 * (n % 2) + 6], f"{n}.h5", None) for n in range(4)
    ]
    write_virtual(folder, (16, 12), *places)
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].manifest.nrefs == 16


def test_frames_taken_in_turn_from_several_files_are_references(folder: Folder) -> None:
    for number in range(3):
        write_source(folder, f"{number}.h5", values((4, 5, 6), 1000 * number), chunks=(1, 5, 6), compression="gzip")
    write_virtual(folder, (12, 5, 6), *((np.s_[n::3], f"{n}.h5", None) for n in range(3)))
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].manifest.nrefs == 12


def test_part_of_a_source_on_chunk_borders_is_references(folder: Folder) -> None:
    write_source(folder, "a.h5", values((9, 10)), chunks=(3, 4), compression="gzip")
    write_virtual(folder, (6, 6), (np.s_[:, :], "a.h5", np.s_[3:9, 4:10]))
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert (found.manifest.grid_shape, found.manifest.nrefs) == ((2, 2), 4)


def test_a_padded_chunk_within_the_virtual_dataset_does_not_show_its_padding(folder: Folder) -> None:
    write_source(folder, "a.h5", values((10,)), chunks=(4,), fillvalue=77, compression="gzip")
    write_virtual(folder, (16,), (np.s_[0:10], "a.h5", None))
    found = folder.checked("main.h5").arrays["v"]
    assert found.manifest.location_ids.tolist() == [0, 0, -2, -1]
    text = folder.refused("main.h5", inline_limit_bytes=15)
    assert "mapping 0 (from 'd' in 'a.h5') does not lie on chunk borders; 16 bytes are too many" in text


def test_a_padded_chunk_at_the_end_of_the_virtual_dataset_is_a_reference(folder: Folder) -> None:
    write_source(folder, "a.h5", values((10, 3)), chunks=(4, 2), fillvalue=77)
    write_virtual(folder, (10, 3), (np.s_[:, :], "a.h5", None))
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].manifest.nrefs == 6


def test_unwritten_chunks_of_a_source_read_as_its_own_fill(folder: Folder) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("d", (8,), "i4", chunks=(2,), fillvalue=77)[2:4] = 5
    with h5py.File(folder / "b.h5", "w") as file:
        file.create_dataset("d", (8,), "i4", chunks=(2,), fillvalue=-1)[2:4] = 5
    write_virtual(folder, (16,), (np.s_[0:8], "a.h5", None), (np.s_[8:16], "b.h5", None))
    assert folder.checked("main.h5").arrays["v"].manifest.location_ids.tolist() == [-2, 0, -2, -2, -1, 1, -1, -1]
    assert "another fill value" in folder.refused("main.h5", inline_limit_bytes=23)


def test_a_source_that_was_never_written_is_missing_or_its_fill(folder: Folder) -> None:
    for name, fill in (("a.h5", 77), ("b.h5", -1)):
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("d", (5,), "i4", fillvalue=fill)
    write_source(folder, "c.h5", values((5,)))
    parts = [(np.s_[5 * n : 5 * n + 5], name, None) for n, name in enumerate(("a.h5", "b.h5", "c.h5"))]
    write_virtual(folder, (15,), *parts)
    assert folder.checked("main.h5").arrays["v"].manifest.location_ids.tolist() == [-2, -1, 0]


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (np.s_[1:5], np.s_[0:4]),
        (np.s_[0:8:2], np.s_[2:6]),
        (np.s_[0:4], np.s_[0:8:2]),
        (np.s_[[0, 3, 4, 6]], np.s_[0:4]),
        (np.s_[2:6], np.s_[[1, 2, 5, 7]]),
    ],
    ids=str,
)
def test_selections_off_the_chunk_borders_are_inlined(folder: Folder, where: Any, what: Any) -> None:
    write_source(folder, "a.h5", values((8,)), chunks=(4,), compression="gzip")
    write_virtual(folder, (9,), (where, "a.h5", what))
    found = folder.checked("main.h5").arrays["v"]
    assert found.manifest.locations == ()
    assert "/v: it is a virtual dataset, and mapping 0" in folder.refused("main.h5", inline_limit_bytes=3)


def test_a_source_of_another_shape_is_inlined_in_c_order(folder: Folder) -> None:
    write_source(folder, "a.h5", values((6, 4)))
    mapping = (block((8, 3), (8, 3), (0, 0), (1, 1), (1, 1), (8, 3)), b"a.h5", b"d", h5s.create_simple((6, 4)))
    write_mappings(folder / "main.h5", (8, 3), (8, 3), mapping)
    assert folder.checked("main.h5").arrays["v"].manifest.locations == ()


def test_later_mappings_overwrite_earlier_ones(folder: Folder) -> None:
    write_source(folder, "a.h5", values((8,)), chunks=(2,))
    write_source(folder, "b.h5", values((6,), 100), chunks=(2,))
    with h5py.File(folder / "c.h5", "w") as file:
        file.create_dataset("d", (2,), "i4", chunks=(2,), fillvalue=-1)
    parts = ((np.s_[0:8], "a.h5", None), (np.s_[3:9], "b.h5", None), (np.s_[0:2], "c.h5", None))
    write_virtual(folder, (10,), *parts)
    expected = np.array([-1, -1, 3, 100, 101, 102, 103, 104, 105, -1], "i4")
    # libhdf5 2.0 leaves gaps as they were in memory where mappings overlap
    assert folder.checked("main.h5", {"v": expected}).arrays["v"].manifest.location_ids[0] == -1


def test_sources_of_other_codecs_or_byte_order_are_inlined(folder: Folder) -> None:
    write_source(folder, "a.h5", values((8,)), chunks=(4,), compression="gzip")
    write_source(folder, "b.h5", values((4,), 100), chunks=(4,))
    write_source(folder, "c.h5", values((4,), 200).astype(">i4"), chunks=(4,), compression="gzip")
    parts = ((np.s_[0:8], "a.h5", None), (np.s_[8:12], "b.h5", None), (np.s_[12:16], "c.h5", None))
    write_virtual(folder, (16,), *parts)
    assert folder.checked("main.h5").arrays["v"].manifest.location_ids.tolist() == [0, 0, -2, -2]
    assert "mapping 1 (from 'd' in 'b.h5') has a source of other codecs" in folder.refused(
        "main.h5", inline_limit_bytes=16
    )


def test_big_endian_sources_of_a_little_endian_virtual_dataset_are_references(folder: Folder) -> None:
    write_source(folder, "a.h5", values((4, 5)).astype(">i4"))
    write_virtual(folder, (4, 5), (np.s_[:, :], "a.h5", None))
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert found.metadata.byte_order == "big"


@pytest.mark.parametrize(("dtype", "is_kept"), [("i2", True), ("f4", False), ("i8", False), ("u4", False)])
def test_sources_of_another_type_are_inlined_where_no_value_changes(folder: Folder, dtype: str, is_kept: bool) -> None:
    write_source(folder, "a.h5", values((4, 5)).astype(dtype))
    write_virtual(folder, (4, 5), (np.s_[:, :], "a.h5", None))
    if is_kept:
        folder.checked("main.h5")
    else:
        assert f"has values of type {np.dtype(dtype)}, not all of which int32 can hold" in folder.refused("main.h5")


def test_gaps_are_filled_by_the_virtual_dataset(folder: Folder) -> None:
    write_source(folder, "a.h5", values((2, 3)))
    write_virtual(folder, (9, 2, 3), (4, "a.h5", None), fill=-9)
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert (found.manifest.nrefs, found.metadata.fill_value) == (1, -9)


def test_a_virtual_dataset_without_mappings_is_missing(folder: Folder) -> None:
    write_virtual(folder, (3, 4), fill=-9)
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].manifest.nrefs == 0
