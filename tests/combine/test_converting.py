"""Stored numbers of one packing in another one: what xarray decodes stays the same, or an error says what cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vz_beam.combine.converting import converted
from vz_beam.errors import RewriteError
from vz_beam.manifests import ArrayMetadata


def stored(dtype: str, **attributes: Any) -> ArrayMetadata:
    """An array as it is stored."""
    return ArrayMetadata((4,), np.dtype(dtype), (4,), attributes=attributes)


def decoded(values: NDArray[Any], metadata: ArrayMetadata) -> NDArray[np.float64]:
    """What xarray reads."""
    variable = xr.Variable(("x",), values, metadata.attributes)
    return np.asarray(xr.conventions.decode_cf_variable("v", variable).values, np.float64)


@pytest.mark.parametrize(
    ("own", "values", "wanted", "expected"),
    [
        (stored("i2", scale_factor=0.1), [4, 5], stored("i2", scale_factor=0.5), [1, 1]),
        (stored("i2", scale_factor=0.1, add_offset=1.0), [0, 40], stored("i2", scale_factor=0.5), [2, 10]),
        (stored("f8"), [1.5, np.nan], stored("i2", scale_factor=0.5, _FillValue=-9), [3, -9]),
        (stored("i2", _FillValue=-1), [5, -1], stored("i2", _FillValue=-999), [5, -999]),
        (stored("i2", missing_value=-1), [5, -1], stored("i2", _FillValue=-999), [5, -999]),
        (stored("i8", _FillValue=-1), [2**62 + 1, -1], stored("i8", _FillValue=0), [2**62 + 1, 0]),
        (stored("i4"), [5, -7], stored("i2"), [5, -7]),
        (stored("f4"), [0.5, np.nan], stored("f8"), [0.5, np.nan]),
        (stored("f8"), [0.1, np.inf], stored("f4"), [np.float32(0.1), np.inf]),
        (stored("i1", _Unsigned="true"), [-1, 3], stored("u1"), [255, 3]),
        (stored("u1"), [255, 3], stored("i1", _Unsigned="true"), [-1, 3]),
        (stored("i2", _FillValue=-1), [7, -1], stored("f4"), [7, np.nan]),
        (stored("f4", _FillValue=np.float32(1e20)), [7, 1e20], stored("f4", _FillValue=-9.0), [7, -9]),
    ],
)
def test_numbers_are_stored_as_others_are(
    own: ArrayMetadata, values: list[Any], wanted: ArrayMetadata, expected: list[Any]
) -> None:
    result = converted(np.array(values, own.dtype), own, wanted, "v")
    assert result.dtype == wanted.dtype
    np.testing.assert_array_equal(result, np.array(expected, wanted.dtype))


@pytest.mark.parametrize(
    ("own", "values", "wanted", "word"),
    [
        (stored("f8"), [1e6], stored("i2", scale_factor=0.1), "1000000.0"),
        (stored("i4"), [70000], stored("i2"), "70000"),
        (stored("f4"), [0.5], stored("i2"), "0.5"),
        (stored("f8"), [1e300], stored("f4"), "1e+300"),
        (stored("f8"), [np.nan], stored("i2", scale_factor=0.1), "_FillValue"),
        (stored("f4"), [np.nan], stored("i2"), "_FillValue"),
        (stored("i2"), [-999], stored("i2", _FillValue=-999), "-999"),
        (stored("f8"), [-99.9], stored("i2", scale_factor=0.1, _FillValue=-999), "-99.9"),
        (stored("i8"), [2**53 + 1], stored("f8"), str(2**53 + 1)),
        (stored("u1"), [255], stored("i1"), "255"),
    ],
)
def test_a_number_that_cannot_be_stored_is_named(
    own: ArrayMetadata, values: list[Any], wanted: ArrayMetadata, word: str
) -> None:
    with pytest.raises(RewriteError) as caught:
        converted(np.array(values, own.dtype), own, wanted, "'v' of a.nc")
    for expected in (word, "'v' of a.nc", "Way out"):
        assert expected in str(caught.value)


PACKINGS = st.fixed_dictionaries(
    {},
    optional={
        "scale_factor": st.sampled_from([0.1, 0.5, 2.0, 1e-3, -0.25]),
        "add_offset": st.sampled_from([0.0, 273.15, -40.0]),
        "_FillValue": st.sampled_from([-99, 0, 77]),
        "missing_value": st.sampled_from([-98, 5]),
    },
)
TYPES = st.sampled_from(["i1", "i2", "u2", "i4", "f4", "f8"])


# xarray warns of what Hypothesis draws on purpose: two values for missing data
@pytest.mark.filterwarnings("ignore:.*multiple fill values:xarray.coding.common.SerializationWarning")
@settings(max_examples=400, deadline=None)
@given(PACKINGS, TYPES, PACKINGS, TYPES, st.lists(st.integers(-100, 100), min_size=1, max_size=6))
def test_what_is_stored_reads_within_half_a_step_or_is_refused(
    own: dict[str, Any], own_type: str, other: dict[str, Any], other_type: str, numbers: list[int]
) -> None:
    mine, theirs = stored(own_type, **own), stored(other_type, **other)
    values = np.array(numbers).astype(mine.dtype)
    try:
        result = converted(values, mine, theirs, "v")
    except RewriteError:
        return
    meant, again = decoded(values, mine), decoded(result, theirs)
    step = abs(other.get("scale_factor", 0.0)) if theirs.dtype.kind != "f" else 0.0
    allowed = step / 2 * 1.001 + np.abs(meant) * 1e-6 + (np.abs(other.get("add_offset", 0.0)) * 1e-6)
    np.testing.assert_array_equal(np.isnan(meant), np.isnan(again))
    assert (np.isnan(meant) | (np.abs(meant - again) <= allowed)).all()
