"""What a million references cost: to make, pickle, join, select and reindex, each against a limit of seconds and bytes.

    python integration/benchmarks/manifests.py

VirtualiZarr's figures, measured on two cores, stand beside the limits for comparison.
"""

from __future__ import annotations

import argparse
import gc
import pickle
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from vz_beam.manifests import ArrayMetadata, ChunkManifest, ManifestArray, rechunked

REFERENCES = 1_000_000
FILES = 2_500
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Case:
    """An operation and what it may cost.

    Args:
        name: what is done.
        run: does it.
        seconds: the most that it may take, the best of several runs.
        nbytes: the most memory that it may take at its peak, its result included: what Python and numpy ask for, and
            where ``is_resident`` all that the process holds more than before.
        peer: what VirtualiZarr takes.
    """

    name: str
    run: Callable[[], Any]
    seconds: float
    nbytes: int
    peer: str = ""
    is_resident: bool = False


def main() -> int:
    """Exit code 1 where a case takes longer or more memory than it may."""
    rounds = _arguments().rounds
    missed = 0
    pickled = len(pickle.dumps(_manifest()))
    print(f"pickle of {REFERENCES:,} references: {pickled / MEGABYTE:.1f} MB (at most 20; VirtualiZarr 79)")
    missed += pickled > 20 * MEGABYTE
    for case in _cases():
        # memory first: what a run gives back may stay with the process
        nbytes = _resident(case.run) if case.is_resident else _peak(case.run)
        seconds = min(_seconds(case.run) for _ in range(rounds))
        good = seconds <= case.seconds and nbytes <= case.nbytes
        missed += not good
        print(
            f"{'ok  ' if good else 'MISS'} {case.name:44} {seconds:7.3f} s (at most {case.seconds:.2f})  "
            f"{nbytes / MEGABYTE:7.1f} MB (at most {case.nbytes / MEGABYTE:.0f})  {case.peer}",
            flush=True,
        )
    return 1 if missed else 0


def _cases() -> list[Case]:
    urls = np.array([f"s3://bucket/some/folder/of/an/archive/file_number_{n:08}.nc" for n in range(FILES)])
    urls = urls.astype(np.dtypes.StringDType())
    in_runs, in_turn = urls.repeat(REFERENCES // FILES), np.tile(urls, REFERENCES // FILES)
    numbers = np.arange(REFERENCES, dtype=np.uint64)
    manifest = _manifest()
    text = pickle.dumps(manifest)
    array = _array(manifest, (1, 16, 16))
    pair = [_large("s3://bucket/a.nc", 0), _large("s3://bucket/b.nc", 200)]

    dataset = xr.Dataset({"v": (("time", "y", "x"), array)})

    def made(paths: Any) -> ChunkManifest:
        return ChunkManifest.from_arrays(paths=paths, offsets=numbers, lengths=numbers)

    return [
        Case("from_arrays, a file's chunks together", lambda: made(in_runs), 0.3, 60 * MEGABYTE, "1.4 to 4 s"),
        Case("from_arrays, files in turn", lambda: made(in_turn), 0.3, 170 * MEGABYTE, "1.4 to 4 s"),
        Case("pickle.dumps", lambda: pickle.dumps(manifest), 0.1, 40 * MEGABYTE),
        Case("pickle.loads", lambda: pickle.loads(text), 0.1, 20 * MEGABYTE),
        Case("dict()", manifest.dict, 5.0, 600 * MEGABYTE, "4 to 9 s, 415 MB"),
        Case("concatenate two", lambda: np.concatenate([array, array]), 0.2, 60 * MEGABYTE),
        Case("a == b", lambda: np.all(array == array[:]), 0.1, 60 * MEGABYTE),
        Case("every second chunk", lambda: array[::2], 0.1, 40 * MEGABYTE),
        Case("transpose", lambda: array.T, 0.1, 40 * MEGABYTE),
        Case("chunks cut in two", lambda: rechunked(array, (1, 8, 16)), 0.5, 170 * MEGABYTE),
        Case("vz.to_kerchunk(format='parquet')", lambda: _write(dataset), 0.5, 150 * MEGABYTE, "10 to 22 s", True),
        Case(
            "xr.concat(join='outer'), 2 x 4e8 elements",
            lambda: xr.concat(pair, dim="member", join="outer"),
            0.1,
            50 * MEGABYTE,
            "9.8 s, 4,000 MB",
        ),
        Case("xr.align, 2 x 4e8 elements", lambda: xr.align(*pair, join="outer"), 0.1, 50 * MEGABYTE),
        Case(
            "equals, 4e8 elements",
            lambda: pair[0].equals(_large("s3://bucket/a.nc", 0)),
            0.1,
            50 * MEGABYTE,
            "1,200 MB",
        ),
    ]


def _manifest() -> ChunkManifest:
    urls = [f"s3://bucket/some/folder/of/an/archive/file_number_{n:08}.nc" for n in range(FILES)]
    numbers = np.arange(REFERENCES, dtype=np.uint64).reshape(-1, 1, 1)
    ids = (numbers % FILES).astype(np.int32)
    return ChunkManifest.from_columns(urls, ids, numbers * 2**20, np.full(numbers.shape, 1024, np.uint32))


def _array(manifest: ChunkManifest, chunk_shape: tuple[int, ...]) -> ManifestArray:
    shape = tuple(n * c for n, c in zip(manifest.grid_shape, chunk_shape, strict=True))
    return ManifestArray(ArrayMetadata(shape, np.dtype("f4"), chunk_shape), manifest)


def _large(url: str, start: int) -> xr.Dataset:
    grid_shape = (400, 1, 1)
    numbers = np.arange(400, dtype=np.uint64).reshape(grid_shape)
    manifest = ChunkManifest.from_columns((url,), np.zeros(grid_shape, np.int32), numbers, np.full(grid_shape, 9))
    variable = (("time", "y", "x"), _array(manifest, (1, 1000, 1000)))
    return xr.Dataset({"v": variable}, coords={"time": np.arange(start, start + 400)})


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _peak(run: Callable[[], Any]) -> int:
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _resident(run: Callable[[], Any]) -> int:
    """Peak of the process's memory above what it holds before, bytes; pyarrow's buffers count. Linux only."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _write(dataset: xr.Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset.vz.to_kerchunk(f"{folder}/store.parquet", format="parquet")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
