"""Archives on servers that fail at a fifth of all requests: every file arrives, with the values that it has."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from integration.servers.fault_server import KINDS, FaultServer

FILES = 2_000
SHAPE = (2, 3)


def write_archive(folder: Path, offset: float = 0.0) -> dict[str, Path]:
    """Files of one ``v(time, x)`` and its coordinates; those of another offset are as long."""
    folder.mkdir(parents=True)
    files = {}
    for number in range(FILES):
        path = folder / f"{number:05}.nc"
        with h5py.File(path, "w") as file:
            for name, values in (("time", number * 2 + np.arange(2.0)), ("x", np.arange(3.0))):
                file[name] = values
                file[name].make_scale(name)
            file["v"] = offset + 10 * number + np.arange(6.0).reshape(SHAPE)
            for axis, name in enumerate(("time", "x")):
                file["v"].dims[axis].attach_scale(file[name])
        files[path.name] = path
    return files


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_archive(tmp_path_factory.mktemp("faults") / "now")


def test_all_files_of_a_server_that_fails_arrive(archive: dict[str, Path], tmp_path: Path) -> None:
    older = {path.name: path for path in write_archive(tmp_path / "older", offset=0.5).values()}
    store = tmp_path / "store.parquet"
    with FaultServer(archive, older=older, seed=1) as server:
        urls = [f"{server.url}/{name}" for name in sorted(archive)]
        summary = vz_beam.build(urls, store, concat_dim="time", attempts=8, workers=6, progress=False)
        assert summary.files == FILES
        assert summary.failures == ()
        assert set(server.faults) == set(KINDS)
        assert sum(server.faults.values()) > 0.15 * len(server.requests)
        assert [name for name in archive if name not in {one.path for one in server.requests}] == []
        server.share = 0
        with xr.open_dataset(str(store), engine="kerchunk") as opened:
            values = opened["v"].values
    np.testing.assert_array_equal(values[::2, 0], 10 * np.arange(FILES))
    np.testing.assert_array_equal(values[1::2, 2], 10 * np.arange(FILES) + 5)


def test_chunks_are_read_through_faults(archive: dict[str, Path], tmp_path: Path) -> None:
    store = tmp_path / "store.parquet"
    with FaultServer(archive, share=0, seed=2) as server:
        urls = [f"{server.url}/{name}" for name in sorted(archive)[:400]]
        vz_beam.build(urls, store, concat_dim="time", progress=False)
        server.share = 0.2
        with xr.open_dataset(str(store), engine="vz_beam") as opened:
            np.testing.assert_array_equal(opened["v"].values[::2, 0], 10 * np.arange(400))
        assert sum(server.faults.values()) > 40
