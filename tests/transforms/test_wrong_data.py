"""Files that other tools combine to wrong values: right values here, or one error with both files and both values.

The numbers are those of the project's list of such cases, parts A to E.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import vz_beam
from vz_beam import ConcatDim, FilePattern, MergeDim
from vz_beam.errors import CombineError, HolesError, MismatchError

EPOCH = "days since 2000-01-01"


def write(
    path: Path,
    values: Any = None,
    *,
    times: Any = (0, 1, 2, 3),
    attributes: Mapping[str, Any] | None = None,
    dtype: str = "<i2",
    chunks: tuple[int, ...] | None = (2, 3),
    unwritten: slice | None = None,
    fill: Any = None,
    units: str = EPOCH,
    calendar: str | None = None,
    time_type: str = "f8",
    x: Any = (0.0, 1.0, 2.0),
    storage: Mapping[str, Any] | None = None,
    also: Callable[[h5py.File], None] | None = None,
) -> str:
    """A file of ``v(time, x)``, 3 columns, whose values are its times unless given."""
    times, x = np.asarray(times, time_type), np.asarray(x, "f8")
    if values is None:
        values = np.repeat(times[:, None], len(x), 1)
    with h5py.File(path, "w", track_order=True) as file:
        for name, data in (("time", times), ("x", x)):
            scale = file.create_dataset(name, data=data)
            scale.make_scale(name)
        file["time"].attrs["units"] = units
        if calendar:
            file["time"].attrs["calendar"] = calendar
        compression = {"compression": "gzip", "compression_opts": 4} if chunks else {}
        v = file.create_dataset(
            "v", (len(times), len(x)), dtype, chunks=chunks, fillvalue=fill, **{**compression, **(storage or {})}
        )
        written = slice(None) if unwritten is None else slice(0, unwritten.start)
        v[written] = np.asarray(values)[written]
        for axis, name in enumerate(("time", "x")):
            v.dims[axis].attach_scale(file[name])
        for name, value in (attributes or {}).items():
            v.attrs[name] = value
        if also is not None:
            also(file)
    return str(path)


class Series:
    """Two files or more, and the store of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pair(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
        """Files 1 and 2, of times 0 to 3 and 4 to 7 unless said otherwise."""
        return [
            write(self.folder / "one.nc", **first),
            write(self.folder / "two.nc", **{"times": (4, 5, 6, 7), **second}),
        ]

    def build(self, files: Any, **choices: Any) -> xr.Dataset:
        """The store of the files as xarray reads it."""
        dim: dict[str, Any] = {} if isinstance(files, FilePattern) else {"concat_dim": "time"}
        store = self.folder / "store.parquet"
        self.summary = vz_beam.build(files, store, mode="overwrite", progress=False, **dim, **choices)
        with xr.open_dataset(str(store), engine="kerchunk") as opened:
            return opened.load()

    def refusal(self, files: Any, **choices: Any) -> str:
        """What the error says."""
        with pytest.raises(CombineError) as caught:
            self.build(files, **choices)
        assert not (self.folder / "store.parquet").exists()
        return str(caught.value)


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return Series(tmp_path)


def column(dataset: xr.Dataset, name: str = "v") -> list[Any]:
    """The first column of ``v``."""
    values: NDArray[Any] = dataset[name].values[:, 0]
    return [None if np.isnan(value) else value for value in values.tolist()]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        pytest.param({"attributes": {"scale_factor": 0.1}}, {"attributes": {"scale_factor": 0.5}}, "0.1 0.5", id="1"),
        pytest.param({"attributes": {"_FillValue": -1}}, {"attributes": {"_FillValue": -999}}, "-1 -999", id="3"),
        pytest.param({"fill": -1}, {"fill": -999, "unwritten": slice(2, 4)}, "fill -1 -999", id="4"),
        pytest.param({"attributes": {"units": "K"}}, {"attributes": {"units": "degC"}}, "'K' 'degC'", id="5"),
        pytest.param(
            {"dtype": "i1", "attributes": {"_Unsigned": "true"}}, {"dtype": "i1"}, "_Unsigned 'true' absent", id="6"
        ),
        *(
            pytest.param(
                {"attributes": {name: one}}, {"attributes": {name: two}}, f"{name} {one} {two}", id=f"7-{name}"
            )
            for name, one, two in (
                ("missing_value", -1, -2),
                ("valid_min", 0, 1),
                ("valid_max", 5, 6),
                ("flag_meanings", "a b", "b a"),
                ("standard_name", "air_temperature", "sea_temperature"),
                ("cell_methods", "time: mean", "time: max"),
                ("grid_mapping", "crs", "grid"),
            )
        ),
        pytest.param({"dtype": "<f4"}, {"dtype": "<i2"}, "dtype float32 int16", id="9"),
        pytest.param({"dtype": ">f4"}, {"dtype": "<f4"}, "byte order big little", id="10"),
        pytest.param({"calendar": "standard"}, {"calendar": "noleap"}, "calendar standard noleap", id="14"),
        pytest.param({"chunks": (2, 3)}, {"chunks": (4, 3)}, "chunk shape (2, 3) (4, 3)", id="28"),
        pytest.param({}, {"storage": {"compression": "lzf", "compression_opts": None}}, "codecs zlib", id="30"),
        pytest.param({}, {"times": (2, 3, 4, 5)}, "overlaps 'time' 2000-01-03", id="36"),
        pytest.param({"times": (4, 5, 6, 7)}, {"times": (0, 1, 2, 3)}, "backwards 'time' 2000-01-05", id="37"),
        pytest.param({"x": (10, 20, 30)}, {"x": (30, 20, 10)}, "'x' 10 30 x[0]", id="39"),
        pytest.param({}, {"x": (0.0, 1.0, 2.000001)}, "'x' 2 2.000001 x[2]", id="40"),
    ],
)
def test_a_difference_is_one_error_with_both_files_and_both_values(
    first: dict[str, Any], second: dict[str, Any], words: str, series: Series
) -> None:
    text = series.refusal(series.pair(first, second))
    for word in (*words.split(" "), "one.nc", "two.nc", "Way out"):
        assert word in text


