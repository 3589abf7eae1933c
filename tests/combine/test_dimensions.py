"""New dimensions, several dimensions, merged variables, and times of several epochs."""

from __future__ import annotations

import cftime
import numpy as np
import pytest
import xarray as xr

from tests.combine.virtual_files import combine, time_index, virtual_file, virtual_variable
from vz_beam.combine.layout import ArrayLayout
from vz_beam.errors import HolesError, MismatchError
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position


def decoded(name: str, array: ArrayLayout) -> np.ndarray:
    """Values of a loaded array, decoded by xarray."""
    raw = np.frombuffer(array.chunks[0], array.metadata.dtype).reshape(array.metadata.shape)
    variable = xr.Variable(array.metadata.dimension_names, raw, dict(array.metadata.attributes))
    return xr.conventions.decode_cf_variable(name, variable).values


def dated_file(number: int, times: np.ndarray, units: str, calendar: str = "standard", dtype: str = "f8") -> xr.Dataset:
    variable = xr.Variable("time", times, {}, {"units": units, "calendar": calendar, "dtype": np.dtype(dtype)})
    return virtual_file(number).assign_coords(time=variable)


def days(first: int, count: int = 4) -> np.ndarray:
    return np.datetime64("2000-01-01", "ns") + np.arange(first, first + count) * np.timedelta64(1, "D")


def test_times_of_several_epochs_are_joined_and_encoded_once() -> None:
    inputs = [
        (time_index(n), dated_file(n, days(4 * n), f"days since 20{n:02}-01-01", dtype=dtype))
        for n, dtype in enumerate(("f8", "f4", "i4"))
    ]
    layout, _ = combine(inputs)
    assert layout.arrays["time"].metadata.attributes["units"] == "days since 2000-01-01"
    assert np.array_equal(decoded("time", layout.arrays["time"]), days(0, 12))


def test_times_that_the_first_units_cannot_say_are_written_exactly() -> None:
    odd = days(4) + np.timedelta64(12345, "s")
    layout, _ = combine(
        [
            (time_index(0), dated_file(0, days(0), "days since 2000-01-01", dtype="i4")),
            (time_index(1), dated_file(1, odd, "seconds since 2000-01-01", dtype="i8")),
        ]
    )
    assert np.array_equal(decoded("time", layout.arrays["time"]), np.concatenate([days(0), odd]))


def test_times_of_calendars_that_numpy_lacks_are_joined() -> None:
    def times(month: int) -> np.ndarray:
        return np.array([cftime.Datetime360Day(2000, month, day) for day in (1, 10, 20, 30)])

    layout, _ = combine(
        [(time_index(n), dated_file(n, times(n + 1), f"days since 200{n}-01-01", calendar="360_day")) for n in range(2)]
    )
    assert layout.arrays["time"].metadata.attributes["calendar"] == "360_day"
    assert decoded("time", layout.arrays["time"]).tolist() == [*times(1), *times(2)]


def test_calendars_that_differ_are_refused() -> None:
    noleap = np.array([cftime.DatetimeNoLeap(2000, 2, day) for day in (1, 2, 3, 4)])
    with pytest.raises(MismatchError, match=r"(?s)calendar.*standard.*noleap"):
        combine(
            [
                (time_index(0), dated_file(0, days(0), "days since 2000-01-01")),
                (time_index(1), dated_file(1, noleap, "days since 2000-01-01", calendar="noleap")),
            ]
        )


def member_index(number: int, key: str) -> Index:
    return Index((Position("member", "concat", number, 3, key),))


def test_a_dimension_that_files_lack_is_new_and_its_keys_are_its_coordinate() -> None:
    inputs = [(member_index(n, f"r{n}"), virtual_file(n, first=0)) for n in range(3)]
    layout, shards = combine(inputs)
    metadata = layout.arrays["v"].metadata
    assert metadata.dimension_names == ("member", "time", "x")
    assert metadata.shape == (3, 4, 6)
    assert metadata.chunk_shape == (1, 2, 3)
    assert layout.arrays["time"].metadata.shape == (4,)
    assert layout.arrays["member"].metadata.dimension_names == ("member",)
    assert b"r2" in layout.arrays["member"].chunks[0]
    (fragment,) = (fragment for key, fragment in shards.items() if key.path == "v")
    assert fragment.numbers.tolist() == list(range(12))
    assert [fragment.locations[i] for i in fragment.location_ids[::4]] == [f"s3://archive/{n:03}.nc" for n in range(3)]


def test_two_concatenated_dimensions_place_each_file_in_its_tile() -> None:
    def index(member: int, time: int) -> Index:
        return Index((Position("member", "concat", member, 2, member), Position("time", "concat", time, 2)))

    places = [(m, t) for m in range(2) for t in range(2)]
    inputs = [(index(m, t), virtual_file(2 * m + t, first=4 * t)) for m, t in places]
    layout, shards = combine(inputs)
    assert layout.arrays["v"].metadata.shape == (2, 8, 6)
    (fragment,) = (fragment for key, fragment in shards.items() if key.path == "v")
    urls = [fragment.locations[i] for i in fragment.location_ids]
    assert urls == [f"s3://archive/{n:03}.nc" for n in range(4) for _ in range(4)]
    assert combine(inputs[::-1]) == (layout, shards)


def test_a_missing_tile_is_a_hole() -> None:
    def index(member: int, time: int) -> Index:
        return Index((Position("member", "concat", member, 2, member), Position("time", "concat", time, 2)))

    with pytest.raises(HolesError, match=r"member=1 \(1\), time=1"):
        combine([(index(m, t), virtual_file(2 * m + t, first=4 * t)) for m, t in ((0, 0), (0, 1), (1, 0))])


def test_merged_variables_lie_side_by_side_and_what_they_share_is_kept_once() -> None:
    def index(variable: int, time: int) -> Index:
        return Index((Position("variable", "merge", variable, 2, "uv"[variable]), Position("time", "concat", time, 2)))

    inputs = []
    for variable, name in enumerate("uv"):
        for time in range(2):
            file = virtual_file(10 * variable + time, first=4 * time).rename(v=name)
            area = virtual_variable(f"s3://archive/{10 * variable + time:03}.nc", ("x",), (6,), (6,), dtype="f8")
            inputs.append((index(variable, time), file.assign(area=area)))
    layout, shards = combine(inputs)
    assert layout.arrays["u"].metadata.shape == layout.arrays["v"].metadata.shape == (8, 6)
    assert shards[("area", 0)].locations == ("s3://archive/000.nc",)  # type: ignore[index]
    assert shards[("v", 0)].locations == ("s3://archive/010.nc", "s3://archive/011.nc")  # type: ignore[index]


def test_a_single_file_without_dimensions_is_a_pattern_too() -> None:
    layout, shards = combine([(Index(()), virtual_file(0))])
    assert layout.arrays["v"].metadata.shape == (4, 6)
    assert len(shards[("v", 0)]) == 4  # type: ignore[index]


def test_groups_of_trees_are_combined_by_path() -> None:
    def tree(number: int) -> xr.DataTree:
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "t"}), "/deep/er": virtual_file(number)})

    layout, shards = combine([(time_index(n), tree(n)) for n in range(2)])
    assert layout.groups == {"": {"title": "t"}, "deep": {}, "deep/er": {}}
    assert layout.arrays["deep/er/v"].metadata.shape == (8, 6)
    assert shards[("deep/er/v", 0)].numbers.tolist() == list(range(8))  # type: ignore[index]
