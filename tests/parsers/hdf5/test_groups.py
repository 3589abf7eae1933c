from __future__ import annotations

import h5py
import numpy as np
import pytest

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import InputError, UnsupportedError


def test_groups_of_all_levels_keep_attributes_and_order(hdf5: Hdf5File) -> None:
    with hdf5.write(track_order=True) as file:
        for name in ("z", "a", "m"):
            file.create_group(name, track_order=True).attrs["is"] = name
        file["z/deep/er/v"] = np.arange(3)
        file.create_group("empty")
    group = hdf5.checked()
    assert list(group.groups) == ["z", "a", "m", "empty"]
    assert group.groups["m"].attributes == {"is": "m"}
    assert [path for path, _ in group.walk()] == ["", "z", "z/deep", "z/deep/er", "a", "m", "empty"]


def test_links_give_the_target_under_each_name(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(3)
        file["hard"] = file["v"]
        file["soft"] = h5py.SoftLink("/v")
        file["g/w"] = np.arange(4)
        file["h"] = h5py.SoftLink("/g")
    group = hdf5.checked()
    assert sorted(group.arrays) == ["hard", "soft", "v"]
    assert group.arrays["hard"].manifest == group.arrays["v"].manifest == group.arrays["soft"].manifest
    assert list(group.groups["h"].arrays) == ["w"]


@pytest.mark.parametrize("link", ["hard", "soft"])
def test_cycles_of_groups_end(hdf5: Hdf5File, link: str) -> None:
    with hdf5.write() as file:
        file["g/h/v"] = np.arange(3)
        file["g/h/again"] = file["g"] if link == "hard" else h5py.SoftLink("/g")
        file["g/root"] = file["/"] if link == "hard" else h5py.SoftLink("/")
    assert [path for path, _ in hdf5.checked().walk()] == ["", "g", "g/h"]


def test_named_types_are_no_variables(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["type"] = np.dtype("f4")
        file["v"] = np.arange(3)
    assert list(hdf5.checked()) == ["v"]


def test_links_that_lead_nowhere_are_refused_together(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["good"] = np.arange(3)
        file["dangling"] = h5py.SoftLink("/not/there")
        file["round"] = h5py.SoftLink("/round")
        file["g/external"] = h5py.ExternalLink("gone.h5", "/v")
        file["through"] = h5py.SoftLink("/g/external")
    with pytest.raises(UnsupportedError, match="4 variables") as caught:
        hdf5.parse()
    for path in ("/dangling: it is a link to", "/round: it", "/g/external: it is a link into another", "/through: it"):
        assert path in str(caught.value)
    group = hdf5.checked(unsupported="skip")
    assert list(group.arrays) == ["good"]
    assert set(group.skipped) == {"dangling", "round", "g/external", "through"}


def test_a_group_can_be_taken_alone(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = 1
        file["a/b/v"] = np.arange(3)
        file["a/b"].attrs["x"] = 1
    group = hdf5.parse(group="a/b")
    assert (list(group), group.attributes) == (["v"], {"x": 1})


@pytest.mark.parametrize("name", ["c", "a/c", "v", "a/b/v/w"])
def test_an_absent_group_is_refused_with_those_there_are(hdf5: Hdf5File, name: str) -> None:
    with hdf5.write() as file:
        file["v"] = 1
        file["a/b/v"] = np.arange(3)
    with pytest.raises(InputError, match=r"no group.*'/', '/a', '/a/b'"):
        hdf5.parse(group=name)


@pytest.mark.parametrize(
    ("drop", "left"),
    [(["v"], ["g/w"]), (["g/v"], ["v", "g/w"]), (["/g/v", "w"], ["v"]), (["g"], ["v"])],
)
def test_variables_are_dropped_by_name_or_path_at_all_levels(hdf5: Hdf5File, drop: list[str], left: list[str]) -> None:
    with hdf5.write() as file:
        file["v"] = 1
        file["g/v"] = 2
        file["g/w"] = 3
    group = hdf5.parse(drop_variables=drop)
    assert [f"{path}/{name}".strip("/") for path, part in group.walk() for name in part.arrays] == left
