"""Files on a server that is slow, or stops: nothing hangs, and little is asked one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from integration.servers.range_server import RangeServer
from vz_beam import open_virtual_dataset
from vz_beam.errors import SourceError
from vz_beam.testing.sample_files import write_daily_files

FILES, THREADS = 200, 8
LATENCY_SECONDS = 0.05


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A netCDF-4 file of 7 MB: three variables, and the coordinates time, lat and lon."""
    path = tmp_path_factory.mktemp("remote") / "air.nc"
    times, lat, lon = np.arange(40.0), np.linspace(-89, 89, 90), np.linspace(0, 358, 180)
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            name: (("time", "lat", "lon"), rng.normal(size=(40, 90, 180)).astype("f4"), {"units": "K"})
            for name in ("air", "sea", "land")
        },
        {"time": ("time", times, {"units": "days since 2000-01-01"}), "lat": lat, "lon": lon},
        {f"attribute {number}": "text " * 10 for number in range(20)},
    )
    encoding = {name: {"zlib": True, "chunksizes": (1, 90, 180)} for name in dataset.data_vars}
    dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return {f"air-{number}.nc": path for number in range(FILES)}


def test_a_file_takes_at_most_three_rounds_of_requests_with_its_coordinates(archive: dict[str, Path]) -> None:
    with RangeServer(archive, LATENCY_SECONDS) as server:
        dataset = open_virtual_dataset(f"{server.url}/air-0.nc")
        assert server.rounds <= 3
        assert server.nbytes < 500_000
    expected = xr.open_dataset(archive["air-0.nc"], engine="netcdf4")
    for name in ("time", "lat", "lon"):
        assert np.array_equal(dataset[name].values, expected[name].values)
    expected.close()


@pytest.mark.parametrize("way", [lambda url: url, lambda url: f"simplecache::{url}"], ids=["obstore", "fsspec"])
def test_eight_threads_open_many_remote_files(archive: dict[str, Path], way: Callable[[str], str]) -> None:
    with RangeServer(archive, 0.002) as server, ThreadPoolExecutor(THREADS) as pool:
        began = time.monotonic()
        urls = [way(f"{server.url}/{name}") for name in archive]
        lengths = list(pool.map(lambda url: float(open_virtual_dataset(url)["lat"].sum()), urls, timeout=120))
        assert time.monotonic() - began < 120
    assert lengths == [pytest.approx(0.0)] * FILES


def test_a_server_that_stops_in_the_middle_is_an_error_in_time(archive: dict[str, Path]) -> None:
    with RangeServer(archive, stalled=frozenset(["air-0.nc"])) as server:
        began = time.monotonic()
        options = {"client_options": {"timeout": "1s", "allow_http": True}, "retry_config": {"max_retries": 0}}
        with pytest.raises(SourceError, match=r"air-0\.nc"):
            open_virtual_dataset(f"{server.url}/air-0.nc", storage_options=options)
        assert time.monotonic() - began < 20
    assert threading.active_count() < 200


def test_a_parser_of_virtualizarr_reads_remote_files(tmp_path: Path) -> None:
    parsers = pytest.importorskip("virtualizarr.parsers", reason="VirtualiZarr is not installed")
    path = write_daily_files(tmp_path, 1)[0]
    expected = open_virtual_dataset(path)
    with RangeServer({path.name: path}) as server:
        found = open_virtual_dataset(f"{server.url}/{path.name}", parser=parsers.HDFParser())
    for name in expected.data_vars:
        manifest = found[name].data.manifest.rename_paths(f"file://{path}")
        assert manifest == expected[name].data.manifest
