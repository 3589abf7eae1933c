"""Datasets and trees in Icechunk: what is read back is what the files hold."""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.errors import ContainsGroupError

import vz_beam
from tests.daily_series import read_series, write_series
from tests.icechunk_stores import assert_same, new_repository, read, write
from vz_beam.errors import InputError, InputTypeError, StoreExistsError, UnsupportedError
from vz_beam.manifests import ArrayMetadata, ChunkManifest, ManifestArray
from vz_beam.writers.icechunk_nodes import members_of, read_document


def virtual(data: ManifestArray, *dims: str, **attributes: Any) -> xr.Variable:
    return xr.Variable(dims, data, attributes)


def write_everything(path: Path) -> None:
    """All kinds of variables that references express, by netCDF-4's own library."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", 6)
        file.createDimension("y", 5)
        values = np.arange(30).reshape(6, 5)
        for name, dtype, options in (
            ("zlib", "f4", {"zlib": True, "shuffle": True, "chunksizes": (2, 3)}),
            ("fletcher", "i8", {"fletcher32": True, "chunksizes": (3, 5)}),
            ("big", ">f8", {"endian": "big", "chunksizes": (4, 4), "zlib": True}),
            ("whole", "u2", {"contiguous": True}),
            ("packed", "i2", {"fill_value": -999, "chunksizes": (2, 2)}),
        ):
            variable = file.createVariable(name, dtype, ("x", "y"), **options)
            variable.set_auto_maskandscale(False)
            variable[:] = values
        file["packed"][2, 2] = -999
        file["packed"].setncatts({"scale_factor": 0.1, "add_offset": 5.0, "units": "K"})
        file["zlib"].setncatts({"missing_value": np.float32(np.nan), "valid_range": np.array([0, 99], "f4")})
        texts: Any = np.array(["a", "", "é", "dd", "e", "f"], object)
        file.createVariable("texts", str, ("x",))[:] = texts
        file.createVariable("letters", "S1", ("x",))[:] = np.array(list("abcdef"), "S1")
        file.createVariable("crs", "i4", ())[...] = 7
        file.createVariable("lat", "f8", ("x", "y"))[:] = values / 2
        file["zlib"].coordinates = "lat"
        never = file.createVariable("never", "f4", ("x",), chunksizes=(2,), fill_value=-1)
        never[4:] = [8, 9]
        file.createVariable("x", "f8", ("x",))[:] = np.linspace(0, 1, 6)
        file.title = "everything"


@pytest.mark.parametrize("loadable", [None, [], ["lat", "texts", "packed", "crs", "letters"]])
@pytest.mark.parametrize("group", [None, "a/b"])
def test_values_and_attributes_are_those_of_the_file(tmp_path: Path, group: str | None, loadable: Any) -> None:
    path, repository = tmp_path / "a#b %20.nc", new_repository(tmp_path)
    write_everything(path)
    dataset = vz_beam.open_virtual_dataset(path, loadable_variables=loadable)
    write(repository, dataset, group=group)
    with xr.open_dataset(path, engine="h5netcdf") as expected, read(repository, group=group) as ours:
        assert_same(ours, expected)
        assert set(ours.coords) == set(expected.coords)
        assert ours.attrs == expected.attrs
        for name, variable in expected.variables.items():
            expected_attributes = {k: np.asarray(v).tolist() for k, v in variable.attrs.items()}
            assert {k: np.asarray(v).tolist() for k, v in ours[name].attrs.items()} == expected_attributes, name


def test_a_missing_chunk_is_no_reference_and_reads_as_the_fill(tmp_path: Path) -> None:
    write_everything(tmp_path / "a.nc")
    repository = new_repository(tmp_path)
    write(repository, vz_beam.open_virtual_dataset(tmp_path / "a.nc")[["never"]])
    session = repository.readonly_session("main")

    async def keys() -> list[tuple[int, ...]]:
        return [tuple(index) async for index in session.chunk_coordinates("/never")]

    assert zarr.core.sync.sync(keys()) == [(2,)]
    assert read(repository, mask_and_scale=False)["never"].values.tolist() == [-1, -1, -1, -1, 8, 9]


def test_inlined_chunks_are_chunks_of_the_store_and_scalars_are_right(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(np.arange(4, dtype=">i4").tobytes())
    url = f"file://{tmp_path}/f.bin"
    big: dict[str, Any] = {"dtype": np.dtype("i4"), "byte_order": "big"}
    mixed = ManifestArray(
        ArrayMetadata((5,), chunk_shape=(2,), fill_value=np.int32(-5), **big),
        {
            "0": {"path": url, "offset": 8, "length": 8},
            "1": {"path": "__inlined__", "offset": 0, "length": 8, "data": np.array([7, 8], ">i4").tobytes()},
        },
    )
    scalar = ManifestArray(ArrayMetadata((), chunk_shape=(), **big), ChunkManifest.single((), url, 12, 4))
    inlined = ManifestArray(
        ArrayMetadata((), chunk_shape=(), **big), ChunkManifest.from_inlined((), {0: np.array(9, ">i4").tobytes()})
    )
    repository = new_repository(tmp_path)
    write(
        repository, xr.Dataset({"mixed": virtual(mixed, "x"), "scalar": virtual(scalar), "inlined": virtual(inlined)})
    )
    ours = read(repository)
    assert ours["mixed"].values.tolist() == [2, 3, 7, 8, -5]
    assert (ours["scalar"].item(), ours["inlined"].item()) == (3, 9)
    session = repository.readonly_session("main")
    kinds = [str(session.chunk_type("/mixed", [number])).rpartition(".")[2].lower() for number in range(3)]
    assert kinds == ["virtual", "inline", "uninitialized"]


def test_a_loaded_array_of_many_chunks_is_compressed_and_right(tmp_path: Path) -> None:
    values = np.arange(3_000_000, dtype="f8")
    repository = new_repository(None)
    with pytest.warns(UserWarning, match="no virtual variable"):
        write(repository, xr.Dataset({"v": ("x", values), "t": ("x", values.astype("M8[s]"))}))
    np.testing.assert_array_equal(read(repository)["v"].values, values)
    document: Any = read_document(repository.readonly_session("main").store, "v")
    assert document["chunk_grid"]["configuration"] == {"chunk_shape": [2**21]}
    assert [codec["name"] for codec in document["codecs"]] == ["bytes", "zstd"]


def test_a_tree_is_written_node_after_node(tmp_path: Path) -> None:
    path, repository = tmp_path / "tree.nc", new_repository(tmp_path)
    with h5py.File(path, "w") as file:
        for group, offset in (("", 0), ("a", 10), ("a/b", 20)):
            where = file.require_group(group or "/")
            where.create_dataset("v", data=np.arange(4, dtype="i2") + offset, chunks=(2,))
            where.attrs["n"] = offset
        file["x"] = np.arange(4.0)
        file["x"].make_scale("x")
        for group in ("", "a/", "a/b/"):
            file[f"{group}v"].dims[0].attach_scale(file["x"])
    tree = vz_beam.open_virtual_datatree(path)
    with xr.open_datatree(path, engine="h5netcdf") as expected:
        write(repository, tree)
        store: Any = repository.readonly_session("main").store
        with xr.open_datatree(store, engine="zarr", consolidated=False, chunks=None) as ours:
            assert ours.identical(expected.load())
        write(repository, tree, mode="w", write_inherited_coords=True)
        assert "x" in read(repository, group="a/b").coords
        assert sorted(members_of(repository.readonly_session("main").store, "a/b")) == ["v", "x"]
    with pytest.raises(TypeError, match="nonsense"):
        tree.vz.to_icechunk(repository.writable_session("main").store, nonsense=1)


def test_modes_refuse_replace_and_add(tmp_path: Path) -> None:
    files, repository = write_series(tmp_path, 2), new_repository(tmp_path)
    first, second = (vz_beam.open_virtual_dataset(file) for file in files)
    write(repository, first)
    for choices in ({}, {"mode": "w-"}):
        with pytest.raises(ContainsGroupError, match="is in the store already"):
            write(repository, second, **choices)
    with pytest.raises(StoreExistsError):
        write(repository, second)
    assert_same(read(repository), read_series(files[:1]))
    write(repository, second[["t"]], mode="a")
    expected = read_series(files[1:])
    np.testing.assert_array_equal(read(repository)["t"].values, expected["t"].values)
    np.testing.assert_array_equal(read(repository)["p"].values, read_series(files[:1])["p"].values)
    write(repository, second[["p"]], mode="w")
    assert set(read(repository).data_vars) == {"p"}
    write(repository, first, group="below")
    write(repository, second, group="below/deeper")
    write(repository, second[["p"]], mode="w", group="below")
    assert_same(read(repository, group="below"), expected[["p"]])
    with pytest.raises(FileNotFoundError):
        read(repository, group="below/deeper")
    with pytest.raises(InputError, match="dimension 'time' has length 4"):
        write(repository, first.isel(time=slice(0, 2))[["t"]], mode="a")
    with pytest.raises(InputError, match="'x' is not one of"):
        write(repository, first, mode="x")
    with pytest.raises(ValueError, match="an array stands at 'p'"):
        write(repository, first, group="p/deeper")


def test_what_is_no_writable_icechunk_store_is_refused(tmp_path: Path) -> None:
    files, repository = write_series(tmp_path, 1), new_repository(tmp_path)
    dataset = vz_beam.open_virtual_dataset(files[0])
    with pytest.raises(TypeError, match="needs an IcechunkStore, not a MemoryStore"):
        dataset.vz.to_icechunk(zarr.storage.MemoryStore())
    with pytest.raises(InputTypeError, match=r"session\.store"):
        dataset.vz.to_icechunk(repository.writable_session("main"))
    with pytest.raises(ValueError, match="read-only"):
        dataset.vz.to_icechunk(repository.readonly_session("main").store)
    store = repository.writable_session("main").store
    with pytest.raises(ValueError, match="exclude each other"):
        dataset.vz.to_icechunk(store, append_dim="time", region="auto")
    for choice in ({"append_dim": "time"}, {"region": "auto"}):
        with pytest.raises(ValueError, match="does not go with"):
            dataset.vz.to_icechunk(store, mode="w", **choice)


def test_a_file_without_a_container_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    files = write_series(tmp_path / "in", 1)
    dataset = vz_beam.open_virtual_dataset(files[0])
    (tmp_path / "other").mkdir()
    for repository, known in ((new_repository(None), "none at all"), (new_repository(tmp_path / "other"), "other/")):
        session = repository.writable_session("main")
        with pytest.raises(ValueError, match=f"no virtual chunk container .*{known}") as caught:
            dataset.vz.to_icechunk(session.store)
        assert f"file://{tmp_path}/in/" in str(caught.value)
        assert not session.has_uncommitted_changes
        dataset.vz.to_icechunk(session.store, validate_containers=False)
        session.commit("written")
        with pytest.raises(Exception, match="no virtual chunk container"):
            read(repository)["p"].load()


def test_attributes_that_json_cannot_say_are_all_refused_before_anything_is_written(tmp_path: Path) -> None:
    files, repository = write_series(tmp_path, 1), new_repository(tmp_path)
    dataset = vz_beam.open_virtual_dataset(files[0])
    dataset["p"].attrs["actual_range"] = [1.0, float("nan")]
    dataset["time"].attrs["offset"] = np.inf
    dataset.attrs["limit"] = np.float32("nan")
    session = repository.writable_session("main")
    with pytest.raises(UnsupportedError) as caught:
        dataset.vz.to_icechunk(session.store)
    for name in ("'actual_range'", "'offset'", "'limit'", "del dataset['p'].attrs"):
        assert name in str(caught.value)
    assert not session.has_uncommitted_changes


@pytest.mark.parametrize(
    ("choice", "is_refused"),
    [
        (None, True),
        ("unchecked", False),
        (datetime(2030, 1, 1, tzinfo=UTC), True),
        (datetime(2200, 1, 1, tzinfo=UTC), False),
        ({"there": None}, False),
        ({"there": datetime(2030, 1, 1, tzinfo=UTC)}, True),
        ({}, True),
    ],
)
def test_a_file_that_changed_afterwards_is_refused_by_readers(tmp_path: Path, choice: Any, is_refused: bool) -> None:
    files, repository = write_series(tmp_path, 1), new_repository(tmp_path)
    dataset = vz_beam.open_virtual_dataset(files[0])
    if isinstance(choice, dict):
        choice = {f"file://{files[0]}": mark for mark in choice.values()}
    os.utime(files[0], (1_000_000_000.25, 1_000_000_000.25))
    write(repository, dataset, last_updated_at=choice)
    np.testing.assert_array_equal(read(repository)["p"].values, read_series(files)["p"].values)
    os.utime(files[0], (2_000_000_000, 2_000_000_000))
    if is_refused:
        with pytest.raises(Exception, match="checksum"):
            read(repository)["p"].load()
    else:
        read(repository)["p"].load()


def test_a_time_without_zone_and_words_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path, 1)
    dataset = vz_beam.open_virtual_dataset(files[0])
    store = new_repository(tmp_path).writable_session("main").store
    for choice, message in ((datetime(2030, 1, 1), "no time zone"), ("never", "'unchecked'"), (3, "not a int")):
        with pytest.raises(ValueError, match=message):
            dataset.vz.to_icechunk(store, last_updated_at=choice)


def test_an_empty_dataset_and_empty_dimensions_are_written(tmp_path: Path) -> None:
    metadata = ArrayMetadata((0, 3), np.dtype("f4"), (1, 3))
    empty = ManifestArray(metadata, ChunkManifest.empty(metadata.chunk_grid.grid_shape))
    repository = new_repository(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(repository, xr.Dataset({"v": virtual(empty, "t", "x", units="m")}, attrs={"a": 1}))
    assert read(repository)["v"].shape == (0, 3)
    with pytest.warns(UserWarning, match="no virtual variable"):
        write(repository, xr.Dataset(attrs={"only": "attributes"}), mode="w")
    assert read(repository).attrs == {"only": "attributes"}
