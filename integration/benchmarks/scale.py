"""How time and memory grow with the number of references: planned, placed and written, from inputs without files.

    python integration/benchmarks/scale.py FOLDER [--references 1e6 1e7 1e8] [--workers 2] [--plan-inputs 1e6]
        [--suffix icechunk] [--rounds 10]

Every size runs in a process of its own, through the pipeline that ``build`` runs, into a store of Kerchunk Parquet in
FOLDER, of which references are read back and compared. Memory is the peak of the driver, of each worker process, and of
all processes together, where pages that they share count once. With rounds, each is a pipeline that appends, as with
``inputs_per_round``, and all of them together must stay below 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import xarray as xr

from vz_beam import CombineManifests, WriteReferences, open_virtual_dataset
from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import schema_of
from vz_beam.manifests import ArrayMetadata, ChunkManifest, Codec, ManifestArray
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position
from vz_beam.transforms.running import run_pipeline
from vz_beam.transforms.worker_nursery import worker_nursery

VARIABLES = ("air", "humidity", "pressure", "wind", "cloud")
CHUNKS = (1, 10, 20)
"""Of each variable in each input: 200."""
CHUNK_SHAPE = (24, 100, 100)
PER_INPUT = len(VARIABLES) * 200
SAMPLES = 2_000
GIBIBYTE = 2**30
SECONDS_AT = {10**8: 300.0}
"""The most that a number of references may take."""
DRIVER_BYTES = 8 * GIBIBYTE
WORKER_GROWTH = 1.6
"""A worker may hold this many times as much at the largest size as at the smallest: what it holds does not grow."""
LINEAR = 1.3
"""Seconds a reference at the largest size, by those at the one before, at most."""
ROUNDS_BYTES = 2 * GIBIBYTE
PLAN_SECONDS, PLAN_BYTES = 120.0, GIBIBYTE

METADATA = ArrayMetadata(
    tuple(n * c for n, c in zip(CHUNKS, CHUNK_SHAPE, strict=True)),
    np.dtype("f4"),
    CHUNK_SHAPE,
    codecs=(Codec("numcodecs.shuffle", {"elementsize": 4}), Codec("numcodecs.zlib", {"level": 4})),
    fill_value=np.float32("nan"),
    attributes={"units": "1", "long_name": "made for measuring"},
    dimension_names=("time", "lat", "lon"),
)
PLACES = (np.arange(METADATA.shape[1]) * 0.1, np.arange(METADATA.shape[2]) * 0.1)


@dataclass
class Measured:
    """One run."""

    references: int
    seconds: float
    driver_bytes: int
    worker_bytes: list[int]
    together_bytes: int
    store_bytes: int


def url_of(number: int) -> str:
    """The file of an input."""
    return f"s3://archive/reanalysis/hourly/{number // 365:04}/day_{number:07}.nc"


def columns_of(number: int, variable: int) -> tuple[Any, Any]:
    """Offsets and lengths of the chunks of a variable in an input, bytes."""
    rng = np.random.default_rng([number, variable])
    lengths = rng.integers(150_000, 250_000, CHUNKS, dtype=np.uint32)
    ends = np.cumsum(lengths, dtype=np.uint64).reshape(CHUNKS)
    return np.uint64(4096 + variable * 60_000_000) + ends - lengths, lengths


def virtual_input(index: Index, url: str) -> tuple[Index, xr.Dataset]:
    """An input as opening its file would give it."""
    number = int(url[-10:-3])
    ids = np.zeros(CHUNKS, np.int32)
    variables = {}
    for place, name in enumerate(VARIABLES):
        offsets, lengths = columns_of(number, place)
        manifest = ChunkManifest.from_columns((url,), ids, offsets, lengths)
        variables[name] = xr.Variable(METADATA.dimension_names, ManifestArray(METADATA, manifest), METADATA.attributes)
    hours = 24 * number + np.arange(24)
    coords = {"time": ("time", hours), "lat": ("lat", PLACES[0]), "lon": ("lon", PLACES[1])}
    dataset = xr.Dataset(variables, coords)
    dataset.encoding["source"] = url
    return index, dataset


def main() -> int:
    """Exit code 1 where a target is missed, or a reference that was read back is not what was made."""
    arguments = _arguments()
    if arguments.run:
        run = _run(arguments.folder, arguments.run, arguments.workers, arguments.suffix, arguments.rounds)
        print(json.dumps(asdict(run)))
        return 0
    if arguments.plan:
        return _plan(arguments.plan)
    missed = 0
    if arguments.plan_inputs:
        missed += subprocess.run(
            [sys.executable, __file__, str(arguments.folder), "--plan", str(arguments.plan_inputs)], check=False
        ).returncode
    runs = []
    for references in arguments.references:
        command = [sys.executable, __file__, str(arguments.folder), "--run", str(references)]
        done = subprocess.run(
            [
                *command,
                *("--workers", str(arguments.workers), "--suffix", arguments.suffix, "--rounds", str(arguments.rounds)),
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        run = Measured(**json.loads(done.stdout.splitlines()[-1]))
        runs.append(run)
        workers = ", ".join(f"{nbytes / GIBIBYTE:.2f}" for nbytes in run.worker_bytes)
        print(
            f"{run.references:>13,} references: {run.seconds:.1f} s, {run.seconds / run.references * 1e6:.2f} us each, "
            f"driver {run.driver_bytes / GIBIBYTE:.2f}, workers {workers}, "
            f"together {run.together_bytes / GIBIBYTE:.2f} GiB, store {run.store_bytes / 1e6:,.0f} MB",
            flush=True,
        )
        limit = SECONDS_AT.get(run.references)
        missed += _check(limit is None or run.seconds < limit, f"more than {limit} s")
        missed += _check(run.driver_bytes < DRIVER_BYTES, "more than 8 GiB in the driver")
        if arguments.rounds > 1:
            missed += _check(run.together_bytes < ROUNDS_BYTES, "more than 2 GiB in rounds")
    if len(runs) > 1:
        growth = max(runs[-1].worker_bytes) / max(runs[0].worker_bytes)
        missed += _check(growth < WORKER_GROWTH, f"a worker holds {growth:.2f} times as much as at the smallest size")
        rates = [run.seconds / run.references for run in runs[-2:]]
        missed += _check(rates[1] < LINEAR * rates[0], f"{rates[1] / rates[0]:.2f} times the time a reference")
    last = runs[-1]
    print(
        f"  1e9 references at these rates: {last.seconds / last.references * 1e9 / 60:.0f} minutes on "
        f"{arguments.workers} workers, {last.driver_bytes / last.references * 1e9 / GIBIBYTE:.0f} GiB in the driver"
    )
    return min(1, missed)


def _check(is_well: bool, text: str) -> int:
    if not is_well:
        print(f"  MISSED: {text}")
    return 0 if is_well else 1


def _run(folder: Path, references: int, workers: int, suffix: str, rounds: int) -> Measured:
    count = references // PER_INPUT
    store = folder / f"scale_{references}.{suffix}"
    shutil.rmtree(store, ignore_errors=True)
    size = -(-count // rounds)

    def wired(inputs: Any, log: Any, **mode: Any) -> Any:
        spread = inputs | beam.Reshuffle()  # type: ignore[no-untyped-call]
        make: Any = beam.MapTuple(virtual_input)  # type: ignore[no-untyped-call]
        made = spread | "Make" >> make.with_output_types(tuple[Index, xr.Dataset])
        return made | CombineManifests() | WriteReferences(store, **mode)

    with worker_nursery() as command, _PeakMemory() as memory:
        began = time.perf_counter()
        mode: dict[str, Any] = {}
        added = 0
        for start in range(0, count, size):
            numbers = range(start, min(count, start + size))
            pairs = [(Index((Position("time", "concat", n - start, len(numbers)),)), url_of(n)) for n in numbers]
            once = partial(wired, **mode)
            summary = run_pipeline(once, pairs, workers=workers, worker_command=command, progress=False)
            added += summary.added
            mode = {"mode": "append", "append_dim": "time", "goes_on": True}
        seconds = time.perf_counter() - began
    assert added == references, summary
    if suffix == "parquet":
        _compare(store, count)
    else:
        _compare_parsed(store, count)
    nbytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    shutil.rmtree(store)
    return Measured(references, seconds, memory.own(), memory.of_workers(), memory.together, nbytes)


def _compare(store: Path, inputs: int) -> None:
    """Some references of the store are those that were made."""
    rng = np.random.default_rng(0)
    step = int(np.prod(CHUNKS))
    for _ in range(SAMPLES // 100):
        variable, number = int(rng.integers(len(VARIABLES))), int(rng.integers(inputs))
        offsets, lengths = (column.ravel() for column in columns_of(number, variable))
        shard, row = divmod(number * step, 100_000)
        table = pq.read_table(store / VARIABLES[variable] / f"refs.{shard}.parq").slice(row, step)
        assert set(table["path"].to_pylist()) == {url_of(number)}, (number, variable)
        assert table["offset"].to_pylist() == offsets.tolist()
        assert table["size"].to_pylist() == lengths.tolist()


def _compare_parsed(store: Path, inputs: int) -> None:
    """The same by our own parser, of any store."""
    rng = np.random.default_rng(0)
    step = int(np.prod(CHUNKS))
    found = open_virtual_dataset(store)
    for _ in range(SAMPLES // 100):
        variable, number = int(rng.integers(len(VARIABLES))), int(rng.integers(inputs))
        offsets, lengths = (column.ravel() for column in columns_of(number, variable))
        manifest = found[VARIABLES[variable]].data.manifest
        rows = slice(number * step, (number + 1) * step)
        assert {manifest.locations[place] for place in manifest.location_ids.ravel()[rows].tolist()} == {url_of(number)}
        assert manifest.offsets.ravel()[rows].tolist() == offsets.tolist()
        assert manifest.lengths.ravel()[rows].tolist() == lengths.tolist()


def _plan(inputs: int) -> int:
    """How long inputs of five variables (four virtual ones and a loaded time) take to be planned, in one process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    daily = METADATA.with_shape((1, *METADATA.shape[1:]), (1, *CHUNK_SHAPE[1:]))
    grid = daily.chunk_grid.grid_shape
    manifest = ChunkManifest.from_columns(
        (url_of(0),), np.zeros(grid, np.int32), np.ones(grid, np.uint64), np.ones(grid, np.uint32)
    )
    variables = {
        name: xr.Variable(daily.dimension_names, ManifestArray(daily, manifest), daily.attributes)
        for name in VARIABLES[:4]
    }
    # equal, and no object of one in the other, as files give them
    templates = [pickle.loads(pickle.dumps(xr.Dataset(variables))) for _ in range(2)]
    gathered = SchemaAccumulator()
    making = 0.0
    began = time.perf_counter()
    for number in range(inputs):
        start = time.perf_counter()
        index = Index((Position("time", "concat", number, inputs),))
        dataset = templates[number % 2].assign_coords(time=("time", [24 * number]))
        dataset.encoding["source"] = url_of(number)
        making += time.perf_counter() - start
        gathered.add(schema_of(index, dataset))
    layout = plan_layout(gathered)
    seconds = time.perf_counter() - began - making
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    assert layout.arrays["air"].metadata.shape[0] == inputs
    print(f"{inputs:>13,} inputs planned: {seconds:7.1f} s, {peak / GIBIBYTE:.2f} GiB", flush=True)
    return _check(inputs < 10**6 or seconds < PLAN_SECONDS, "more than 120 s") + _check(
        peak < PLAN_BYTES, "more than 1 GiB"
    )


