from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from tests.parsers.hdf5.conftest import Folder
from tests.parsers.hdf5.virtual_files import (
    UNLIMITED,
    block,
    growing,
    series,
    values,
    write_mappings,
    write_source,
    write_virtual,
)
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog


def test_sources_in_the_same_file_are_found(folder: Folder) -> None:
    with h5py.File(folder / "main.h5", "w") as file:
        file["g/a"] = values((4,))
        file["soft"] = h5py.SoftLink("/g/a")
        for name, source in (("v", "g/a"), ("w", "/soft")):
            layout = h5py.VirtualLayout((2, 4), "i4")
            layout[1] = h5py.VirtualSource(".", source, (4,), "i4")
            file.create_virtual_dataset(name, layout, fillvalue=-1)
    group = folder.checked("main.h5", inline_limit_bytes=0)
    assert group.arrays["v"].manifest.locations == group["g/a"].manifest.locations  # type: ignore[union-attr]


def test_virtual_datasets_of_virtual_datasets_point_at_the_values(folder: Folder) -> None:
    write_source(folder, "a.h5", values((4, 6)), chunks=(2, 3))
    write_virtual(folder, (2, 4, 6), (1, "a.h5", None), fill=-1)
    (folder / "main.h5").rename(folder / "middle.h5")
    with h5py.File(folder / "main.h5", "w") as file:
        layout = h5py.VirtualLayout((3, 2, 4, 6), "i4")
        layout[2] = h5py.VirtualSource("middle.h5", "v", (2, 4, 6), "i4")
        file.create_virtual_dataset("v", layout, fillvalue=-1)
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert found.manifest.locations == (f"file://{folder.path}/a.h5",)
    assert found.metadata.chunk_shape == (1, 1, 2, 3)


def test_virtual_datasets_that_go_round_in_a_circle_are_refused(folder: Folder) -> None:
    for name, other in (("main.h5", "b.h5"), ("b.h5", "main.h5")):
        with h5py.File(folder / name, "w") as file:
            layout = h5py.VirtualLayout((4,), "i4")
            layout[:] = h5py.VirtualSource(other, "v", (4,), "i4")
            file.create_virtual_dataset("v", layout)
            layout = h5py.VirtualLayout((4,), "i4")
            layout[:] = h5py.VirtualSource(".", "self", (4,), "i4")
            file.create_virtual_dataset("self", layout)
    text = folder.refused("main.h5")
    assert "/v: it is a virtual dataset" in text
    assert "/self: it is a virtual dataset" in text
    assert text.count("round in a circle") == 2


def test_many_virtual_datasets_may_be_made_of_one(folder: Folder) -> None:
    write_source(folder, "a.h5", values((4,)))
    with h5py.File(folder / "main.h5", "w") as file:
        for number in range(40):
            layout = h5py.VirtualLayout((4,), "i4")
            layout[:] = h5py.VirtualSource("a.h5", "d", (4,), "i4")
            file.create_virtual_dataset(f"v{number}", layout)
    assert len(folder.checked("main.h5", inline_limit_bytes=0).arrays) == 40


@pytest.mark.parametrize(("depth", "is_taken"), [(10, True), (30, False)])
def test_virtual_datasets_are_followed_to_some_depth(folder: Folder, depth: int, is_taken: bool) -> None:
    with h5py.File(folder / "main.h5", "w") as file:
        file["v0"] = values((4,))
        for number in range(1, depth):
            layout = h5py.VirtualLayout((4,), "i4")
            layout[:] = h5py.VirtualSource(".", f"v{number - 1}", (4,), "i4")
            file.create_virtual_dataset(f"v{number}", layout)
    if is_taken:
        assert len(folder.checked("main.h5", inline_limit_bytes=0).arrays) == depth
    else:
        assert "too many others" in folder.refused("main.h5")


def test_sources_of_raw_files_and_of_compact_layout_are_taken(folder: Folder) -> None:
    (folder / "raw.bin").write_bytes(values((4,)).tobytes())
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", (4,), "i4", external=[("raw.bin", 0, 16)])
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_layout(h5d.COMPACT)
        h5d.create(file.id, b"compact", h5t.STD_I32LE, h5s.create_simple((4,)), plist).write(
            h5s.ALL, h5s.ALL, values((4,), 9)
        )
    layout = h5py.VirtualLayout((2, 4), "i4")
    for row, name in enumerate(("raw", "compact")):
        layout[row] = h5py.VirtualSource("a.h5", name, (4,), "i4")
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)
    found = folder.checked("main.h5", {"v": np.stack([values((4,)), values((4,), 9)])}).arrays["v"]
    assert found.manifest.location_ids.ravel().tolist() == [0, -2]