def test_case_2_and_4_differences_are_joined_where_they_are_rewritten(series: Series) -> None:
    files = series.pair({"attributes": {"scale_factor": 0.1}}, {"attributes": {"scale_factor": 0.5}})
    np.testing.assert_allclose(column(series.build(files, mismatch="rewrite")), [0, 0.1, 0.2, 0.3, 2, 2.5, 3, 3.5])
    files = series.pair({"fill": -1}, {"fill": -999, "unwritten": slice(2, 4)})
    assert column(series.build(files, mismatch="rewrite")) == [0, 1, 2, 3, 4, 5, -999, -999]
    files = series.pair({"dtype": ">f4"}, {"dtype": "<f4"})
    assert column(series.build(files, mismatch="rewrite")) == list(range(8))


def test_case_8_dimensions_of_other_names_are_refused(series: Series, tmp_path: Path) -> None:
    def renamed(file: h5py.File) -> None:
        file.create_dataset("y", data=np.arange(3.0)).make_scale("y")
        file["v"].dims[1].detach_scale(file["x"])
        file["v"].dims[1].attach_scale(file["y"])

    text = series.refusal(series.pair({}, {"also": renamed}))
    for word in ("'v' dimensions", "('time', 'x')", "('time', 'y')", "one.nc", "two.nc"):
        assert word in text


def test_case_11_a_time_that_cannot_be_decoded_stays_as_it_is(series: Series) -> None:
    files = series.pair({"units": "months since 2000-01-01"}, {"units": "months since 2000-01-01"})
    store = series.folder / "store.parquet"
    vz_beam.build(files, store, concat_dim="time", loadable_variables=[], progress=False)
    with xr.open_dataset(str(store), engine="kerchunk", decode_times=False) as opened:
        assert opened["time"].values.tolist() == list(range(8))
        assert opened["time"].attrs["units"] == "months since 2000-01-01"


def test_case_12_times_of_two_epochs_are_one_axis_where_they_are_loaded(series: Series) -> None:
    files = series.pair({}, {"times": (0, 1, 2, 3), "units": "days since 2000-01-05", "values": np.full((4, 3), 9)})
    times = series.build(files)["time"].values
    assert times.tolist() == (np.datetime64("2000-01-01", "ns") + np.arange(8) * np.timedelta64(1, "D")).tolist()
    (series.folder / "store.parquet").rename(series.folder / "old")
    text = series.refusal(files, loadable_variables=[])
    for word in ("'time' attribute units", EPOCH, "days since 2000-01-05", "one.nc", "two.nc"):
        assert word in text


def test_case_15_times_of_another_width_are_joined(series: Series) -> None:
    opened = series.build(series.pair({"time_type": "f4"}, {"time_type": "f8"}))
    assert opened["time"].values[-1] == np.datetime64("2000-01-08", "ns")
    assert column(opened) == list(range(8))


