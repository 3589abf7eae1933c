"""Seconds and memory of a million references into an Icechunk session: ours beside VirtualiZarr's, each in a process.

    python -m integration.benchmarks.icechunk_writes [--references 1000000] [--files 2500]

Peak memory is that above what the process had before the write. Icechunk 1.x spends most of its time on its own
logging, which ICECHUNK_NO_LOGS=1 turns off: measured with and without. Writers that are not installed are left out.

Measured on 2 cores: icechunk 1.1.21 writes a million in 9.7 s (3.1 s without logs), for VirtualiZarr 2.5.1 in 12.2 s
(4.4 s); 2.3.0 in 0.6 s, and in 1.4 s where each file has an etag of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

CHUNK = 1024
"""Bytes of a chunk: 16 by 16 numbers of 4 bytes."""


def ours(urls: list[str], count: int) -> xr.Dataset:
    import vz_beam  # noqa: F401  # has the accessor
    from vz_beam.manifests import ArrayMetadata, ChunkManifest, ManifestArray

    numbers = np.arange(count).reshape(-1, 1, 1)
    ids = (numbers * len(urls) // count).astype(np.int32)
    lengths = np.full(numbers.shape, CHUNK, np.uint32)
    manifest = ChunkManifest.from_columns(urls, ids, numbers.astype(np.uint64) * CHUNK, lengths)
    metadata = ArrayMetadata((count, 16, 16), np.dtype("f4"), (1, 16, 16))
    return xr.Dataset({"v": (("t", "y", "x"), ManifestArray(metadata, manifest))})


def virtualizarr(urls: list[str], count: int) -> xr.Dataset:
    import virtualizarr  # noqa: F401  # has the accessor
    from virtualizarr.manifests import ChunkManifest, ManifestArray
    from virtualizarr.manifests.utils import create_v3_array_metadata

    numbers = np.arange(count, dtype=np.uint64).reshape(-1, 1, 1)
    paths: Any = np.array(urls, np.dtypes.StringDType())[np.arange(count) * len(urls) // count].reshape(-1, 1, 1)
    lengths = np.full(numbers.shape, CHUNK, np.uint64)
    manifest = ChunkManifest.from_arrays(paths=paths, offsets=numbers * CHUNK, lengths=lengths)
    metadata = create_v3_array_metadata(
        (count, 16, 16), np.dtype("f4"), (1, 16, 16), codecs=[], dimension_names=("t", "y", "x")
    )
    return xr.Dataset({"v": (("t", "y", "x"), ManifestArray(metadata, manifest))})


WRITERS: dict[str, Callable[[list[str], int], xr.Dataset]] = {"vz_beam": ours, "virtualizarr": virtualizarr}


def measure(writer: str, count: int, files: int, marks: str) -> str:
    """One line: seconds of the write and of the commit, peak memory of both."""
    import icechunk

    config = icechunk.RepositoryConfig.default()
    container = icechunk.VirtualChunkContainer("s3://bucket/", icechunk.s3_store(region="us-east-1"))
    config.set_virtual_chunk_container(container)
    urls = [f"s3://bucket/some/folder/of/an/archive/file_number_{number:08}.nc" for number in range(files)]
    dataset = WRITERS[writer](urls, count)
    choices: dict[str, Any] = {}
    if marks == "each":
        choices["last_updated_at"] = {url: f"etag-{number}" for number, url in enumerate(urls)}
    with tempfile.TemporaryDirectory() as folder:
        repository = icechunk.Repository.create(icechunk.local_filesystem_storage(folder), config)
        session = repository.writable_session("main")
        before = peak_megabytes()
        began = time.perf_counter()
        dataset.vz.to_icechunk(session.store, **choices)
        written = time.perf_counter()
        write_peak = peak_megabytes() - before
        session.commit("written")
        committed = time.perf_counter()
    return (
        f"write {written - began:6.2f} s, +{write_peak:4.0f} MB; "
        f"commit {committed - written:5.2f} s, +{peak_megabytes() - before:4.0f} MB"
    )


def peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=2_500)
    parser.add_argument("--one", nargs=2, metavar=("WRITER", "MARKS"), help="measure in this process")
    options = parser.parse_args()
    if options.one:
        print(measure(options.one[0], options.references, options.files, options.one[1]))
        return
    import icechunk

    print(f"{options.references:,} references into {options.files:,} files, icechunk {icechunk.__version__}")
    for writer, marks in (("vz_beam", "one"), ("vz_beam", "each"), ("virtualizarr", "one")):
        if importlib.util.find_spec(writer) is None:
            continue
        for logs in ("on", "off"):
            environment = {key: value for key, value in os.environ.items() if key != "ICECHUNK_NO_LOGS"}
            environment |= {"ICECHUNK_NO_LOGS": "1"} if logs == "off" else {}
            command = [sys.executable, "-W", "ignore", "-m", "integration.benchmarks.icechunk_writes"]
            numbers = ["--references", str(options.references), "--files", str(options.files)]
            run = subprocess.run(
                [*command, *numbers, "--one", writer, marks],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            line = run.stdout.strip().splitlines()[-1]  # icechunk logs to the same place
            title = "an etag each" if marks == "each" else "one time"
            print(f"  {writer:<13} {title:<13} logs {logs:<4} {line}")


if __name__ == "__main__":
    main()