def test_a_source_that_is_not_there_is_refused_or_filled_as_asked(folder: Folder) -> None:
    for name in ("a.h5", "b.h5", "c.h5"):
        write_source(folder, name, values((3,)))
    write_virtual(folder, (3, 3), *((n, name, None) for n, name in enumerate(("a.h5", "b.h5", "c.h5"))))
    (folder / "b.h5").unlink()
    with h5py.File(folder / "c.h5", "w") as file:
        file["other"] = 1
    text = folder.refused("main.h5")
    assert "/v: it is a virtual dataset, and mapping 1 (from 'd' in 'b.h5') cannot be followed: " in text
    assert 'HDFParser(missing_sources="fill")' in text
    assert folder.checked("main.h5", missing_sources="fill").arrays["v"].manifest.nrefs == 1
    assert list(folder.checked("main.h5", unsupported="skip").skipped) == ["v"]


@pytest.mark.parametrize("damage", ["text", "cut", "shape", "kind"])
def test_a_source_that_cannot_be_read_costs_its_virtual_dataset_alone(folder: Folder, damage: str) -> None:
    write_source(folder, "a.h5", values((3,)))
    write_virtual(folder, (3,), (np.s_[:], "a.h5", None))
    with h5py.File(folder / "main.h5", "a") as file:
        file["good"] = values((4,))
    data = (folder / "a.h5").read_bytes()
    if damage == "shape":
        write_source(folder, "a.h5", values((2,)))
    elif damage == "kind":
        with h5py.File(folder / "a.h5", "w") as file:
            file.create_group("d")
    else:
        (folder / "a.h5").write_bytes(b"no HDF5" * 99 if damage == "text" else data[: len(data) // 2])
    group = folder.checked("main.h5", unsupported="skip", missing_sources="fill")
    assert (list(group.arrays), list(group.skipped)) == (["good"], ["v"])
    assert "a.h5" in group.skipped["v"]


def test_a_missing_absolute_name_is_looked_for_beside_the_file(folder: Folder) -> None:
    write_source(folder, "a.h5", values((3,)))
    layout = h5py.VirtualLayout((3,), "i4")
    layout[:] = h5py.VirtualSource("/not/here/a.h5", "d", (3,), "i4")
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)
    folder.checked("main.h5", inline_limit_bytes=0)


@pytest.mark.parametrize("numbers", [(), (0,), (0, 1, 2), (0, 1, 3)], ids=str)
def test_a_series_of_numbered_files_ends_before_the_first_that_is_not_there(
    folder: Folder, numbers: tuple[int, ...]
) -> None:
    for number in numbers:
        write_source(folder, f"100%-{number}.h5", values((4,), 10 * number))
    write_mappings(folder / "main.h5", (2, 4), (UNLIMITED, 4), series(b"100%%-%b.h5"))
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert found.shape == (len(numbers) - (3 in numbers), 4)


def test_a_series_of_numbered_datasets_is_found(folder: Folder) -> None:
    folder.write("a.h5", d0=values((4,)), d1=values((4,), 10), d3=values((4,), 30))
    write_mappings(folder / "main.h5", (2, 4), (UNLIMITED, 4), series(b"a.h5", b"d%b"))
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].shape == (2, 4)


def test_blocks_of_several_rows_in_turn_are_a_series(folder: Folder) -> None:
    for number in range(3):
        write_source(folder, f"{number}.h5", values((2, 4), 10 * number))
    virtual = block((2, 4), (UNLIMITED, 4), (1, 0), (UNLIMITED, 1), (3, 1), (2, 4))
    source = block((2, 4), (2, 4), (0, 0), (1, 1), (1, 1), (2, 4))
    write_mappings(folder / "main.h5", (2, 4), (UNLIMITED, 4), (virtual, b"%b.h5", b"d", source))
    assert folder.checked("main.h5").arrays["v"].shape == (9, 4)


@pytest.mark.parametrize("lengths", [(7, 3), (4, 4), (1, 6), (0, 0)], ids=str)
@pytest.mark.parametrize("kind", ["rows", "turns"])
def test_unlimited_sources_give_the_length_that_h5py_tells(folder: Folder, lengths: tuple[int, int], kind: str) -> None:
    mappings = []
    for number, length in enumerate(lengths):
        write_source(folder, f"{number}.h5", **growing(length))
        one = block((2,), (UNLIMITED,), (0,), (1,), (1,), (UNLIMITED,))
        many = block((2,), (UNLIMITED,), (0,), (UNLIMITED,), (1,), (1,))
        name = b"%d.h5" % number
        if kind == "rows":
            virtual = block((2, 2), (2, UNLIMITED), (number, 0), (1, 1), (1, 1), (1, UNLIMITED))
            mappings.append((virtual, name, b"d", one))
        else:
            mappings.append((block((2,), (UNLIMITED,), (number,), (UNLIMITED,), (2,), (1,)), name, b"d", many))
    shape, limits = ((2, 2), (2, UNLIMITED)) if kind == "rows" else ((2,), (UNLIMITED,))
    write_mappings(folder / "main.h5", shape, limits, *mappings)
    with h5py.File(folder / "main.h5") as file:
        expected = file["v"].shape
    assert folder.checked("main.h5").arrays["v"].shape == expected


