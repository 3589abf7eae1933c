"""Arrays of one value."""

from __future__ import annotations

import numpy as np
import pytest

from vz_beam.errors import NeedsValuesError
from vz_beam.manifests.constant_array import AssumedArray, ConstantArray, compact, constant

HUGE = (10**6, 10**6)


def test_answers_are_joined_in_the_memory_of_one_element() -> None:
    joined = (constant(True, HUGE) | constant(False, HUGE)) & ~constant(False, HUGE)
    assert isinstance(joined, ConstantArray)
    assert compact(joined).size == 1
    assert joined.all()
    assert not np.any(~joined)
    assert joined.astype("i4")[3, 4] == 1


def test_other_operations_are_those_of_numpy() -> None:
    small = constant(2, (2, 3))
    assert small.sum() == 12
    assert small.all(axis=0).tolist() == [True] * 3
    assert (small + np.arange(3)).tolist() == [[2, 3, 4]] * 2
    assert (small + small[0]).tolist() == [[4, 4, 4]] * 2
    assert constant(True, (0, 3)).all()
    assert not constant(True, (0, 3)).any()


def test_what_is_assumed_counts_only_beside_what_is_known() -> None:
    assumed = constant(False, HUGE, AssumedArray)
    assert (constant(True, HUGE) | (assumed & assumed)).all()
    for operation in (np.all, np.any, np.sum):
        with pytest.raises(NeedsValuesError, match="not known"):
            operation(~assumed)
