"""Groups of virtual arrays."""

from __future__ import annotations

import pytest

from tests.manifests.test_array import array
from vz_beam.errors import ManifestError
from vz_beam.manifests import ManifestGroup


def test_groups_are_equal_where_all_that_they_hold_is() -> None:
    def group(url: str) -> ManifestGroup:
        return ManifestGroup({"v": array(url=url)}, {"g": ManifestGroup({"w": array(url=url)})}, {"title": "t"})

    assert group("s3://b/a") == group("s3://b/a")
    assert group("s3://b/a") != group("s3://b/b")


def test_paths_reach_into_groups() -> None:
    inner = array()
    group = ManifestGroup({"v": array()}, {"g": ManifestGroup({"w": inner})})
    assert group["g/w"] is inner
    assert list(group) == ["v", "g"]
    assert [path for path, _ in group.walk()] == ["", "g"]
    assert group.nbytes_virtual == 2 * 4 * 6 * 4


def test_one_name_for_an_array_and_a_group_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"\['v'\]"):
        ManifestGroup({"v": array()}, {"v": ManifestGroup()})