class _PeakMemory:
    """The peak resident memory of this process and of each of its descendants, sampled."""

    def __init__(self) -> None:
        self.together = 0
        self._peaks: dict[int, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def own(self) -> int:
        """Of this process, bytes."""
        return self._peaks[os.getpid()]

    def of_workers(self) -> list[int]:
        """Of the descendants that held most, bytes, descending; the nursery that only forks is among the small ones."""
        return sorted((peak for pid, peak in self._peaks.items() if pid != os.getpid()), reverse=True)[:2]

    def _sample(self) -> None:
        while not self._stopped.wait(0.2):
            parents = {}
            for entry in Path("/proc").iterdir():
                if entry.name.isdecimal():
                    try:
                        fields = (entry / "stat").read_text().rpartition(")")[2].split()
                        status = (entry / "status").read_text()
                    except OSError:
                        continue  # it has just ended
                    parents[int(entry.name)] = int(fields[1]), status
            family = {os.getpid()}
            grown = True
            while grown:
                more = {pid for pid, (parent, _) in parents.items() if parent in family} - family
                family |= more
                grown = bool(more)
            for pid in family & parents.keys():
                for line in parents[pid][1].splitlines():
                    if line.startswith("VmHWM:"):
                        self._peaks[pid] = max(self._peaks.get(pid, 0), int(line.split()[1]) * 1024)
            self.together = max(self.together, sum(map(_own_share, family)))


def _own_share(pid: int) -> int:
    """Resident memory of a process, of shared pages its part, bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where stores are written, and removed again")
    parser.add_argument("--references", type=_number, nargs="+", default=[10**6, 10**7, 10**8])
    parser.add_argument("--suffix", choices=["parquet", "icechunk"], default="parquet", help="of the stores")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="pipelines, each of which appends to the store")
    parser.add_argument("--plan-inputs", type=_number, default=10**6, help="0 leaves this part out")
    parser.add_argument("--run", type=_number, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=_number, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _number(text: str) -> int:
    return int(float(text))


if __name__ == "__main__":
    sys.exit(main())
