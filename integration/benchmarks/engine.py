"""How long xarray's engine "vz_beam" takes to read a thousand chunks from a server that answers after 50 ms.

The server is a process of its own on this machine; the file is made once, in the cache folder:

    python -m integration.benchmarks.engine CACHE
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from integration.servers.range_server import RangeServer
from vz_beam.datasets.engine import VzBeamBackendEntrypoint

CHUNKS, CHUNK_SIDE = 1000, 64
"""Chunks of 16 KiB of float32, each a request of its own."""
LATENCY_SECONDS = 0.05
MOST_SECONDS = 3.0
"""Of which 0.8 s are latency, at 64 requests side by side; one after the other they would take 50 s."""


def main() -> int:
    """Exit code 1 where the values are not those of the file, or the median of the rounds is ``MOST_SECONDS``."""
    arguments = _arguments()
    path = make_file(arguments.cache.resolve())
    with h5py.File(path) as file:
        expected = file["air"][()]
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(path, theirs), daemon=True)
    process.start()
    url = f"{ours.recv()}/{path.name}"
    seconds, is_right = [], True
    for number in range(1, arguments.rounds + 1):
        ours.send("forget")
        start = time.perf_counter()
        with xr.open_dataset(url, engine=VzBeamBackendEntrypoint) as dataset:
            opened = time.perf_counter()
            values = dataset["air"].values
        end = time.perf_counter()
        ours.send("count")
        requests, rounds = ours.recv()
        is_right &= bool(np.array_equal(values, expected))
        seconds.append(end - opened)
        print(
            f"round {number}: opened in {opened - start:.2f} s, {CHUNKS:,} chunks in {end - opened:.2f} s, "
            f"{requests:,} requests, the longest chain of them {rounds}",
            flush=True,
        )
    ours.send("end")
    process.join()
    median = statistics.median(seconds)
    print(f"median: {median:.2f} s of at most {MOST_SECONDS} s; values {'right' if is_right else 'WRONG'}")
    return 0 if is_right and median < MOST_SECONDS else 1


def make_file(folder: Path) -> Path:
    """One variable in ``CHUNKS`` uncompressed chunks, and its three coordinates."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "thousand_chunks.h5"
    if not path.exists():
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            values = np.random.default_rng(0).normal(size=(CHUNKS, CHUNK_SIDE, CHUNK_SIDE)).astype("f4")
            air = file.create_dataset("air", data=values, chunks=(1, CHUNK_SIDE, CHUNK_SIDE))
            for axis, name in enumerate(("time", "lat", "lon")):
                file.create_dataset(name, data=np.arange(float(values.shape[axis]))).make_scale(name)
                air.dims[axis].attach_scale(file[name])
        part.rename(path)
    return path


def serve(path: Path, connection: Connection) -> None:
    """Serves the file until told to end, and tells how many requests there were."""
    with RangeServer({path.name: path}, LATENCY_SECONDS) as server:
        connection.send(server.url)
        while (word := connection.recv()) != "end":
            if word == "forget":
                server.forget()
            else:
                connection.send((len(server.requests), server.rounds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder for the file; kept")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