def test_case_16_what_a_file_lacks_reads_as_missing_where_that_is_allowed(series: Series) -> None:
    def lacking(file: h5py.File) -> None:
        del file["v"]

    files = series.pair({}, {"also": lacking})
    assert "variable 'v' is in" in series.refusal(files)
    text = series.refusal(files, variables="union")
    for word in ("'v'", "int16", "_FillValue", "fill_values"):
        assert word in text
    opened = series.build(files, variables="union", fill_values={"v": -9})
    assert column(opened) == [0, 1, 2, 3, None, None, None, None]


def test_cases_17_and_18_a_hole_and_a_chunk_that_was_never_written_are_two_things(series: Series) -> None:
    attributes = {"_FillValue": np.int16(-999)}
    files = [
        write(
            series.folder / f"{number}.nc",
            times=4 * number + np.arange(4),
            attributes=attributes,
            fill=0,
            unwritten=slice(2, 4),
        )
        for number in (0, 2)
    ]
    pattern = FilePattern(lambda time: files[time // 2], ConcatDim("time", [0, 1, 2]), gaps=[(1,)])
    opened = series.build(pattern, holes="missing")
    assert column(opened) == [0, 1, 0, 0, None, None, None, None, 8, 9, 0, 0]


def test_case_22_a_partial_chunk_in_the_middle_is_refused_cut_or_rewritten(series: Series) -> None:
    files = series.pair({"times": (0, 1, 2)}, {"times": (3, 4, 5)})
    text = series.refusal(files)
    for word in ("partial chunk in the middle", "3 elements in chunks of 2", "one.nc", "two.nc"):
        assert word in text
    assert column(series.build(files, mismatch="rewrite")) == list(range(6))


def test_cases_24_and_25_uncompressed_files_of_uneven_lengths_are_cut(series: Series) -> None:
    plain: dict[str, Any] = {"storage": {"compression": None, "compression_opts": None}}
    files = series.pair({"times": (0, 1, 2), **plain}, {"times": (3, 4, 5, 6), **plain})
    assert column(series.build(files)) == list(range(7))
    whole = [write(series.folder / f"{n}.nc", times=t, chunks=None) for n, t in enumerate([(0, 1, 2), (3, 4), (5, 6)])]
    assert column(series.build(whole)) == list(range(7))


def test_case_26_a_partial_chunk_in_the_last_file_is_legal(series: Series) -> None:
    files = series.pair({}, {"times": (4, 5, 6)})
    assert column(series.build(files)) == list(range(7))


def test_case_27_chunks_longer_than_their_data_are_trimmed_or_refused(series: Series) -> None:
    def unlimited(path: Path, times: tuple[int, ...], compression: str | None) -> str:
        with h5py.File(path, "w", track_order=True) as file:
            file.create_dataset("time", data=np.array(times, "f8")).make_scale("time")
            file["time"].attrs["units"] = EPOCH
            values = np.array(times, "f4")
            v = file.create_dataset("v", data=values, chunks=(512,), maxshape=(None,), compression=compression)
            v.dims[0].attach_scale(file["time"])
        return str(path)

    files = [unlimited(series.folder / f"{n}.nc", t, None) for n, t in enumerate([(0, 1, 2), (3, 4, 5)])]
    assert series.build(files)["v"].values.tolist() == list(range(6))
    (series.folder / "store.parquet").rename(series.folder / "old")
    files = [unlimited(series.folder / f"{n}.nc", t, "gzip") for n, t in enumerate([(0, 1, 2), (3, 4, 5)])]
    assert "3 elements in chunks of 512" in series.refusal(files)
    assert series.build(files, mismatch="rewrite")["v"].values.tolist() == list(range(6))


def test_case_29_levels_of_compression_do_not_matter(series: Series) -> None:
    files = series.pair({}, {"storage": {"compression_opts": 9}})
    assert column(series.build(files)) == list(range(8))


def test_case_34_what_descends_inside_a_file_stays_as_it_is_stored(series: Series) -> None:
    files = [write(series.folder / f"{n}.nc", times=times) for n, times in enumerate([(7, 6, 5, 4), (3, 2, 1, 0)])]
    opened = series.build(files)
    assert column(opened) == [7, 6, 5, 4, 3, 2, 1, 0]
    days = (opened["time"].values - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    assert days.tolist() == column(opened)


def test_case_35_overlaps_are_kept_in_the_order_of_files_where_that_is_asked_for(series: Series) -> None:
    files = series.pair({"values": np.full((4, 3), 10)}, {"times": (2, 3, 4, 5), "values": np.full((4, 3), 20)})
    assert column(series.build(files, overlaps="keep")) == [10] * 4 + [20] * 4


def test_case_37_files_in_any_order_are_placed_by_their_coordinate(series: Series) -> None:
    opened = series.build(series.pair({"times": (4, 5, 6, 7)}, {"times": (0, 1, 2, 3)}), order_by="coordinate")
    assert column(opened) == list(range(8))
    assert opened["time"].values[0] == np.datetime64("2000-01-01", "ns")


def test_case_40_a_tolerance_joins_coordinates_that_are_almost_equal(series: Series) -> None:
    opened = series.build(series.pair({}, {"x": (0.0, 1.0, 2.000001)}), tolerance={"x": 1e-5})
    assert opened["x"].values.tolist() == [0, 1, 2]


def with_grid(second: float) -> Callable[[h5py.File], None]:
    def also(file: h5py.File) -> None:
        file["crs"] = np.int32(7)
        lat = file.create_dataset("lat", data=np.array([1.0, 2.0, second]), chunks=(3,), compression="gzip")
        lat.dims[0].attach_scale(file["x"])

    return also


def test_cases_41_and_42_what_lacks_the_dimension_is_kept_once_and_must_agree(series: Series) -> None:
    choices = {"loadable_variables": ["time", "x", "lat", "crs"]}
    opened = series.build(series.pair({"also": with_grid(3)}, {"also": with_grid(3)}), **choices)
    assert opened["lat"].dims == ("x",)
    assert (opened["lat"].values.tolist(), int(opened["crs"])) == ([1, 2, 3], 7)
    (series.folder / "store.parquet").rename(series.folder / "old")
    text = series.refusal(series.pair({"also": with_grid(3)}, {"also": with_grid(4)}), **choices)
    for word in ("values of 'lat'", "3 and 4", "one.nc", "two.nc"):
        assert word in text


def test_case_42_what_lacks_the_dimension_and_is_virtual_is_compared_by_the_sizes_of_its_chunks(series: Series) -> None:
    same = series.build(series.pair({"also": with_grid(3)}, {"also": with_grid(3)}))
    assert same["lat"].values.tolist() == [1, 2, 3]
    (series.folder / "store.parquet").rename(series.folder / "old")
    text = series.refusal(series.pair({"also": with_grid(3)}, {"also": with_grid(3.123456789)}))
    for word in ("'lat' sizes of its chunks", "one.nc", "two.nc", "loadable_variables"):
        assert word in text


def test_case_43_two_files_that_say_other_things_of_one_variable_are_refused(series: Series) -> None:
    same = {"times": (0, 1, 2, 3)}
    files = series.pair({"values": np.full((4, 3), 1)}, {"values": np.full((4, 3), 2), **same})
    pattern = FilePattern(lambda part: files[part], MergeDim("part", [0, 1]))
    with pytest.raises(CombineError) as caught:
        series.build(pattern)
    assert "one.nc" in str(caught.value)
    assert "two.nc" in str(caught.value)


def test_case_44_a_gap_of_the_pattern_is_an_error_and_one_of_the_times_a_note(series: Series) -> None:
    files = series.pair({}, {"times": (10, 11, 12, 13)})
    pattern = FilePattern(lambda time: files[time // 2], ConcatDim("time", [0, 1, 2]), gaps=[(1,)])
    with pytest.raises(HolesError, match="time=1"):
        series.build(pattern)
    series.build(files)
    (note,) = series.summary.notes
    assert "6 steps are left out between 2000-01-04" in note
    with pytest.raises(MismatchError, match="has a gap"):
        vz_beam.build(files, series.folder / "other.json", concat_dim="time", gaps="raise", progress=False)


def test_case_45_any_number_of_dimensions_are_joined(series: Series) -> None:
    files = {
        (member, half, name): write(
            series.folder / f"{member}_{half}_{name}.nc",
            np.full((4, 3), 100 * member + 10 * half + (name == "w")),
            times=4 * half + np.arange(4),
            also=None if name == "v" else lambda file: file.move("v", "w"),
        )
        for member in (0, 1)
        for half in (0, 1)
        for name in ("v", "w")
    }
    pattern = FilePattern(
        lambda member, time, name: files[member, time, name],
        ConcatDim("member", [0, 1]),
        ConcatDim("time", [0, 1]),
        MergeDim("name", ["v", "w"]),
    )
    opened = series.build(pattern)
    for name, last in (("v", 0), ("w", 1)):
        assert opened[name].dims == ("member", "time", "x")
        assert opened[name].values[:, ::4, 0].tolist() == [[last, 10 + last], [100 + last, 110 + last]]
    assert opened["member"].values.tolist() == [0, 1]
