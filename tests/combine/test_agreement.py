"""Inputs that disagree are one error, which names every case with both files and both values."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.combine.virtual_files import combine, time_index, virtual_file, virtual_variable
from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import FailedInput, schema_of
from vz_beam.errors import CombineError, HolesError, MismatchError, OverlapError
from vz_beam.manifests import Codec

ZLIB = Codec("numcodecs.zlib", {"level": 4})


def refusal(*datasets: xr.Dataset) -> str:
    """The text of the mismatch that these files make."""
    with pytest.raises(MismatchError) as caught:
        combine([(time_index(n), dataset) for n, dataset in enumerate(datasets)])
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"attrs": {"scale_factor": 0.1}}, {"attrs": {"scale_factor": 0.5}}, ["scale_factor", "0.1", "0.5"]),
        ({"attrs": {"add_offset": 0.0}}, {"attrs": {"add_offset": 10}}, ["add_offset", ": 0 in", " 10 in"]),
        ({"attrs": {"_FillValue": -1}}, {"attrs": {"_FillValue": -999}}, ["_FillValue", "-1", "-999"]),
        ({"attrs": {"units": "K"}}, {"attrs": {"units": "degC"}}, ["units", "'K'", "'degC'"]),
        ({"attrs": {"calendar": "noleap"}}, {"attrs": {"calendar": "standard"}}, ["calendar", "noleap", "standard"]),
        ({"attrs": {"_Unsigned": "true"}}, {"attrs": {"_Unsigned": "false"}}, ["_Unsigned", "true", "false"]),
        ({}, {"attrs": {"scale_factor": 0.5}}, ["scale_factor", "absent", "0.5"]),
        ({"dtype": "i2"}, {"dtype": "f4"}, ["dtype", "int16", "float32"]),
        ({"fill_value": np.int16(-1)}, {"fill_value": np.int16(0)}, ["fill value", "-1", "0"]),
        (
            {"chunk_steps": 2, "codecs": (ZLIB,)},
            {"chunk_steps": 4, "codecs": (ZLIB,)},
            ["chunk shape", "(2, 3)", "(4, 3)"],
        ),
        (
            {"codecs": (Codec("numcodecs.zlib", {"level": 4}),)},
            {"codecs": (Codec("numcodecs.bz2", {"level": 4}),)},
            ["codecs", "zlib", "bz2"],
        ),
    ],
)
def test_a_disagreement_names_both_files_and_both_values(first, second, words) -> None:  # type: ignore[no-untyped-def]
    text = refusal(virtual_file(0, **first), virtual_file(1, **second))
    for word in (*words, "'v'", "000.nc", "001.nc", "Way out"):
        assert word in text


def test_all_disagreements_are_listed_at_once() -> None:
    text = refusal(
        virtual_file(0, attrs={"units": "K", "scale_factor": 1.0}),
        virtual_file(1, attrs={"units": "degC", "scale_factor": 2.0}),
    )
    assert "units" in text
    assert "scale_factor" in text


def test_codecs_that_decode_alike_agree() -> None:
    layout, _ = combine(
        [
            (time_index(n), virtual_file(n, codecs=(Codec("numcodecs.zlib", {"level": level}),)))
            for n, level in enumerate((4, 9))
        ]
    )
    assert layout.arrays["v"].metadata.shape == (8, 6)


def test_numbers_that_are_equal_in_another_type_agree() -> None:
    combine(
        [
            (time_index(0), virtual_file(0, attrs={"scale_factor": 1, "units": " K"})),
            (time_index(1), virtual_file(1, attrs={"scale_factor": np.float32(1), "units": "K"})),
        ]
    )


def test_a_partial_chunk_at_the_very_end_is_legal() -> None:
    layout, shards = combine([(time_index(0), virtual_file(0)), (time_index(1), virtual_file(1, steps=3))])
    assert layout.arrays["v"].metadata.shape == (7, 6)
    assert sum(len(fragment) for key, fragment in shards.items() if key.path == "v") == 8


def test_a_partial_chunk_in_the_middle_is_refused() -> None:
    text = refusal(virtual_file(0, steps=3, codecs=(ZLIB,)), virtual_file(1, codecs=(ZLIB,)))
    for word in ("partial chunk", "3 elements", "chunks of 2", "000.nc", "001.nc"):
        assert word in text


def test_a_variable_that_one_file_lacks_is_refused() -> None:
    text = refusal(virtual_file(0), virtual_file(1).drop_vars("v"))
    assert "variable 'v' is in s3://archive/000.nc and not in s3://archive/001.nc" in text


def test_loaded_values_without_the_concatenated_dimension_must_be_equal() -> None:
    text = refusal(virtual_file(0), virtual_file(1).assign_coords(x=np.arange(6) + 0.25))
    for word in ("values of 'x'", "x[0]", "0 and 0.25", "000.nc", "001.nc"):
        assert word in text


def test_a_loaded_and_a_virtual_variable_of_one_name_are_refused() -> None:
    other = virtual_file(1)
    other["v"] = (("time", "x"), np.zeros((4, 6), "i2"))
    text = refusal(virtual_file(0), other)
    assert "virtual" in text
    assert "numbers" in text


@pytest.mark.parametrize(("firsts", "word"), [((0, 2), "overlaps"), ((4, 0), "runs backwards"), ((0, 3), "overlaps")])
def test_a_coordinate_that_overlaps_or_runs_backwards_is_refused(firsts, word) -> None:  # type: ignore[no-untyped-def]
    text = refusal(*(virtual_file(n, first=first) for n, first in enumerate(firsts)))
    for expected in (word, "'time'", "000.nc", "001.nc"):
        assert expected in text


def test_a_coordinate_that_is_one_value_in_all_files_is_noted() -> None:
    inputs = [(time_index(n), virtual_file(n, steps=1, first=7, chunk_steps=1)) for n in range(3)]
    layout, _ = combine(inputs)
    assert layout.arrays["v"].metadata.shape == (3, 6)
    (note,) = layout.notes
    assert "'time' is 7 in all 3 inputs" in note


@pytest.mark.parametrize("firsts", [(7, 7, 8), (7, 8, 8)])
def test_one_value_twice_among_others_is_an_overlap(firsts: tuple[int, ...]) -> None:
    text = refusal(*(virtual_file(n, steps=1, first=first, chunk_steps=1) for n, first in enumerate(firsts)))
    assert "overlaps" in text


def test_order_by_coordinate_places_files_by_their_values() -> None:
    inputs = [(time_index(0), virtual_file(0, first=4)), (time_index(1), virtual_file(1, first=0))]
    layout, shards = combine(inputs, order_by="coordinate")
    assert np.frombuffer(layout.arrays["time"].chunks[0], "i8").tolist() == list(range(8))
    (fragment,) = (fragment for key, fragment in shards.items() if key.path == "v")
    assert fragment.locations == ("s3://archive/001.nc", "s3://archive/000.nc")


def test_two_files_at_one_place_are_refused() -> None:
    with pytest.raises(OverlapError, match=r"(?s)'v' has two different values.*000.nc.*001.nc"):
        combine([(time_index(0), virtual_file(0)), (time_index(0), virtual_file(1, first=0))])


def test_an_absent_input_is_named() -> None:
    with pytest.raises(HolesError, match="time=1"):
        combine([(time_index(n), virtual_file(n)) for n in (0, 2)])
    with pytest.raises(HolesError, match="time=2"):
        combine([(time_index(n, 3), virtual_file(n)) for n in (0, 1)])


def test_the_dimension_closes_up_where_a_failure_is_known() -> None:
    gathered = SchemaAccumulator()
    for number in (0, 2):
        gathered.add(schema_of(time_index(number, 3), virtual_file(number)))
    gathered.fail(FailedInput(time_index(1, 3), "s3://archive/001.nc", "FormatError", "damaged", 1))
    layout = plan_layout(gathered)
    assert layout.starts["time"].tolist() == [0, -1, 4]
    assert layout.arrays["v"].metadata.shape == (8, 6)
    assert "damaged" in layout.failed[0]


def test_nothing_to_combine_is_an_error() -> None:
    with pytest.raises(CombineError, match="no input"):
        plan_layout(SchemaAccumulator())


def test_attributes_that_change_no_meaning_are_kept_where_they_never_differ() -> None:
    inputs = [
        (
            time_index(n),
            virtual_file(n, attrs={"long_name": "v", "note": str(n)}).assign_attrs(title="t", history=str(n)),
        )
        for n in range(3)
    ]
    layout, _ = combine(inputs)
    assert layout.groups[""] == {"title": "t"}
    assert layout.arrays["v"].metadata.attributes == {"long_name": "v"}


def test_virtual_bounds_of_times_with_another_epoch_are_refused() -> None:
    def file(number: int, epoch: str) -> xr.Dataset:
        dataset = virtual_file(number)
        times = xr.Variable(
            "time",
            np.datetime64("2000-01-01", "ns") + (4 * number + np.arange(4)) * np.timedelta64(1, "D"),
            {"bounds": "time_bnds"},
            {"units": f"days since {epoch}", "calendar": "standard"},
        )
        bounds = virtual_variable(f"s3://archive/{number:03}.nc", ("time", "n"), (4, 2), (2, 2), dtype="f8")
        return dataset.assign_coords(time=times).assign(time_bnds=bounds)

    text = refusal(file(0, "2000-01-01"), file(1, "2001-01-01"))
    for word in ("time_bnds", "days since 2000-01-01", "days since 2001-01-01", "loadable_variables"):
        assert word in text
