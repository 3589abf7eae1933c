"""Inputs that disagree with most others: left out by name, or in groups of their own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import vz_beam
from tests.combine.virtual_files import combine, time_index, virtual_file
from vz_beam.errors import HolesError, MismatchError
from vz_beam.manifests import Codec
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position


def series(*odd: int, **choices: Any) -> list[Any]:
    """Six files, of which those with the numbers ``odd`` have other attributes."""
    attrs = [{"units": "K", "scale_factor": 0.1}, {"units": "degC", "scale_factor": 0.5}]
    return [(time_index(n, 6), virtual_file(n, attrs=attrs[n in odd], **choices)) for n in range(6)]


def test_inputs_that_differ_from_most_are_left_out_as_failures() -> None:
    layout, shards = combine(series(1, 4), mismatch="exclude")
    assert layout.arrays["v"].metadata.attributes == {"units": "K", "scale_factor": 0.1}
    assert layout.arrays["v"].metadata.shape == (16, 6)
    assert layout.starts["time"].tolist() == [0, -1, 4, 8, -1, 12]
    assert [failure.url for failure in layout.excluded.values()] == ["s3://archive/001.nc", "s3://archive/004.nc"]
    (first, _) = layout.excluded.values()
    assert first.error_type == "MismatchError"
    for words in (
        "'v' attribute units: 'degC' here, 'K' in s3://archive/000.nc and 3 others",
        "scale_factor: 0.5 here",
    ):
        assert words in first.message
    locations = {url for fragment in shards.values() for url in fragment.locations}
    assert locations == {f"s3://archive/00{n}.nc" for n in (0, 2, 3, 5)}
    with pytest.raises(MismatchError):
        combine(series(1, 4))


def test_of_equally_many_the_first_are_the_majority() -> None:
    layout, _ = combine(series(3, 4, 5), mismatch="exclude")
    assert layout.arrays["v"].metadata.attributes["units"] == "K"
    layout, _ = combine(series(0, 1, 2), mismatch="exclude")
    assert layout.arrays["v"].metadata.attributes["units"] == "degC"


def test_the_place_of_what_is_left_out_is_kept_where_holes_are_missing() -> None:
    layout, _ = combine(series(1), mismatch="exclude", holes="missing", fill_values={"v": -1})
    assert layout.starts["time"].tolist() == [0, 4, 8, 12, 16, 20]
    assert layout.arrays["v"].metadata.fill_value == -1


def test_values_and_lengths_that_differ_count_as_well() -> None:
    inputs = [(time_index(n), virtual_file(n)) for n in range(4)]
    inputs[1] = (time_index(1), inputs[1][1].assign_coords(x=np.arange(6.0) + 1e-6))
    inputs[2] = (time_index(2), inputs[2][1].isel(x=slice(3)))
    layout, _ = combine(inputs, mismatch="exclude")
    reasons = [failure.message for failure in layout.excluded.values()]
    assert "values of 'x': [1e-06, 1.000001, 2.000001, ...] of s3://archive/001.nc here, [0, 1, 2, ...]" in reasons[0]
    assert "the length of dimension 'x': 3 here, 6 in s3://archive/000.nc and 2 others" in reasons[1]


def test_each_era_of_files_that_agree_is_a_group() -> None:
    layout, shards = combine(series(3, 4, 5), mismatch="split")
    assert layout.arrays["era_1/v"].metadata.attributes["units"] == "K"
    assert layout.arrays["era_2/v"].metadata.attributes["units"] == "degC"
    assert layout.arrays["era_2/v"].metadata.shape == (12, 6)
    assert layout.starts["era_2/time"].tolist() == [-1, -1, -1, 0, 4, 8]
    assert sorted(layout.groups) == ["", "era_1", "era_2"]
    assert layout.inputs == 6
    (told, _) = (note for note in layout.notes if "inputs, from" in note)
    assert told == "era_1: 3 inputs, from s3://archive/000.nc to s3://archive/002.nc"
    assert any(note.startswith("era_2: 3 inputs") and "'degC' here" in note for note in layout.notes)
    locations = {key.path: fragment.locations for key, fragment in shards.items()}
    assert locations["era_2/v"] == tuple(f"s3://archive/00{n}.nc" for n in (3, 4, 5))


def test_files_that_agree_are_no_eras() -> None:
    assert combine(series(), mismatch="split")[0] == combine(series())[0]
    assert combine(series(), mismatch="exclude")[0] == combine(series())[0]


def test_inputs_of_one_place_stay_in_one_era() -> None:
    inputs = []
    for time in range(4):
        for number, name in enumerate(("v", "w")):
            attrs = {"units": "K" if name == "w" or time < 2 else "degC"}
            dataset = virtual_file(time, attrs=attrs).rename(v=name)
            index = Index((Position("time", "concat", time, 4), Position("variable", "merge", number, 2)))
            inputs.append((index, dataset))
    layout, _ = combine(inputs, mismatch="split")
    for era, units in (("era_1", "K"), ("era_2", "degC")):
        assert layout.arrays[f"{era}/v"].metadata.attributes["units"] == units
        assert layout.arrays[f"{era}/v"].metadata.shape == layout.arrays[f"{era}/w"].metadata.shape == (8, 6)
    with pytest.raises(HolesError, match="time=2, variable=0"):
        combine([one for one in inputs if one[0].numbers != (2, 0)], mismatch="split")


@given(st.randoms(use_true_random=False), st.sampled_from(["exclude", "split"]), st.sets(st.integers(0, 5), max_size=4))
@settings(max_examples=30, deadline=None)
def test_order_changes_nothing(randomness: random.Random, mismatch: str, odd: set[int]) -> None:
    inputs = series(*odd)
    layout, shards = combine(inputs, mismatch=mismatch)
    randomness.shuffle(inputs)
    again, same_shards = combine(inputs, mismatch=mismatch)
    assert again == layout
    assert same_shards == shards


@pytest.mark.parametrize("workers", [1, 2])
def test_values_of_eras_and_of_what_is_left_are_those_of_the_files(workers: int, tmp_path: Path) -> None:
    files = []
    for number in range(5):
        values = np.arange(6.0).reshape(2, 3) + number
        times = np.datetime64("2001-01-01", "ns") + (2 * number + np.arange(2)) * np.timedelta64(1, "D")
        dataset = xr.Dataset({"v": (("time", "x"), values)}, coords={"time": times, "x": np.arange(3.0)})
        scale = 0.5 if number in (1, 3) else 0.25
        packed = {"dtype": "i2", "scale_factor": scale, "_FillValue": -1, "chunksizes": (1, 3), "zlib": True}
        files.append(str(tmp_path / f"{number}.nc"))
        dataset.to_netcdf(files[-1], engine="h5netcdf", encoding={"v": packed})
    common: dict[str, Any] = {"concat_dim": "time", "workers": workers, "progress": False}

    def expected(*numbers: int) -> xr.Dataset:
        parts = [xr.open_dataset(files[number], engine="h5netcdf").load() for number in numbers]
        return xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact")

    vz_beam.build(files, tmp_path / "split.parquet", mismatch="split", **common)
    for era, numbers in (("era_1", (0, 2, 4)), ("era_2", (1, 3))):
        options = {"storage_options": {"fo": str(tmp_path / "split.parquet"), "remote_protocol": "file"}}
        with xr.open_dataset("reference://", engine="zarr", group=era, backend_kwargs=options) as ours:
            for name in ("v", "time", "x"):
                np.testing.assert_array_equal(ours[name].values, expected(*numbers)[name].values)
    summary = vz_beam.build(files, tmp_path / "most.parquet", mismatch="exclude", **common)
    assert len(summary.failures) == 2
    assert summary.files == 5
    assert "scale_factor" in (tmp_path / "failures.jsonl").read_text()
    with xr.open_dataset(str(tmp_path / "most.parquet"), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["v"].values, expected(0, 2, 4)["v"].values)


def test_an_input_that_ends_inside_a_chunk_ends_its_era() -> None:
    codecs = (Codec("numcodecs.zlib", {"level": 1}),)
    steps = (4, 4, 3, 4, 1, 2)
    firsts = np.cumsum((0, *steps))
    inputs = [
        (time_index(n, 6), virtual_file(n, steps=length, first=int(firsts[n]), codecs=codecs))
        for n, length in enumerate(steps)
    ]
    with pytest.raises(MismatchError, match="partial chunk"):
        combine(inputs)
    layout, shards = combine(inputs, mismatch="split")
    assert {era: layout.arrays[f"{era}/v"].metadata.shape[0] for era in ("era_1", "era_2", "era_3")} == {
        "era_1": 11,
        "era_2": 5,
        "era_3": 2,
    }
    assert layout.eras == {(0,): "era_1", (1,): "era_1", (2,): "era_1", (3,): "era_2", (4,): "era_2", (5,): "era_3"}
    assert sum(len(fragment) for key, fragment in shards.items() if key.path.endswith("/v")) == 2 * (6 + 3 + 1)
    assert "era_2: 2 inputs" in layout.notes[1]
    assert "the inputs before end inside a chunk" in layout.notes[1]


def test_uncompressed_inputs_that_end_inside_a_chunk_are_of_one_era() -> None:
    inputs = [(time_index(n, 2), virtual_file(n, steps=3)) for n in range(2)]
    layout, _ = combine(inputs, mismatch="split")
    assert not layout.eras
