"""Files that other tools read to wrong values or lose parts of, through a whole build and an ordinary reader.

The numbers are those of the project's list of such cases, parts B, C, F, G and H.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import vz_beam
from vz_beam.errors import StoreMismatchError

VALUES = np.arange(24.0).reshape(4, 6)


def built(files: list[Path], store: Path, **choices: Any) -> xr.Dataset:
    """The store of the files along ``y`` as xarray reads it."""
    vz_beam.build(list(map(str, files)), store, mode="overwrite", progress=False, **choices)
    with xr.open_dataset(str(store), engine="kerchunk", decode_cf=False) as opened:
        return opened.load()


def write_compact(file: h5py.File) -> None:
    space = h5py.h5s.create_simple((4, 6))
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    h5py.Dataset(h5py.h5d.create(file.id, b"v", h5py.h5t.NATIVE_DOUBLE, space, plan))[...] = VALUES


def write_never_written(file: h5py.File) -> None:
    file.create_dataset("v", (4, 6), "f8", chunks=(2, 3), fillvalue=-1.0)


def write_half_written(file: h5py.File) -> None:
    file.create_dataset("v", (4, 6), "f8", chunks=(2, 3), fillvalue=-1.0)[2:, 3:] = VALUES[2:, 3:]


def write_masked(file: h5py.File) -> None:
    """One of four chunks skips both filters, as those do that cannot be compressed."""
    data = file.create_dataset("v", data=VALUES, chunks=(2, 3), compression="gzip", shuffle=True)
    data.id.write_direct_chunk((0, 3), np.ascontiguousarray(VALUES[:2, 3:]).tobytes(), 0b11)


def write_lzf_noise(file: h5py.File) -> None:
    """Noise, of which lzf makes nothing shorter, so that HDF5 skips it chunk by chunk."""
    noise = np.random.default_rng(0).bytes(4 * 6 * 8)
    file.create_dataset("v", data=np.frombuffer(noise, "<u8").reshape(4, 6), chunks=(2, 3), compression="lzf")


@pytest.mark.parametrize("suffix", ["parquet", "json"])
@pytest.mark.parametrize(
    "write", [write_compact, write_never_written, write_half_written, write_masked, write_lzf_noise]
)
def test_cases_46_to_49_layouts_and_masks_of_hdf5_have_the_values_that_h5py_reads(
    write: Callable[[h5py.File], None], suffix: str, tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.h5" for name in "ab"]
    with h5py.File(files[0], "w") as file:
        write(file)
    with h5py.File(files[1], "w") as file:
        if write is write_compact:
            write_compact(file)
        else:  # as in a series in which one file lacks what the others have
            known = h5py.File(files[0])["v"]
            plan = {"chunks": known.chunks, "compression": known.compression, "shuffle": known.shuffle}
            file.create_dataset("v", data=100 + VALUES.astype(known.dtype), fillvalue=known.fillvalue, **plan)
    expected = np.concatenate([h5py.File(path)["v"][...] for path in files])
    ours = built(files, tmp_path / f"store.{suffix}", concat_dim="phony_dim_0")
    np.testing.assert_array_equal(ours["v"].values, expected)


@pytest.mark.parametrize("kind", ["raw file", "virtual dataset"])
def test_case_47_values_in_other_files_are_read_from_there(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    if kind == "raw file":
        (tmp_path / "v.raw").write_bytes(VALUES.tobytes())
        with h5py.File(path, "w") as file:
            file.create_dataset("v", (4, 6), "f8", external=[("v.raw", 0, VALUES.nbytes)])
    else:
        layout = h5py.VirtualLayout((4, 6), "f8")
        for row in range(4):
            with h5py.File(tmp_path / f"{row}.h5", "w") as file:
                file["row"] = VALUES[row]
            layout[row] = h5py.VirtualSource(f"{row}.h5", "row", (6,))
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("v", layout, fillvalue=-1)
    ours = built([path], tmp_path / "store.parquet")
    np.testing.assert_array_equal(ours["v"].values, VALUES)


def test_case_52_attributes_are_those_of_the_file(tmp_path: Path) -> None:
    written = {"NAME": "of the user", "CLASS": "B", "kind": "DIMENSION_SCALE", "empty": "", "one": [3], "two": [1.5, 2]}
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["v"] = VALUES
        for name, value in written.items():
            file["v"].attrs[name] = value
    ours = built([tmp_path / "v.h5"], tmp_path / "store.parquet")
    # one element is a scalar, as netCDF has it
    assert {name: ours["v"].attrs[name] for name in written} == {**written, "one": 3}


def test_case_55_texts_of_any_length_are_read(tmp_path: Path) -> None:
    texts = ["a", "", "äöü — 日本", "x" * 300]
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("s", data=[f"{number}{text}" for text in texts], dtype=h5py.string_dtype())
    ours = built([tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / "store.parquet", concat_dim="phony_dim_0")
    assert ours["s"].values.tolist() == [f"{number}{text}" for number in range(2) for text in texts]


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
def test_case_19_fill_values_of_netcdf3_are_missing(form: Any, tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "v.nc", "w", format=form) as file:
        file.createDimension("x", 4)
        file.createVariable("v", "i2", ("x",), fill_value=-99)[:] = [0, 1, -99, 3]
    vz_beam.build([str(tmp_path / "v.nc")], tmp_path / "store.parquet", progress=False)
    with xr.open_dataset(str(tmp_path / "store.parquet"), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["v"].values, [0, 1, np.nan, 3])


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA"])
def test_case_64_attributes_of_netcdf3_keep_their_types(form: Any, tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "v.nc", "w", format=form) as file:
        file.createDimension("x", 2)
        v = file.createVariable("v", "f4", ("x",))
        v[:] = [1, 2]
        v.valid_range = np.array([0, 100], "f4")
        v.count = np.int32(3)
    ours = built([tmp_path / "v.nc"], tmp_path / "store.parquet")
    assert (list(ours["v"].attrs["valid_range"]), ours["v"].attrs["count"]) == ([0.0, 100.0], 3)
    assert not isinstance(ours["v"].attrs["count"], str)


@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_case_21_fills_that_no_attribute_names_are_shown_and_counted(dtype: Any, tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "v.nc", "w") as file:
        file.createDimension("x", 4)
        file.createVariable("v", dtype, ("x",), chunksizes=(4,))[:2] = [1, 2]
    store = tmp_path / "store.parquet"
    vz_beam.build([str(tmp_path / "v.nc")], store, progress=False)
    with (
        xr.open_dataset(str(store), engine="kerchunk") as ours,
        xr.open_dataset(tmp_path / "v.nc", engine="h5netcdf") as theirs,
    ):
        np.testing.assert_array_equal(ours["v"].values, theirs["v"].values)
        assert not np.isnan(ours["v"].values).any()
    found = vz_beam.verify_store(str(store))
    assert found.default_fills == {"v": 2}
    assert "'v': 2 compared elements are netCDF's fill value, which no attribute names" in str(found)


@pytest.mark.parametrize("suffix", ["parquet", "json", "zarr", "icechunk"])
def test_case_13_times_of_another_epoch_are_appended_as_times_or_refused(suffix: str, tmp_path: Path) -> None:
    files = []
    for number, epoch in enumerate(("2000-01-01", "2000-01-05")):
        files.append(str(tmp_path / f"{number}.nc"))
        with h5py.File(files[-1], "w") as file:
            file.create_dataset("time", data=np.arange(4.0)).make_scale("time")
            file["time"].attrs["units"] = f"days since {epoch}"
            file.create_dataset("v", data=np.arange(4.0) + 4 * number, chunks=(2,)).dims[0].attach_scale(file["time"])
    loaded, virtual = tmp_path / f"loaded.{suffix}", tmp_path / f"virtual.{suffix}"
    choices: dict[str, Any] = {"concat_dim": "time", "progress": False}
    for count in (1, 2):
        vz_beam.build(files[:count], loaded, mode="create" if count == 1 else "append", **choices)
    with xr.open_dataset(str(loaded), engine="vz_beam") as ours:
        days = np.arange("2000-01-01", "2000-01-09", dtype="M8[D]")
        np.testing.assert_array_equal(ours["time"].values, days.astype("M8[ns]"))
    vz_beam.build(files[:1], virtual, loadable_variables=[], **choices)
    with pytest.raises(StoreMismatchError, match=r"2000-01-01.*2000-01-05"):
        vz_beam.build(files, virtual, mode="append", loadable_variables=[], **choices)


def test_case_73_the_name_of_a_group_changes_no_text(tmp_path: Path) -> None:
    zarray = {
        "zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "<i2", "compressor": None, "filters": None,
        "fill_value": None, "order": "C",
    }  # fmt: skip
    attributes = {"_ARRAY_DIMENSIONS": ["x"], "units": "mg/l", "long_name": "kg/m3 of g/ in g"}
    references = {
        ".zgroup": '{"zarr_format": 2}', "g/.zgroup": '{"zarr_format": 2}', "g/v/.zarray": json.dumps(zarray),
        "g/v/.zattrs": json.dumps(attributes), "g/v/0": "base64:Zy9nLw==",
    }  # fmt: skip
    (tmp_path / "refs.json").write_text(json.dumps({"version": 1, "refs": references}))
    with xr.open_dataset(str(tmp_path / "refs.json"), engine="vz_beam", group="g") as ours:
        assert (ours["v"].attrs["units"], ours["v"].attrs["long_name"]) == ("mg/l", "kg/m3 of g/ in g")
        assert ours["v"].values.tobytes() == b"g/g/"
