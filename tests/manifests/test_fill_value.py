import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from vz_beam.errors import FormatError
from vz_beam.manifests.fill_value import decode_fill, default_fill, encode_fill

STRUCT = [("a", "<i4"), ("b", "<f8")]


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [
        ("?", True, True),
        ("i1", -3, -3),
        ("u8", 2**64 - 1, 2**64 - 1),
        ("f4", 0.1, 0.10000000149011612),
        ("f4", np.nan, "NaN"),
        ("f8", np.inf, "Infinity"),
        ("f2", -np.inf, "-Infinity"),
        ("c8", complex(np.nan, 1), ["NaN", 1.0]),
        ("S5", b"ab\xff", "YWL/"),
        ("U3", "é", "é"),
        ("V4", b"abcd", "YWJjZA=="),
        ("M8[s]", np.datetime64(7, "s"), 7),
        ("m8[ns]", np.timedelta64("NaT"), -(2**63)),
        (STRUCT, (3, np.nan), "AwAAAAAAAAAAAPh/"),
    ],
)
def test_a_fill_value_is_said_as_zarr_says_it(dtype: Any, value: Any, text: Any) -> None:
    scalar = np.array(value, dtype)[()]
    assert encode_fill(scalar, np.dtype(dtype)) == text
    back = decode_fill(json.loads(json.dumps(text)), np.dtype(dtype))
    assert np.array(back, dtype).tobytes() == np.array(scalar, dtype).tobytes()


@given(st.data())
def test_every_number_comes_back(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["?", "i1", "i8", "u2", "u8", "f2", "f4", "f8", "c8", "c16"]))
    scalar = data.draw(npst.from_dtype(np.dtype(dtype), allow_subnormal=False))
    back = decode_fill(json.loads(json.dumps(encode_fill(scalar, np.dtype(dtype)))), np.dtype(dtype))
    np.testing.assert_array_equal(back, scalar)


def test_an_undefined_fill_stays_undefined() -> None:
    assert encode_fill(None, np.dtype("f4")) is None
    assert decode_fill(None, np.dtype("f4")) is None


def test_strings_of_any_length_are_texts() -> None:
    assert encode_fill("hé", np.dtypes.StringDType()) == "hé"
    assert decode_fill("hé", np.dtypes.StringDType()) == "hé"
    assert default_fill(np.dtypes.StringDType()) == ""


@pytest.mark.parametrize(("text", "value"), [("0x7fc00000", np.nan), ("0x3f800000", 1.0)], ids=["not a number", "one"])
def test_the_bits_of_a_float_may_be_given(text: str, value: float) -> None:
    np.testing.assert_array_equal(decode_fill(text, np.dtype("f4")), np.float32(value))


def test_raw_bytes_may_be_a_list() -> None:
    assert decode_fill([97, 98], np.dtype("V2")).tobytes() == b"ab"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("i1", 300), ("i2", 0.5), ("f4", "none"), ("V4", "??"), ("V4", "YQ=="), ("c8", "a"), ("u1", "x")],
)
def test_a_value_that_the_type_cannot_hold_is_refused(dtype: str, value: Any) -> None:
    with pytest.raises(FormatError, match="is none of data type"):
        decode_fill(value, np.dtype(dtype))
