"""Many files opened as one tree, whose groups are joined each by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from vz_beam import open_virtual_mfdatatree
from vz_beam.errors import MismatchError
from vz_beam.manifests import ManifestArray


@pytest.fixture
def trees(tmp_path: Path) -> list[str]:
    paths = []
    for number in range(3):
        path = str(tmp_path / f"tree_{number}.nc")
        time = {"time": np.arange(2.0) + 2 * number}
        root = xr.Dataset(coords=time, attrs={"title": f"tree {number}"})
        root.to_netcdf(path, engine="h5netcdf")
        parts = {
            "air": xr.Dataset({"t": (("time", "x"), np.full((2, 3), number, "i4"))}),
            "air/deep": xr.Dataset({"p": ("time", np.arange(2.0) + number)}, attrs={"number": number}),
            "static": xr.Dataset({"mask": ("x", np.arange(3))}),
        }
        for group, part in parts.items():
            part.to_netcdf(path, engine="h5netcdf", group=group, mode="a")
        paths.append(path)
    return paths


@pytest.mark.parametrize("combine", [{}, {"combine": "nested", "concat_dim": "time"}])
@pytest.mark.parametrize("parallel", [False, ThreadPoolExecutor])
def test_trees_are_joined_group_by_group(parallel: Any, combine: dict[str, Any], trees: list[str]) -> None:
    tree = open_virtual_mfdatatree(trees, parallel=parallel, **combine)
    assert set(tree.groups) == {"/", "/air", "/air/deep", "/static"}
    assert np.asarray(tree["time"]).tolist() == [0, 1, 2, 3, 4, 5]
    air = tree.children["air"]
    assert "time" in air.to_dataset(inherit=True).coords
    assert "time" not in air.to_dataset(inherit=False).coords
    assert isinstance(tree["air/t"].data, ManifestArray)
    assert tree["static/mask"].dims == ("x",)  # of no dimension that is joined
    options = {"storage_options": {"fo": tree.vz.to_kerchunk()}}
    with xr.open_dataset("reference://", engine="zarr", group="air", backend_kwargs=options) as part:
        assert part["t"].values[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    with xr.open_dataset("reference://", engine="zarr", group="air/deep", backend_kwargs=options) as deep:
        assert deep["p"].values.tolist() == [0, 1, 1, 2, 2, 3]


def test_attributes_of_a_tree_are_those_of_the_named_file(trees: list[str]) -> None:
    tree = open_virtual_mfdatatree(trees, attrs_file=trees[2])
    assert tree.attrs == {"title": "tree 2"}
    assert tree["air/deep"].attrs == {"number": 2}


def test_a_group_that_one_file_lacks_is_refused_by_name(trees: list[str]) -> None:
    with h5py.File(trees[1], "a") as raw:
        del raw["static"]
    with pytest.raises(MismatchError, match=r"group '/static' is in .*tree_0.nc and not in .*tree_1.nc"):
        open_virtual_mfdatatree(trees)


def test_trees_are_preprocessed_and_failures_left_out(trees: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.nc").write_text("no such format")
    tree = open_virtual_mfdatatree(
        [*trees, tmp_path / "bad.nc"], errors="ignore", preprocess=lambda tree: tree.drop_nodes("static")
    )
    assert set(tree.groups) == {"/", "/air", "/air/deep"}
    assert tree.sizes["time"] == 6
