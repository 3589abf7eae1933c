from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vz_beam.patterns import natural_key


def test_numbers_in_names_are_compared_as_numbers() -> None:
    names = ["f10.nc", "f9.nc", "f1.nc", "f010.nc", "g1.nc", "f9b.nc", "f.nc"]
    assert sorted(names, key=natural_key) == ["f1.nc", "f9.nc", "f9b.nc", "f010.nc", "f10.nc", "f.nc", "g1.nc"]


@given(st.integers(min_value=0), st.integers(min_value=0))
def test_two_numbers_stand_as_they_count(one: int, other: int) -> None:
    assert (natural_key(f"f{one}.nc") < natural_key(f"f{other}.nc")) == (one < other)


@given(st.lists(st.text(alphabet="a0129/é٣"), unique=True))
def test_any_names_have_one_order(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(names[1:] + names[:1], key=natural_key)


def test_a_number_longer_than_python_reads_is_no_trouble() -> None:
    assert natural_key("f" + "1" * 5000) > natural_key("f" + "1" * 4999)