def test_libhdf5_never_takes_the_remote_file_itself_for_a_source(folder: Folder) -> None:
    write_source(folder, "a.h5", **growing(5))
    virtual = block((2,), (UNLIMITED,), (0,), (1,), (1,), (UNLIMITED,))
    write_mappings(folder / "main.h5", (2,), (UNLIMITED,), (virtual, b"a.h5", b"d", virtual))
    with h5py.File(folder / "main.h5", "a") as file:
        file.create_dataset("d", **growing(9))  # the name of the source, in the file that names it
    assert folder.checked("main.h5", inline_limit_bytes=0).arrays["v"].shape == (5,)


def test_strings_and_structs_are_taken_from_sources(folder: Folder) -> None:
    struct = np.array([(1, 2.5), (3, 4.5)], [("a", "<i4"), ("b", "<f8")])
    folder.write("a.h5", s=np.array([b"ab", b"c"]), t=["x", "long ä"], r=struct, e=np.ones((2, 3, 3)))
    with h5py.File(folder / "a.h5") as sources, h5py.File(folder / "main.h5", "w") as file:
        for name in ("s", "t", "r"):
            layout = h5py.VirtualLayout((3, 2), sources[name].dtype)
            layout[1] = h5py.VirtualSource("a.h5", name, (2,), sources[name].dtype)
            file.create_virtual_dataset(name, layout)
    assert set(folder.checked("main.h5").arrays) == {"s", "t", "r"}


def test_arrays_as_elements_are_trailing_dimensions_on_both_sides(folder: Folder) -> None:
    dtype = np.dtype(("<i4", (3,)))
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("d", (2,), dtype)[...] = values((2, 3))
    with h5py.File(folder / "main.h5", "w") as file:
        layout = h5py.VirtualLayout((4, 2), dtype)
        layout[1] = h5py.VirtualSource("a.h5", "d", (2,), dtype)
        file.create_virtual_dataset("v", layout)
    found = folder.checked("main.h5", inline_limit_bytes=0).arrays["v"]
    assert (found.shape, found.metadata.chunk_shape) == ((4, 2, 3), (1, 2, 3))


def test_each_file_is_opened_once_for_all_virtual_datasets_and_closed(folder: Folder) -> None:
    names = ("p", "q", "r")
    for number in range(5):
        folder.write(f"{number}.h5", **{name: values((4,), number) for name in names})
    with h5py.File(folder / "main.h5", "w") as file:
        for name in names:
            layout = h5py.VirtualLayout((5, 4), "i4")
            for number in range(5):
                layout[number] = h5py.VirtualSource(f"{number}.h5", name, (4,), "i4")
            file.create_virtual_dataset(name, layout)
    log = RequestLog(open_source(str(folder / "main.h5")))
    HDFParser().parse(log)
    assert sorted(other.url for other in log.siblings) == [f"file://{folder.path}/{number}.h5" for number in range(5)]
    for other in log.siblings:
        with pytest.raises(Exception, match="was closed"):
            other.read(0, 1)


def test_no_value_of_a_source_is_read_for_references(folder: Folder) -> None:
    noise = np.random.default_rng(1).integers(0, 2**31, (4, 300, 300), dtype="i4")
    write_source(folder, "a.h5", noise)
    write_virtual(folder, (4, 300, 300), (np.s_[:, :, :], "a.h5", None))
    log = RequestLog(open_source(str(folder / "main.h5")))
    HDFParser().parse(log)
    (other,) = log.siblings
    assert other.nbytes < noise.nbytes / 4


def test_a_little_of_a_large_uncompressed_source_is_read_for_inlined_values(folder: Folder) -> None:
    noise = np.random.default_rng(1).integers(0, 2**31, (2000, 1500), dtype="i4")
    write_source(folder, "a.h5", noise)
    write_virtual(folder, (3, 50), (np.s_[:, :], "a.h5", np.s_[1000:1003, 700:800:2]))
    folder.checked("main.h5")
    log = RequestLog(open_source(str(folder / "main.h5")))
    HDFParser().parse(log)
    assert sum(other.nbytes for other in log.siblings) < noise.nbytes / 10


def test_too_much_of_a_source_is_not_read_for_inlined_values(folder: Folder) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("d", (2**12, 2**13), "i4", chunks=(2**12, 2**13), compression="gzip")[0, 0] = 1
    write_virtual(folder, (3,), (np.s_[:], "a.h5", np.s_[1000:1003, 700]))
    assert "bytes of its sources would have to be read" in folder.refused("main.h5")


def test_an_unlimited_virtual_dimension_scale_is_as_long_as_its_sources(folder: Folder) -> None:
    write_source(folder, "a.h5", **growing(5))
    virtual = block((2,), (UNLIMITED,), (0,), (1,), (1,), (UNLIMITED,))
    write_mappings(folder / "main.h5", (2,), (UNLIMITED,), (virtual, b"a.h5", b"d", virtual))
    with h5py.File(folder / "main.h5", "a") as file:
        file.create_dataset("d", **growing(9))  # what libhdf5 takes for the source where the file is remote
        file["v"].make_scale("v")
        file["w"] = values((5, 3))
        file["w"].dims[0].attach_scale(file["v"])
    folder.checked("main.h5")
    for group in (folder.checked("main.h5"), folder.remote("main.h5")):
        assert group.arrays["v"].shape == (5,)
        assert (group.arrays["w"].metadata.dimension_names or ())[0] == "v"
