"""Files with groups: each group is combined with those of its path in the other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from vz_beam.errors import InputError, MismatchError


def write_volumes(folder: Path, count: int = 3, *, with_root: bool = False) -> list[str]:
    """Radar volumes of two sweeps, whose sizes differ, below a root of nothing but attributes."""
    files = []
    for number in range(count):
        path = folder / f"volume_{number}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["station"] = "here"
            for sweep, bins in (("dataset1", 5), ("dataset2", 7)):
                data = np.arange(4 * bins, dtype="u1").reshape(4, bins) + 10 * number
                file.create_dataset(f"{sweep}/data1/data", data=data, chunks=(2, bins), compression="gzip")
                file[sweep].attrs["angle"] = 0.5
            if with_root:
                file["latitude"] = 50.0
        files.append(str(path))
    return files


def opened(store: Path, group: str) -> xr.Dataset:
    options = {"fo": str(store), "remote_protocol": "file"}
    return xr.open_dataset("reference://", engine="zarr", group=group, backend_kwargs={"storage_options": options})


@pytest.mark.parametrize("workers", [1, 2])
def test_each_group_is_joined_with_its_likes_in_the_other_files(workers: int, tmp_path: Path) -> None:
    files = write_volumes(tmp_path)
    store = tmp_path / "store.parquet"
    summary = vz_beam.build(files, store, concat_dim="time", tree=True, workers=workers, progress=False)
    assert summary.arrays == 3
    for sweep in ("dataset1", "dataset2"):
        values = []
        for file in files:
            with h5py.File(file) as original:
                values.append(original[f"{sweep}/data1/data"][...])
        with opened(store, f"{sweep}/data1") as ours:
            assert ours["data"].dims[0] == "time"
            np.testing.assert_array_equal(ours["data"].values, np.stack(values))
        with opened(store, sweep) as ours:
            assert ours.attrs["angle"] == 0.5


def test_a_group_that_differs_is_named_with_its_path(tmp_path: Path) -> None:
    files = write_volumes(tmp_path)
    with h5py.File(files[1], "r+") as file:
        file["dataset2/data1/data"].attrs["units"] = "dBZ"
    with pytest.raises(
        MismatchError, match=r"'dataset2/data1/data' attribute units: absent in .*_0.h5, 'dBZ' in .*_1.h5"
    ):
        vz_beam.build(files, tmp_path / "store.json", concat_dim="time", tree=True, progress=False)


def test_a_file_that_lacks_a_group_is_named(tmp_path: Path) -> None:
    files = write_volumes(tmp_path)
    with h5py.File(files[2], "r+") as file:
        del file["dataset2"]
    store = tmp_path / "store.json"
    with pytest.raises(MismatchError, match=r"'dataset2/data1/data' is in .*_0.h5 and not in .*_2.h5"):
        vz_beam.build(files, store, concat_dim="time", tree=True, progress=False)
    summary = vz_beam.build(files, store, concat_dim="time", tree=True, progress=False, variables="intersection")
    assert summary.arrays == 2


def test_files_whose_variables_are_all_in_groups_are_refused_unless_groups_are_asked_for(tmp_path: Path) -> None:
    files = write_volumes(tmp_path)
    store = tmp_path / "store.json"
    with pytest.raises(InputError) as caught:
        vz_beam.build(files, store, concat_dim="time", progress=False)
    for word in ("volume_0.h5", "no variable in group '/'", "dataset1/data1", "dataset2/data1", "tree=True", "group="):
        assert word in str(caught.value)
    summary = vz_beam.build(files, store, concat_dim="time", group="dataset1/data1", progress=False)
    assert summary.dimensions["time"] == 3


def test_variables_of_the_root_are_taken_without_the_groups_below(tmp_path: Path) -> None:
    files = write_volumes(tmp_path, with_root=True)
    summary = vz_beam.build(files, tmp_path / "store.json", concat_dim="time", progress=False)
    assert summary.arrays == 2


def test_preprocess_gets_the_tree(tmp_path: Path) -> None:
    def first_sweep(tree: Any) -> Any:
        assert isinstance(tree, xr.DataTree)
        return tree["dataset1"]

    store = tmp_path / "store.parquet"
    summary = vz_beam.build(
        write_volumes(tmp_path), store, concat_dim="time", tree=True, preprocess=first_sweep, progress=False
    )
    assert summary.arrays == 2
    with opened(store, "data1") as ours:
        assert ours.sizes["time"] == 3
