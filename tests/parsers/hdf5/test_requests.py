"""How many requests a remote file takes, one after the other, and how many bytes."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.datasets.opening import open_virtual_dataset
from vz_beam.manifests.array import ManifestArray
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage import folder_source, source_pool
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog

MOST_ROUNDS, MOST_ROUNDS_OF_LARGE_INDEX = 3, 5
CHUNKS = 10_000
CHUNK = zlib.compress(bytes(range(16)))
MOST_BYTES_A_CHUNK = 60
"""Of memory, above the bytes of metadata that are read."""


def written(path: Path, engine: Any, variables: int, unlimited: bool) -> None:
    """A netCDF-4 file of 2 to 7 MB with loaded coordinates time, lat and lon."""
    rng = np.random.default_rng(0)
    shape = (40, 90, 180)
    dataset = xr.Dataset(
        {
            f"v{number}": (
                ("time", "lat", "lon"),
                rng.normal(size=shape).astype("f4"),
                {"units": "K", "long_name": "v"},
            )
            for number in range(variables)
        },
        {
            "time": ("time", np.arange(40.0), {"units": "days since 2000-01-01"}),
            "lat": ("lat", np.linspace(-89, 89, 90), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(0, 358, 180), {"units": "degrees_east"}),
        },
        {f"attribute {number}": "some text " * 5 for number in range(20)},
    )
    encoding = {name: {"zlib": True, "chunksizes": (1, 90, 180)} for name in dataset.data_vars}
    dataset.to_netcdf(path, engine=engine, encoding=encoding, unlimited_dims=["time"] if unlimited else None)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> list[RequestLog]:
    """The logs of all sources that are opened from now on."""
    found: list[RequestLog] = []

    def logged(*arguments: Any, **options: Any) -> RequestLog:
        found.append(RequestLog(open_source(*arguments, **options)))
        return found[-1]

    monkeypatch.setattr(source_pool, "open_source", logged)
    monkeypatch.setattr(folder_source, "open_source", logged)
    return found


@pytest.mark.parametrize("unlimited", [False, True])
@pytest.mark.parametrize("variables", [1, 3])
@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_a_netcdf_file_takes_few_rounds_with_its_coordinates(
    tmp_path: Path, logs: list[RequestLog], engine: str, variables: int, unlimited: bool
) -> None:
    path = tmp_path / "a.nc"
    written(path, engine, variables, unlimited)
    dataset = open_virtual_dataset(path)
    (log,) = logs
    assert log.rounds <= MOST_ROUNDS
    assert log.nbytes < 120_000 * (variables + 2)
    with xr.open_dataset(path, engine="h5netcdf") as expected:
        assert np.array_equal(dataset["lat"].values, expected["lat"].values)
        assert np.array_equal(dataset["time"].values, expected["time"].values)


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_structure_that_is_chained_over_the_whole_file_takes_one_round_more(
    tmp_path: Path, logs: list[RequestLog], engine: str
) -> None:
    path = tmp_path / "a.nc"
    written(path, engine, 7, False)
    open_virtual_dataset(path)
    assert logs[0].rounds <= MOST_ROUNDS + 1


INDEXES = pytest.mark.parametrize(
    ("libver", "maxshape"),
    [("earliest", None), ("latest", None), ("latest", (None, 16)), ("latest", (None, None))],
    ids=["B-tree v1", "fixed array", "extensible array", "B-tree v2"],
)


def write_chunks(hdf5: Hdf5File, count: int, libver: Any, maxshape: Any) -> None:
    """``count`` chunks of 16 bytes of a variable ``v``."""
    with hdf5.write(libver=libver) as file:
        made = file.create_dataset(
            "v", (count, 16), "u1", chunks=(1, 16), maxshape=maxshape, compression="gzip", track_order=True
        )
        for number in range(count):
            made.id.write_direct_chunk((number, 0), CHUNK)


@INDEXES
def test_a_large_chunk_index_takes_few_rounds(hdf5: Hdf5File, libver: Any, maxshape: Any) -> None:
    write_chunks(hdf5, CHUNKS, libver, maxshape)
    log = RequestLog(open_source(str(hdf5.path)))
    array = HDFParser().parse(log)["v"]
    log.close()
    assert isinstance(array, ManifestArray)
    assert len(array.manifest) == CHUNKS
    assert log.rounds <= MOST_ROUNDS_OF_LARGE_INDEX


@pytest.mark.parametrize("wrap", [lambda source: source, RequestLog], ids=["local", "by ranges"])
@INDEXES
def test_memory_stays_small_beside_what_is_read(hdf5: Hdf5File, libver: Any, maxshape: Any, wrap: Any) -> None:
    count = 40_000
    write_chunks(hdf5, 1, libver, maxshape)
    HDFParser().parse(wrap(open_source(str(hdf5.path))))  # imports, and what is made once
    write_chunks(hdf5, count, libver, maxshape)
    with wrap(open_source(str(hdf5.path))) as source:
        tracemalloc.start()
        try:
            group = HDFParser().parse(source)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        read = source.nbytes if isinstance(source, RequestLog) else hdf5.path.stat().st_size - count * len(CHUNK)
    assert isinstance(group["v"], ManifestArray)
    assert group["v"].manifest.nrefs == count
    assert peak - read < MOST_BYTES_A_CHUNK * count


def test_rounds_do_not_grow_with_the_number_of_variables(hdf5: Hdf5File) -> None:
    with hdf5.write(libver="latest") as file:
        for number in range(2000):
            file[f"v{number}"] = np.arange(5)
    log = RequestLog(open_source(str(hdf5.path)))
    group = HDFParser().parse(log)
    log.close()
    assert len(group) == 2000
    assert log.rounds <= MOST_ROUNDS_OF_LARGE_INDEX


def test_only_the_group_that_is_wanted_is_read_ahead(hdf5: Hdf5File) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 200_000, dtype=np.uint8)
    with hdf5.write() as file:
        for number in range(30):
            file[f"g{number}/v"] = noise
    log = RequestLog(open_source(str(hdf5.path)))
    assert list(HDFParser(group="g7").parse(log)) == ["v"]
    log.close()
    assert log.nbytes < hdf5.path.stat().st_size / 5
