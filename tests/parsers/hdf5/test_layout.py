from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import TruncatedFileError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks, check_inside_file
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import stored_values


def array(group: ManifestGroup, name: str = "v") -> ManifestArray:
    return group.arrays[name]


def low_level(file: h5py.File, values: np.ndarray, layout: int, **choices: int) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(layout)
    if "fill_time" in choices:
        plist.set_fill_time(choices["fill_time"])
    did = h5d.create(file.id, b"v", h5t.py_create(values.dtype), h5s.create_simple(values.shape), plist)
    did.write(h5s.ALL, h5s.ALL, values)


def test_a_contiguous_array_is_one_reference(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(24.0).reshape(4, 6)
    manifest = array(hdf5.checked()).manifest
    assert (manifest.grid_shape, manifest.nrefs) == ((1, 1), 1)


def test_partial_edge_chunks_keep_their_stored_size(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(35).reshape(5, 7), chunks=(2, 3))
    manifest = array(hdf5.checked()).manifest
    assert manifest.grid_shape == (3, 3)
    assert set(manifest.lengths.ravel().tolist()) == {48}


@pytest.mark.parametrize("shape", [(), (4, 6), (6000,)])
def test_compact_data_is_inlined_however_large(hdf5: Hdf5File, shape: tuple[int, ...]) -> None:
    with hdf5.write() as file:
        low_level(file, np.arange(np.prod(shape), dtype="f8").reshape(shape), h5d.COMPACT)
    manifest = array(hdf5.checked(inline_limit_bytes=0)).manifest
    assert manifest.locations == ()
    assert len(manifest.inlined) == 1


def test_compact_data_of_length_zero_has_no_chunk(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        low_level(file, np.empty((0, 3)), h5d.COMPACT)
    assert array(hdf5.checked()).manifest.nrefs == 0


@pytest.mark.parametrize("chunks", [None, (2,)])
def test_a_never_written_array_has_its_whole_grid_and_reads_as_its_fill(
    hdf5: Hdf5File, chunks: tuple[int, ...] | None
) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (5,), dtype="i2", chunks=chunks, fillvalue=-7)
    found = array(hdf5.checked())
    assert found.manifest.grid_shape == ((1,) if chunks is None else (3,))
    assert (found.manifest.nrefs, found.metadata.fill_value) == (0, -7)


def test_a_huge_never_written_array_costs_nothing(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (10**4, 10**4), dtype="f4", chunks=(1, 1))
    assert array(hdf5.parse()).manifest.nbytes < 100


def test_chunks_that_were_never_written_are_missing(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (6,), dtype="f4", chunks=(2,), fillvalue=5)[2:4] = 1
    assert array(hdf5.checked()).manifest.location_ids.tolist() == [-1, 0, -1]


def test_a_fill_time_of_never_leaves_the_fill_undefined(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        low_level(file, np.arange(3), h5d.CONTIGUOUS, fill_time=h5d.FILL_TIME_NEVER)
    assert array(hdf5.checked()).metadata.fill_value is None


@pytest.mark.parametrize("chunks", [None, (3, 512)])
def test_a_dimension_of_length_zero_makes_an_empty_grid(hdf5: Hdf5File, chunks: tuple[int, int] | None) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (3, 0), dtype="f4", chunks=chunks, maxshape=(3, None) if chunks else None)
    found = array(hdf5.checked())
    assert found.manifest.grid_shape == (1, 0)
    assert min(found.metadata.chunk_shape) >= 1


def test_a_chunk_larger_than_the_array_keeps_its_shape(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(5), chunks=(512,), maxshape=(None,))
    found = array(hdf5.checked())
    assert (found.metadata.chunk_shape, found.manifest.grid_shape) == ((512,), (1,))


def test_chunks_outside_a_shrunk_array_are_ignored(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.arange(100), chunks=(10,), maxshape=(None,)).resize((35,))
    assert array(hdf5.checked()).manifest.grid_shape == (4,)


def test_a_scalar_is_one_reference(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.float32(2.5)
    assert array(hdf5.checked()).manifest.grid_shape == ()


def test_offsets_count_from_the_start_of_the_file_behind_a_user_block(hdf5: Hdf5File) -> None:
    with hdf5.write(userblock_size=512) as file:
        file["contiguous"] = np.arange(7)
        file.create_dataset("chunked", data=np.arange(7), chunks=(3,), compression="gzip")
        file.create_dataset("inlined", data=np.array(["a", "bc"], dtype=object), dtype=h5py.string_dtype())
    assert list(hdf5.checked().arrays) == ["chunked", "contiguous", "inlined"]


def test_a_null_dataspace_is_refused_by_name(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = h5py.Empty("f4")
    with pytest.raises(UnsupportedError, match=r"/v: it has no values at all"):
        hdf5.parse()


SHAPES = (
    ((4, 12), (10, None), (2, 3)),
    ((4, 12), (None, 20), (2, 3)),
    ((4, 12), (4, 12), (2, 3)),
    ((4, 12), (20, 20), (2, 3)),
    ((4, 12), (None, None), (2, 3)),
    ((4, 12), (4, None), (4, 3)),
    ((4, 6, 4), (4, None, 9), (2, 3, 2)),
    ((4, 6, 4), (8, 9, None), (2, 3, 2)),
    ((4, 12), (4, 12), (4, 12)),
)


@pytest.mark.parametrize("written", ["all", "last row", "first row", "one chunk"])
@pytest.mark.parametrize(("shape", "limits", "chunks"), SHAPES)
@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_chunks_lie_where_they_belong_whatever_indexes_them(
    hdf5: Hdf5File,
    shape: tuple[int, ...],
    limits: tuple[int | None, ...],
    chunks: tuple[int, ...],
    version: str,
    written: str,
) -> None:
    values = np.arange(1, np.prod(shape) + 1, dtype="i4").reshape(shape)
    part: Any = {
        "all": np.s_[:],
        "last row": np.s_[-1:],
        "first row": np.s_[:1],
        "one chunk": tuple(slice(n - 1, n) for n in shape),
    }[written]
    with hdf5.write(libver=version) as file:
        dataset = file.create_dataset("v", shape, dtype="i4", maxshape=limits, chunks=chunks, fillvalue=-1)
        dataset[part] = values[part]
    hdf5.checked()


def test_a_chunk_behind_the_end_of_the_file_is_refused_with_both_sizes() -> None:
    columns = (np.array([0, 1]), np.array([10, 90], "u8"), np.array([20, 20], "u8"), np.array([0, 0]))
    with pytest.raises(TruncatedFileError, match=r"chunk 1 of '/v' lies at bytes 90 to 110, and the file has 100"):
        check_inside_file(StoredChunks(*columns), 100, "file:///a.nc", "/v")
    check_inside_file(StoredChunks(*columns), 110, "file:///a.nc", "/v")


def test_an_offset_near_64_bits_is_refused_rather_than_wrapped() -> None:
    columns = (np.array([0]), np.array([2**64 - 10], "u8"), np.array([20], "u8"), np.array([0]))
    with pytest.raises(TruncatedFileError, match="the file has 100"):
        check_inside_file(StoredChunks(*columns), 100, "file:///a.nc", "/v")


def test_a_variable_behind_its_unlimited_dimension_reads_as_fill_to_the_end(hdf5: Hdf5File) -> None:
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("t", None)
        file.createVariable("long", "i4", ("t",), chunksizes=(3,))[:] = np.arange(8)
        file.createVariable("short", "i4", ("t",), chunksizes=(3,), fill_value=-5)[:] = np.arange(4)
    group = hdf5.parse()
    with netCDF4.Dataset(hdf5.path) as file:
        file.set_auto_mask(False)
        expected = file["short"][:]
    assert expected.tolist() == [0, 1, 2, 3, -5, -5, -5, -5]
    assert stored_values(ManifestStore(group))["short"].tolist() == expected.tolist()
