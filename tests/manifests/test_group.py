"""Groups of virtual arrays."""

from __future__ import annotations

import pytest

from tests.manifests.test_array import array
from vz_beam.errors import ManifestError
from vz_beam.manifests import ManifestArray, ManifestGroup


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


def test_a_group_is_a_mapping_with_the_errors_of_one() -> None:
    group = ManifestGroup({"v": array()}, {"g": ManifestGroup({"w": array()})})
    assert "g/w" in group
    assert (len(group), dict(group.items())["v"]) == (2, group.arrays["v"])
    for path in ("x", "v/x", "g/x", "x/w"):
        assert path not in group
        with pytest.raises(KeyError):
            group[path]
    with pytest.raises(TypeError, match="array v passed is of type <class 'int'>"):
        ManifestGroup({"v": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="'g' is a dict"):
        ManifestGroup(groups={"g": {}})  # type: ignore[dict-item]


def test_a_group_becomes_a_virtual_dataset() -> None:
    coordinate = array((4,), (4,), dimension_names=("t",))
    group = ManifestGroup(
        {"v": array(dimension_names=("t", "x")), "t": coordinate, "area": array(dimension_names=("t", "x"))},
        {"g": ManifestGroup({"w": array(dimension_names=("y", "z"))})},
        {"title": "T", "coordinates": "area"},
    )
    dataset = group.to_virtual_dataset()
    assert (set(dataset.coords), list(dataset.data_vars), dataset.attrs) == ({"t", "area"}, ["v"], {"title": "T"})
    assert all(isinstance(variable.data, ManifestArray) for variable in dataset.variables.values())
    assert list(group.to_virtual_datasets()) == ["", "g"]
    assert group.to_virtual_datatree()["g/w"].shape == (4, 6)
    with pytest.raises(ManifestError, match="no names"):
        ManifestGroup({"v": array()}).to_virtual_dataset()
