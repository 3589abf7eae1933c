"""Parts of the combined dataset that no input gives, by their values, read by xarray and fsspec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.combine.virtual_files import combine, time_index, virtual_file
from vz_beam.combine.fragment import merge_fragments
from vz_beam.combine.schema import FailedInput
from vz_beam.errors import HolesError, InputError, MismatchError
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position
from vz_beam.writers.dataset_references import kerchunk_dict

DAY = np.timedelta64(1, "D")
START = np.datetime64("2001-01-01", "ns")


def write(path: Path, first: int, variables: Mapping[str, Any] | None = None, steps: int = 2) -> str:
    """A file of some days, and of ``v`` and ``count`` in chunks of one day."""
    shape = (steps, 3)
    values = np.arange(first, first + steps)[:, np.newaxis] * 10 + np.arange(3)
    data: Mapping[str, Any] = variables or {
        "v": (("time", "x"), values.astype("f4"), {"units": "K"}),
        "count": (("time", "x"), values.astype("i2"), {"units": "1"}),
    }
    dataset = xr.Dataset(
        dict(data), coords={"time": START + np.arange(first, first + steps) * DAY, "x": np.arange(3.0)}
    )
    encoding: dict[str, Any] = {name: {"chunksizes": (1, *shape[1:])} for name in data}
    if "count" in encoding:
        encoding["count"]["_FillValue"] = np.int16(-999)
    encoding["time"] = {"units": "days since 2000-01-01"}
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    return str(path)


def opened(files: Mapping[int, str], size: int, keys: Sequence[Any] = ()) -> list[tuple[Index, xr.Dataset]]:
    found = []
    for number, file in files.items():
        key = keys[number] if keys else None
        dataset = vz_beam.open_virtual_dataset(file)
        found.append((Index((Position("time", "concat", number, size, key),)), dataset))
    return found


def read(inputs: list[Any], failures: Sequence[FailedInput] = (), **choices: Any) -> xr.Dataset:
    layout, shards = combine(inputs, failures=failures, **choices)
    fragments = {
        path: merge_fragments([part for key, part in shards.items() if key.path == path], path)
        for path in layout.arrays
    }
    store: Any = kerchunk_dict(layout, fragments)
    with xr.open_dataset(store, engine="kerchunk") as dataset:
        return dataset.load()


@pytest.fixture
def files(tmp_path: Path) -> dict[int, str]:
    return {number: write(tmp_path / f"{number}.nc", 2 * number) for number in range(4)}


def expected(files: Mapping[int, str], absent: set[int]) -> xr.Dataset:
    parts = [xr.open_dataset(file, engine="h5netcdf").load() for file in files.values()]
    whole = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact")
    here = [number not in absent for number in files for _ in range(2)]
    return whole.where(xr.DataArray(here, dims="time"))


@pytest.mark.parametrize("absent", [{1}, {0}, {3}, {1, 2}, {0, 3}])
def test_an_absent_input_reads_as_missing_and_its_times_come_from_its_key(
    absent: set[int], files: dict[int, str]
) -> None:
    keys = [START + 2 * number * DAY for number in range(4)]
    here = {number: file for number, file in files.items() if number not in absent}
    gaps = [Index((Position("time", "concat", number, 4, keys[number]),)) for number in absent]
    ours, theirs = read(opened(here, 4, keys), holes="missing", absent=gaps), expected(files, absent)
    for name in ("v", "count", "time", "x"):
        np.testing.assert_array_equal(ours[name].values, theirs[name].values)
    assert np.isnan(ours["v"].values).sum() == 6 * len(absent)


def test_a_failed_input_keeps_its_place_where_holes_are_missing(files: dict[int, str]) -> None:
    failed = FailedInput(time_index(2, 4), files[2], "FormatError", "damaged", 1)
    here = opened({number: files[number] for number in (0, 1, 3)}, 4)
    ours = read(here, [failed], holes="missing")
    np.testing.assert_array_equal(ours["v"].values, expected(files, {2})["v"].values)
    assert np.isnat(ours["time"].values).tolist() == [False] * 4 + [True] * 2 + [False] * 2
    assert read(here, [failed]).sizes["time"] == 6
    layout, _ = combine(here, failures=[failed], holes="missing")
    assert any("time" in note and "no values for 1 absent" in note for note in layout.notes)
    assert any("1 of the pattern's inputs are absent" in note and "damaged" in note for note in layout.notes)


def test_keys_that_do_not_say_the_coordinate_of_all_inputs_say_none(files: dict[int, str]) -> None:
    keys = [START + 2 * number * DAY for number in range(3)] + [START + 400 * DAY]
    gap = Index((Position("time", "concat", 1, 4, START + 2 * DAY),))
    ours = read(opened({number: files[number] for number in (0, 2, 3)}, 4, keys), holes="missing", absent=[gap])
    assert np.isnat(ours["time"].values[2:4]).all()


def test_a_hole_and_a_chunk_that_was_never_written_are_two_things(tmp_path: Path) -> None:
    paths = []
    for number in range(2):
        paths.append(str(tmp_path / f"{number}.h5"))
        with h5py.File(paths[-1], "w") as file:
            variable = file.create_dataset("v", (2, 3), "i2", chunks=(1, 3), fillvalue=0, compression="gzip")
            variable.attrs["_FillValue"] = np.int16(-999)
            variable[1] = [7, -999, 8]
            for axis, name in enumerate(("time", "x")):
                file.create_dataset(name, data=np.arange(2.0 + axis)).make_scale(name)
                variable.dims[axis].attach_scale(file[name])
            file["time"][...] = [2 * number, 2 * number + 1]
    ours = read(opened({0: paths[0], 2: paths[1]}, 3), holes="missing")["v"].values
    nan = np.nan
    np.testing.assert_array_equal(ours, [[0, 0, 0], [7, nan, 8], [nan] * 3, [nan] * 3, [0, 0, 0], [7, nan, 8]])


def test_numbers_that_nothing_reads_as_missing_need_a_named_fill(tmp_path: Path) -> None:
    def file(number: int) -> str:
        values = np.array([[number, 1, 2], [3, 4, 5]], "i4")
        return write(tmp_path / f"{number}.nc", 2 * number, {"v": (("time", "x"), values)})

    inputs = opened({0: file(0), 2: file(2)}, 3)
    with pytest.raises(HolesError, match=r"'v' are missing.*int32.*fill_values=\{'v'"):
        combine(inputs, holes="missing")
    ours = read(inputs, holes="missing", fill_values={"v": -1})["v"].values
    np.testing.assert_array_equal(ours[:, 0], [0, 3, np.nan, np.nan, 2, 3])


def test_lengths_that_differ_do_not_tell_that_of_an_absent_input(tmp_path: Path) -> None:
    lengths = {0: 2, 1: 3, 3: 2}
    inputs = [(time_index(n, 4), virtual_file(n, steps=steps, chunk_steps=1)) for n, steps in lengths.items()]
    with pytest.raises(HolesError, match=r"time=2 .*2 in s3://archive/000.nc and 3 in s3://archive/001.nc"):
        combine(inputs, holes="missing")
    inputs = [(time_index(n, 4), virtual_file(n, steps=2 if n < 3 else 1, chunk_steps=1)) for n in (0, 1, 3)]
    layout, _ = combine(inputs, holes="missing", fill_values={"v": -1})
    assert layout.starts["time"].tolist() == [0, 2, 4, 6]
    assert layout.arrays["v"].metadata.shape == (7, 6)


def test_a_tile_of_two_dimensions_may_be_missing(tmp_path: Path) -> None:
    inputs = []
    for member, number in ((0, 0), (0, 1), (1, 0)):
        values = np.full((2, 3), 10 * member + number, "f8")
        path = write(tmp_path / f"{member}-{number}.nc", 2 * number, {"v": (("time", "x"), values)})
        index = Index((Position("member", "concat", member, 2, f"m{member}"), Position("time", "concat", number, 2)))
        inputs.append((index, vz_beam.open_virtual_dataset(path)))
    ours = read(inputs, holes="missing")
    assert ours["v"].dims == ("member", "time", "x")
    assert ours["member"].values.tolist() == ["m0", "m1"]
    np.testing.assert_array_equal(ours["v"].values[:, :, 0], [[0, 0, 1, 1], [10, 10, np.nan, np.nan]])


def test_variables_of_some_files_are_kept_or_left_out_as_asked(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3)
    parts = [{"a": values, "b": values}, {"a": values + 10}, {"a": values + 20, "b": values + 20}]
    files = {
        n: write(tmp_path / f"{n}.nc", 2 * n, {name: (("time", "x"), v) for name, v in part.items()})
        for n, part in enumerate(parts)
    }
    inputs = opened(files, 3)
    with pytest.raises(MismatchError, match=r"'b' is in .*0.nc and not in .*1.nc"):
        combine(inputs)
    union = read(inputs, variables="union")
    np.testing.assert_array_equal(union["a"].values, np.concatenate([values, values + 10, values + 20]))
    np.testing.assert_array_equal(union["b"].values, np.concatenate([values, values * np.nan, values + 20]))
    common = read(inputs, variables="intersection")
    assert set(common.data_vars) == {"a"}
    np.testing.assert_array_equal(common["a"].values, union["a"].values)
    layout, _ = combine(inputs, variables="intersection")
    assert any("'b' is left out" in note for note in layout.notes)


def test_choices_are_checked_before_anything_is_done() -> None:
    for wrong in ({"holes": "ignore"}, {"variables": "all"}, {"fill_values": [1]}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            vz_beam.CombineManifests(**wrong)
