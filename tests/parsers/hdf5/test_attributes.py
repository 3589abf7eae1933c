from __future__ import annotations

import json
import math
from typing import Any

import h5py
import numpy as np
import pytest

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import UnsupportedError

VALUES: dict[str, tuple[Any, Any]] = {
    "text": ("metres", "metres"),
    "accented": ("größe", "größe"),
    "empty_text": ("", ""),
    "fixed_text": (np.bytes_(b"abc"), "abc"),
    "texts": (["a", "", "ü"], ["a", "", "ü"]),
    "fixed_texts": (np.array([b"ab", b"c"]), ["ab", "c"]),
    "latin1": (np.bytes_(b"\xff\xfe"), "ÿþ"),
    "integer": (np.int16(-3), -3),
    "one_element": (np.array([7.5]), 7.5),
    "one_text": (np.array(["x"], dtype=object), "x"),
    "several": (np.arange(3, dtype=">f4"), [0.0, 1.0, 2.0]),
    "no_elements": (np.array([], "f8"), []),
    "two_axes": (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    "large": (np.uint64(2**64 - 1), 2**64 - 1),
    "infinite": (np.float32("inf"), math.inf),
    "half": (np.float16(0.5), 0.5),
    "truth": (np.bool_(True), True),
    "complex": (np.complex64(1 + 2j), [1.0, 2.0]),
    "nothing": (h5py.Empty("f4"), None),
    "compound": (np.array((1, b"x"), dtype=[("a", "i4"), ("b", "S1")]), [1, "x"]),
    "opaque": (np.void(b"\x01\x02"), "0102"),
    "exact": (np.float32(0.1), float(np.float32(0.1))),
}


@pytest.mark.parametrize("name", VALUES)
def test_attributes_are_what_json_can_say(hdf5: Hdf5File, name: str) -> None:
    written, expected = VALUES[name]
    with hdf5.write() as file:
        file["v"] = 1
        file["v"].attrs[name] = written
        file.attrs[name] = written
    group = hdf5.parse()
    for attributes in (group.attributes, group.arrays["v"].metadata.attributes):
        assert attributes == {name: expected}
        assert type(attributes[name]) is type(expected)
        assert json.loads(json.dumps(attributes)) == attributes


def test_not_a_number_stays_one(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.attrs["nan"] = np.nan
    assert math.isnan(hdf5.parse().attributes["nan"])


@pytest.mark.parametrize("shape", [(2**40, 0), (2**62, 2**62, 0)])
def test_billions_of_empty_rows_are_no_elements(hdf5: Hdf5File, shape: tuple[int, ...]) -> None:
    with hdf5.write() as file:
        h5py.h5a.create(file.id, b"rows", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple(shape))
    assert hdf5.parse().attributes == {"rows": []}


def test_attributes_stand_in_the_order_of_their_creation(hdf5: Hdf5File) -> None:
    names = [f"n{number}" for number in (9, 2, 7, 1, 30, 4, 8, 11, 12, 5)]
    with hdf5.write(track_order=True) as file:
        for name in names:
            file.attrs[name] = name
    assert list(hdf5.parse().attributes) == names


def test_a_reference_becomes_the_path_of_its_target(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["g/target"] = 1
        file.attrs["one"] = file["g/target"].ref
        file.attrs["more"] = np.array([file["g"].ref, h5py.Reference()], dtype=h5py.ref_dtype)
    assert hdf5.parse().attributes == {"one": "/g/target", "more": ["/g", None]}


def test_a_reference_to_what_was_deleted_is_null(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["g/target"] = np.arange(6)
        file["v"] = np.arange(3)
        file["v"].attrs["one"] = file["g/target"].ref
        file["v"].attrs["more"] = np.array([file["g/target"].ref, file["g"].ref], dtype=h5py.ref_dtype)
        file["v"].attrs.create("part", file["g/target"].regionref[2:4], dtype=h5py.regionref_dtype)
        del file["g/target"]
    attributes = hdf5.checked().arrays["v"].metadata.attributes
    assert attributes == {"one": None, "more": [None, "/g"], "part": None}


def test_users_may_have_attributes_named_as_those_of_scales(hdf5: Hdf5File) -> None:
    own = {"CLASS": "IMAGE", "NAME": "my name", "REFERENCE_LIST": "mine", "DIMENSION_LIST": "mine too"}
    with hdf5.write() as file:
        file["v"] = np.arange(3)
        for name, value in own.items():
            file["v"].attrs[name] = value
    assert hdf5.parse().arrays["v"].metadata.attributes == own


def test_what_scales_and_netcdf_keep_for_themselves_is_hidden(hdf5: Hdf5File) -> None:
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("x", 3)
        file.createDimension("y", 2)
        file.createVariable("x", "f4", ("x",)).units = "m"
        file.createVariable("v", "f4", ("y", "x")).units = "K"
    group = hdf5.parse()
    assert group.attributes == {}
    assert [array.metadata.attributes for array in group.arrays.values()] == [{"units": "m"}, {"units": "K"}]


@pytest.mark.parametrize(
    ("dtype", "written", "expected"),
    [
        ("i2", np.array([-999], "i2"), -999),
        ("i2", -999.0, -999),
        ("f4", np.float64(1e20), float(np.float32(1e20))),
        ("i1", np.uint8(255), 255),
        ("i2", 0.5, 0.5),
        ("i4", np.array([1, 2]), [1, 2]),
        ("c8", np.complex64(1 + 2j), [1.0, 2.0]),
        ("?", True, True),
        ("S1", np.bytes_(b"x"), "x"),
    ],
)
def test_a_cf_fill_is_a_number_of_the_variables_type_where_that_can_hold_it(
    hdf5: Hdf5File, dtype: str, written: Any, expected: Any
) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (2,), dtype=dtype).attrs["_FillValue"] = written
    metadata = hdf5.parse().arrays["v"].metadata
    assert metadata.attributes == {"_FillValue": expected}
    assert type(metadata.attributes["_FillValue"]) is type(expected)
    assert metadata.fill_value in (0, b""), "the storage fill is another thing"


@pytest.mark.parametrize("dtype", ["f4", "c8", "i2", "?", "S1"])
@pytest.mark.parametrize("written", [h5py.Empty("f4"), "none", np.array([], "f8")])
def test_a_cf_fill_that_no_number_can_equal_is_left_out(hdf5: Hdf5File, dtype: str, written: Any) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (2,), dtype=dtype).attrs["_FillValue"] = written
    attributes = hdf5.checked().arrays["v"].metadata.attributes
    assert attributes == ({"_FillValue": "none"} if dtype == "S1" and isinstance(written, str) else {})


@pytest.mark.parametrize("dtype", ["f4", "c8"])
def test_more_than_one_cf_fill_is_refused_where_a_store_holds_one(hdf5: Hdf5File, dtype: str) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (2,), dtype=dtype).attrs["_FillValue"] = np.array([1, 2, 3], dtype)
    with pytest.raises(UnsupportedError, match="/v: its attribute _FillValue has 3 values"):
        hdf5.parse()
