from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5f, h5p

from tests.parsers.hdf5.conftest import Folder
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog

VALUES = np.arange(60, dtype="<i4").reshape(5, 3, 4)


def write(folder: Folder, *segments: tuple[str, int, int], dtype: str = "<i4", **choices: object) -> None:
    """A dataset in raw files, which hold the values behind as many bytes as the segments say."""
    data = VALUES.astype(dtype).tobytes()
    for name, offset, size in segments:
        length = min(size, len(data))
        with open(folder / name, "ab") as file:
            file.truncate(offset)
            file.write(data[:length])
        data = data[length:]
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_dataset("v", VALUES.shape, dtype=dtype, external=list(segments), **choices)


def expected(dtype: str = "<i4") -> dict[str, np.ndarray]:
    # h5py looks for raw files in the working folder; the tests must not depend on that
    return {"v": VALUES.astype(dtype)}


def test_one_raw_file_is_one_reference(folder: Folder) -> None:
    write(folder, ("raw.bin", 16, h5f.UNLIMITED))
    manifest = folder.checked("main.h5", expected()).arrays["v"].manifest
    assert manifest.dict() == {"0.0.0": {"path": f"file://{folder.path}/raw.bin", "offset": 16, "length": 240}}


def test_h5py_reads_the_same_where_it_is_told_to_look_beside_the_file(folder: Folder) -> None:
    write(folder, ("a.bin", 0, 96), ("b.bin", 8, h5f.UNLIMITED))
    access = h5p.create(h5p.DATASET_ACCESS)
    access.set_efile_prefix(b"${ORIGIN}")
    with h5py.File(folder / "main.h5") as file:
        assert h5py.Dataset(h5py.h5d.open(file.id, b"v", access))[()].tolist() == VALUES.tolist()


@pytest.mark.parametrize(
    ("sizes", "chunk_shape"),
    [
        ((48, 48, 48, 48, 48), (1, 3, 4)),
        ((96, 144), (1, 3, 4)),
        ((240,), (5, 3, 4)),
    ],
)
@pytest.mark.parametrize("dtype", ["<i4", ">f4"])
def test_rows_in_several_raw_files_are_chunks(
    folder: Folder, sizes: tuple[int, ...], chunk_shape: tuple[int, ...], dtype: str
) -> None:
    write(folder, *((f"{number}.bin", number, size) for number, size in enumerate(sizes)), dtype=dtype)
    found = folder.checked("main.h5", expected(dtype)).arrays["v"]
    assert found.metadata.chunk_shape == chunk_shape
    assert not found.manifest.inlined


def test_chunks_smaller_than_their_references_are_inlined(folder: Folder) -> None:
    write(folder, ("a.bin", 0, 16), ("b.bin", 0, 224))
    assert list(folder.checked("main.h5", expected()).arrays["v"].manifest.inlined) == [0]


def test_rows_of_the_second_dimension_are_chunks_too(folder: Folder) -> None:
    values = np.arange(240, dtype="<i4").reshape(2, 6, 20)
    (folder / "a.bin").write_bytes(values[0, :2].tobytes())
    (folder / "b.bin").write_bytes(values.tobytes()[160:])
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_dataset("v", values.shape, dtype="<i4", external=[("a.bin", 0, 160), ("b.bin", 0, 800)])
    assert folder.checked("main.h5", {"v": values}).arrays["v"].metadata.chunk_shape == (1, 2, 20)


def test_two_stretches_of_one_raw_file_are_one_location(folder: Folder) -> None:
    write(folder, ("raw.bin", 0, 96), ("raw.bin", 200, 144))
    manifest = folder.checked("main.h5", expected()).arrays["v"].manifest
    assert manifest.locations == (f"file://{folder.path}/raw.bin",)
    assert manifest.offsets.ravel().tolist() == [0, 48, 200, 248, 296]


def test_borders_within_elements_are_inlined_where_that_is_little(folder: Folder) -> None:
    write(folder, ("a.bin", 0, 50), ("b.bin", 0, h5f.UNLIMITED))
    assert list(folder.checked("main.h5", expected()).arrays["v"].manifest.inlined) == [0]
    text = folder.refused("main.h5", inline_limit_bytes=239)
    assert "/v: its values lie in 2 external raw files, at whose borders no chunk can end, and 240 bytes" in text


def test_raw_files_that_are_not_there_are_named(folder: Folder) -> None:
    write(folder, ("a.bin", 0, 96), ("b.bin", 0, h5f.UNLIMITED))
    (folder / "b.bin").unlink()
    assert "'b.bin' cannot be read" in folder.refused("main.h5")


def test_raw_files_that_are_too_short_are_named_with_their_size(folder: Folder) -> None:
    write(folder, ("a.bin", 4, h5f.UNLIMITED))
    (folder / "a.bin").write_bytes(bytes(243))
    assert "'a.bin'" in (text := folder.refused("main.h5"))
    assert "has 243 bytes where bytes 4 to 244 are needed" in text


def test_the_raw_file_of_a_name_that_the_working_folder_has_as_well_is_that_beside_the_file(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, ("raw.bin", 0, h5f.UNLIMITED))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/raw.bin").write_bytes(bytes(240))
    monkeypatch.chdir(folder / "elsewhere")
    folder.checked("main.h5", expected())


def test_an_absolute_name_is_followed_and_else_the_file_beside(folder: Folder) -> None:
    (folder / "sub").mkdir()
    raw = folder / "sub/raw.bin"
    raw.write_bytes(VALUES.tobytes())
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_dataset("v", VALUES.shape, dtype="<i4", external=[(str(raw), 0, h5f.UNLIMITED)])
    assert "raw.bin' cannot be read" in _remote_refusal(folder)
    raw.rename(folder / "raw.bin")
    folder.checked("main.h5", expected())


def _remote_refusal(folder: Folder) -> str:
    with pytest.raises(Exception, match="raw files") as caught:
        folder.remote("main.h5")
    return str(caught.value)


def test_types_that_only_libhdf5_reads_are_refused_in_raw_files(folder: Folder) -> None:
    (folder / "raw.bin").write_bytes(bytes(240))
    space_padded = h5py.h5t.C_S1.copy()
    space_padded.set_size(4)
    space_padded.set_strpad(h5py.h5t.STR_SPACEPAD)
    with h5py.File(folder / "main.h5", "w") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_external(b"raw.bin", 0, h5f.UNLIMITED)
        h5py.h5d.create(file.id, b"v", space_padded, h5py.h5s.create_simple((60,)), plist)
    assert "/v: its values lie in external raw files, and its strings are padded" in folder.refused("main.h5")


def test_no_byte_of_a_raw_file_is_read_for_references(folder: Folder) -> None:
    write(folder, ("a.bin", 0, 96), ("b.bin", 0, h5f.UNLIMITED))
    log = RequestLog(open_source(str(folder / "main.h5")))
    HDFParser().parse(log)
    assert sorted(other.url[-5:] for other in log.siblings) == ["a.bin", "b.bin"]
    assert [other.requests for other in log.siblings] == [[], []]


def test_an_empty_array_needs_no_raw_file(folder: Folder) -> None:
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_dataset("v", (0, 3), dtype="i4", external=[("raw.bin", 0, h5f.UNLIMITED)])
    folder.checked("main.h5", {"v": np.empty((0, 3), "i4")})
