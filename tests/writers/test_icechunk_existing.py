"""Datasets at the end of, or over a part of, what an Icechunk store has; all that differs is refused beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.daily_series import read_series, write_series
from tests.icechunk_stores import assert_same, new_repository, read, write
from vz_beam.errors import InputError, StoreMismatchError


def write_file(path: Path, times: list[int], change: Callable[[h5py.File], None] | None = None, **choices: Any) -> str:
    """``v(time, x)`` in chunks of two times, ``area(x)``, ``x`` and ``time``; values of ``v`` are time * 10 + x."""
    with h5py.File(path, "w") as file:
        file["time"] = np.array(times, choices.get("time_type", "f8"))
        file["time"].attrs["units"] = choices.get("units", "days since 2000-01-01")
        file["x"] = np.array(choices.get("x", [0, 1, 2]))
        file["area"] = np.array(choices.get("area", [0.0, 1, 2]))
        values = np.array(times)[:, np.newaxis] * 10 + np.arange(3)
        options: dict[str, Any] = {"chunks": (2, 3), "compression": "gzip", "fillvalue": -1, "maxshape": (None, 3)}
        options |= choices.get("options", {})
        data = file.create_dataset("v", values.shape, choices.get("dtype", "i2"), **options)
        if choices.get("is_written", True):
            data[:] = values
        data.attrs.update({"units": "K", **choices.get("attributes", {})})
        for name, dims in {"v": ("time", "x"), "area": ("x",), **choices.get("more", {})}.items():
            if name not in file:
                file.create_dataset(name, data=np.arange(np.prod([file[dim].shape[0] for dim in dims])).reshape(-1))
            for axis, dim in enumerate(dims):
                file[dim].make_scale(dim)
                file[name].dims[axis].attach_scale(file[dim])
        if change is not None:
            change(file)
    return str(path)


class Store:
    """A repository that starts with one file, and what its session says when another one is refused."""

    def __init__(self, folder: Path, times: list[int] | None = None, **choices: Any) -> None:
        self.folder, self.repository, self.count = folder, new_repository(folder), 0
        self.first = write_file(folder / "first.h5", [0, 1, 2, 3] if times is None else times, **choices)
        write(self.repository, vz_beam.open_virtual_dataset(self.first))

    def open(self, times: list[int], loadable: list[str] | None = None, **choices: Any) -> xr.Dataset:
        self.count += 1  # what the store refers to may not be written over
        path = write_file(self.folder / f"{self.count}_second.h5", times, **choices)
        return vz_beam.open_virtual_dataset(path, loadable_variables=loadable)

    def refuse(self, dataset: xr.Dataset, error: type[Exception] = StoreMismatchError, **choices: Any) -> str:
        session = self.repository.writable_session("main")
        with pytest.raises(error) as caught:
            dataset.vz.to_icechunk(session.store, **choices)
        assert isinstance(caught.value, ValueError)
        assert not session.has_uncommitted_changes
        return str(caught.value)


def test_appending_twice_equals_the_concatenation(tmp_path: Path) -> None:
    files, repository = write_series(tmp_path, 3), new_repository(tmp_path)
    for number, file in enumerate(files):
        write(repository, vz_beam.open_virtual_dataset(file), **({"append_dim": "time"} if number else {}))
    expected = read_series(files)
    ours = read(repository)
    assert_same(ours, expected)
    # each file counts its hours from another year; the store goes on with the first one's
    assert ours["time"].encoding["units"] == "hours since 2000-01-01"


def test_a_partial_chunk_may_come_last_and_nothing_may_follow_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store.repository, store.open([4, 5, 6]), append_dim="time")
    assert read(store.repository)["v"].values[:, 0].tolist() == [0, 10, 20, 30, 40, 50, 60]
    message = store.refuse(store.open([7, 8]), append_dim="time")
    assert "'v': " in message
    assert "second.h5 would begin at element 7 of 'time'" in message
    assert "chunk length 2 (the store's last chunk is partial)" in message


@pytest.mark.parametrize(
    ("choices", "found"),
    [
        ({"attributes": {"units": "degC"}}, ["'v' attribute units: 'K' in the store, 'degC' in file://", "second.h5"]),
        ({"attributes": {"scale_factor": 0.5}}, ["attribute scale_factor: absent in the store, 0.5 in"]),
        ({"attributes": {"add_offset": 0.5}}, ["attribute add_offset: absent in the store, 0.5 in"]),
        ({"attributes": {"_FillValue": np.int16(-9)}}, ["attribute _FillValue: absent in the store, -9 in"]),
        ({"attributes": {"_Unsigned": "true"}}, ["attribute _Unsigned: absent in the store, 'true' in"]),
        ({"options": {"fillvalue": -2}}, ["'v' fill value: -1 in the store, -2 in"]),
        ({"options": {"compression": None}}, ["'v' codecs: numcodecs.zlib", "none in"]),
        ({"options": {"shuffle": True}}, ["'v' codecs: numcodecs.zlib", "numcodecs.shuffle"]),
        ({"options": {"chunks": (1, 3)}}, ["'v' chunk shape: (2, 3) in the store, (1, 3) in"]),
        ({"dtype": "i4"}, ["'v' dtype: int16 in the store, int32 in"]),
        ({"dtype": ">i2"}, ["'v' byte order: little in the store, big in"]),
        ({"area": [0, 100.0, 200]}, []),
        ({"x": [10, 11, 12]}, ["values of 'x': 0 and 10 at x[0], in the store and file://"]),
        ({"more": {"w": ("time",)}}, ["variable 'w' of file://", "second.h5 is not in the store"]),
        (
            {"change": lambda file: file.pop("v")},
            ["variable 'v' of the store has dimension 'time' and is not in file://"],
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused(tmp_path: Path, choices: dict[str, Any], found: list[str]) -> None:
    store = Store(tmp_path)
    if not found:
        # references to values of no append dimension are kept as they are, and those of the new file are not written
        write(store.repository, store.open([4, 5], **choices), append_dim="time")
        assert read(store.repository)["area"].values.tolist() == [0, 1, 2]
        dataset = store.open([6, 7], ["time", "x", "area"], **choices)
        found = ["'area'"]
    else:
        dataset = store.open([4, 5], **choices)
    message = store.refuse(dataset, append_dim="time")
    for text in found:
        assert text in message


def test_all_that_differs_is_told_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    message = store.refuse(
        store.open([4, 5], attributes={"units": "C"}, options={"fillvalue": 3}, x=[5, 6, 7]), append_dim="time"
    )
    assert "disagree in 3 places, and nothing was written" in message


@pytest.mark.parametrize("level", [1, 9])
def test_what_does_not_change_the_meaning_is_taken(tmp_path: Path, level: int) -> None:
    store = Store(tmp_path)
    dataset = store.open([4, 5], options={"compression_opts": level}, attributes={"history": "other", "units": " K "})
    write(store.repository, dataset, append_dim="time")
    assert read(store.repository)["v"].values[:, 1].tolist() == [1, 11, 21, 31, 41, 51]
    assert "history" not in read(store.repository)["v"].attrs


def test_virtual_times_of_other_units_are_refused_and_loaded_ones_encoded_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other: dict[str, Any] = {"units": "hours since 2000-01-05"}
    write(store.repository, store.open([0, 24], **other), append_dim="time")
    expected = np.datetime64("2000-01-01") + np.arange(6)
    np.testing.assert_array_equal(read(store.repository)["time"].values, expected)
    assert read(store.repository, decode_times=False)["time"].values.tolist() == [0, 1, 2, 3, 4, 5]

    below = new_repository(tmp_path)
    write(below, vz_beam.open_virtual_dataset(store.first, loadable_variables=["x"]))
    session = below.writable_session("main")
    with pytest.raises(StoreMismatchError, match="'time' attribute units: 'days since 2000-01-01' in the store"):
        store.open([0, 24], ["x"], **other).vz.to_icechunk(session.store, append_dim="time")


def test_times_that_the_stores_units_cannot_say_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, time_type="i8")
    message = store.refuse(store.open([97, 98], units="hours since 2000-01-01"), append_dim="time")
    assert "'time' of file://" in message
    assert "days since 2000-01-01" in message
    assert "2000-01-05T01:00:00" in message


def test_loaded_values_are_packed_as_the_store_packs_them_or_refused(tmp_path: Path) -> None:
    packing: dict[str, Any] = {"attributes": {"scale_factor": 0.1, "_FillValue": np.int16(-9)}}
    store = Store(tmp_path, **packing)
    dataset = store.open([4, 5], ["time", "x", "v"], **packing)
    dataset["v"][0, 0] = np.nan
    write(store.repository, dataset, append_dim="time")
    ours = read(store.repository)
    np.testing.assert_array_equal(ours["v"].values[4:], dataset["v"].values)
    assert read(store.repository, mask_and_scale=False)["v"].values[4:].tolist() == [[-9, 41, 42], [50, 51, 52]]
    dataset = store.open([6, 7], ["time", "x", "v"], **packing)
    dataset["v"][0, 1] = 0.123456
    assert "0.123456 would read as" in store.refuse(dataset, append_dim="time")


def test_the_same_file_twice_and_times_that_run_back_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    again = store.refuse(vz_beam.open_virtual_dataset(store.first), append_dim="time")
    assert "coordinate 'time' does not go on where the store ends" in again
    assert "was it appended before?" in again
    store.refuse(store.open([-2, -1]), append_dim="time")
    one = Store(tmp_path, [5])
    assert "does not go on" in one.refuse(vz_beam.open_virtual_dataset(one.first), append_dim="time")


def test_an_append_dim_that_is_none_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dataset = store.open([4, 5])
    assert "'nope' is no dimension of the dataset" in store.refuse(dataset, InputError, append_dim="nope")
    renamed = dataset.drop_vars("area").rename(x="z")
    assert "'z' is no dimension of group '/'" in store.refuse(renamed, InputError, append_dim="z")
    assert "has no arrays to write into" in store.refuse(dataset, InputError, append_dim="time", group="none")


def test_missing_chunks_stay_missing_at_the_end(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store.repository, store.open([4, 5], is_written=False), append_dim="time")
    assert read(store.repository)["v"].values[:, 0].tolist() == [0, 10, 20, 30, -1, -1]


@pytest.mark.parametrize("region", [{"time": slice(2, 4)}, {"time": "auto"}, {"time": slice(2, None)}, "auto"])
def test_a_region_is_written_over_and_what_is_missing_is_erased(tmp_path: Path, region: Any) -> None:
    store = Store(tmp_path)
    dataset = store.open([2, 3], attributes={"history": "new"}, dtype="i2").drop_vars(["area", "x"])
    changed = write_file(tmp_path / "third.h5", [2, 3])
    with h5py.File(changed, "r+") as file:
        file["v"][:] = [[7, 8, 9], [70, 80, 90]]
    write(store.repository, vz_beam.open_virtual_dataset(changed).drop_vars(["area", "x"]), region=region)
    ours = read(store.repository)
    assert ours["v"].values.tolist() == [[0, 1, 2], [10, 11, 12], [7, 8, 9], [70, 80, 90]]
    np.testing.assert_array_equal(ours["time"].values, np.datetime64("2000-01-01") + np.arange(4))
    empty = store.open([2, 3], is_written=False).drop_vars(["area", "x"])
    write(store.repository, empty, region=region)
    assert read(store.repository)["v"].values[:, 0].tolist() == [0, 10, -1, -1]
    write(store.repository, dataset, region=region)
    assert read(store.repository)["v"].values[:, 0].tolist() == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("times", "region", "found"),
    [
        ([1, 2], {"time": slice(1, 3)}, "would begin at element 1 of 'time'"),
        ([0], {"time": slice(0, 1)}, "would end at element 1 of 'time'"),
        ([0, 1], {"time": slice(0, 4)}, "is 0 to 4, and the dataset has 2 elements"),
        ([4, 5], {"time": slice(4, 6)}, "is 4 to 6, and the store has 4 elements"),
        ([4, 5], {"time": "auto"}, "2000-01-05T00:00:00.000000000 is not among the values of 'time'"),
        ([3, 2], {"time": "auto"}, "do not stand one after the other"),
        ([0, 1], {"time": slice(0, 4, 2)}, "have steps of 1"),
        ([0, 1], {"time": 3}, "must be a slice or 'auto'"),
        ([0, 1], {"nope": slice(0, 1)}, r"region names ['nope']"),
        ([0, 1], {}, "names no dimension"),
        ([0, 1], "whole", "is neither 'auto' nor a mapping"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(tmp_path: Path, times: list[int], region: Any, found: str) -> None:
    store = Store(tmp_path)
    dataset = store.open(times).drop_vars(["area", "x"])
    assert found in store.refuse(dataset, ValueError, region=region)


def test_variables_without_the_dimensions_of_the_region_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    message = store.refuse(store.open([0, 1]), InputError, region={"time": slice(0, 2)})
    assert "['x', 'area']" in message or "['area', 'x']" in message


def test_many_missing_chunks_are_erased(tmp_path: Path) -> None:
    store = Store(tmp_path, list(range(6000)))
    write(store.repository, store.open(list(range(6000)), is_written=False).drop_vars(["area", "x"]), region="auto")
    assert (read(store.repository)["v"].values == -1).all()


def test_trees_grow_in_all_nodes_that_have_the_dimension(tmp_path: Path) -> None:
    repository = new_repository(tmp_path)
    for number in range(2):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            file["static/s"] = np.arange(3)
            for group in ("a", "b"):
                file.create_dataset(f"{group}/v", data=np.arange(4) + 10 * number, chunks=(2,), maxshape=(None,))
                file[f"{group}/t"] = np.arange(4) + 4 * number
                file[f"{group}/t"].make_scale("t")
                file[f"{group}/v"].dims[0].attach_scale(file[f"{group}/t"])
        tree = vz_beam.open_virtual_datatree(path)
        write(repository, tree, **({"append_dim": "t"} if number else {}))
    for group in ("a", "b"):
        assert read(repository, group=group)["v"].values.tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_bounds_of_times_keep_the_units_that_their_numbers_are_in(tmp_path: Path) -> None:
    def with_bounds(file: h5py.File) -> None:
        file["time"].attrs["bounds"] = "time_bnds"
        file["nv"] = np.arange(2)
        file["nv"].make_scale("nv")
        shape = (file["time"].shape[0], 2)
        file.create_dataset("time_bnds", shape, "f8", chunks=(2, 2), maxshape=(None, 2))[:] = file["time"][:][
            :, np.newaxis
        ]
        for axis, dim in enumerate(("time", "nv")):
            file["time_bnds"].dims[axis].attach_scale(file[dim])

    store = Store(tmp_path, change=with_bounds)
    write(store.repository, store.open([4, 5], change=with_bounds), append_dim="time")
    np.testing.assert_array_equal(
        read(store.repository)["time_bnds"].values[:, 0], read(store.repository)["time"].values
    )
    message = store.refuse(
        store.open([144, 168], units="hours since 2000-01-01", change=with_bounds), append_dim="time"
    )
    assert "'time_bnds' time units of its raw values" in message
