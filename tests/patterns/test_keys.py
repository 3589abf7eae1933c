from __future__ import annotations

import datetime
import enum
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.errors import PatternError
from vz_beam.patterns.keys import Key, decode_key, describe_key, encode_key, normalise_key

TIMES = st.integers(-(2**62), 2**62).map(lambda nanoseconds: np.datetime64(nanoseconds, "ns"))
KEYS: st.SearchStrategy[Key] = st.one_of(
    st.text(), st.integers(), st.floats(allow_nan=False).map(lambda key: key + 0.0), TIMES, st.none()
)


class Member(enum.StrEnum):
    FIRST = "r1i1p1f1"


@pytest.mark.parametrize(
    ("given_key", "key"),
    [
        ("sst", "sst"),
        (np.str_("sst"), "sst"),
        (Member.FIRST, "r1i1p1f1"),
        (np.int8(3), 3),
        (True, 1),
        (np.bool_(False), 0),
        (np.float32(0.5), 0.5),
        (datetime.date(1999, 1, 4), np.datetime64("1999-01-04", "ns")),
        (datetime.datetime(1999, 1, 4, 5, 6, 7, 8), np.datetime64("1999-01-04T05:06:07.000008", "ns")),
        (np.datetime64("1999-01"), np.datetime64("1999-01-01", "ns")),
        (pd.Timestamp("1999-01-04T00:00:00.000000001"), np.datetime64("1999-01-04T00:00:00.000000001", "ns")),
        (None, None),
    ],
)
def test_a_key_becomes_a_plain_scalar_or_nanoseconds(given_key: Any, key: Key) -> None:
    plain = normalise_key(given_key, "time")
    assert encode_key(plain) == encode_key(key)
    assert type(plain) is type(key)


@pytest.mark.parametrize(
    "key",
    [b"sst", 1j, ("a",), np.timedelta64(1, "D"), pd.Period("1999-01"), cftime.DatetimeNoLeap(1999, 1, 4), np.arange(2)],
)
def test_another_type_is_refused_with_the_three_ways(key: Any) -> None:
    with pytest.raises(PatternError, match=r"'time' has the key .*a text .*a number .*or a time"):
        normalise_key(key, "time")


@pytest.mark.parametrize("key", [float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NaT])
def test_a_key_that_equals_nothing_is_refused(key: Any) -> None:
    with pytest.raises(PatternError, match="equals nothing"):
        normalise_key(key, "time")


@pytest.mark.parametrize("key", [datetime.datetime(3000, 1, 1), datetime.date(1, 1, 1), np.datetime64("5000", "Y")])
def test_a_time_that_nanoseconds_cannot_say_is_refused(key: Any) -> None:
    with pytest.raises(PatternError, match=r"cannot say.*Way out"):
        normalise_key(key, "time")


@pytest.mark.parametrize("key", [datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC), pd.Timestamp("2000", tz="UTC")])
def test_a_time_with_a_zone_is_refused(key: Any) -> None:
    with pytest.raises(PatternError, match="with a time zone"):
        normalise_key(key, "time")


@given(KEYS)
def test_a_key_survives_being_written(key: Key) -> None:
    again = decode_key(*encode_key(key))
    assert type(again) is type(key)
    assert again == key


@given(KEYS)
def test_normalising_twice_changes_nothing(key: Key) -> None:
    once = normalise_key(key, "x")
    assert encode_key(normalise_key(once, "x")) == encode_key(once) == encode_key(key)


def test_an_unknown_type_of_key_is_refused() -> None:
    with pytest.raises(PatternError, match="no type of key"):
        decode_key("complex", "1j")


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("1999-01-04", "1999-01-04"),
        ("1999-01-04T10:00", "1999-01-04T10:00:00"),
        ("1999-01-04T00:00:00.5", "1999-01-04T00:00:00.5"),
        ("1999-01-04T10:20:30.000000001", "1999-01-04T10:20:30.000000001"),
    ],
)
def test_a_time_is_shown_as_short_as_it_is_exact(time: str, text: str) -> None:
    assert describe_key(np.datetime64(time, "ns")) == text
