"""How long a year of daily files takes, from start-up to the written store: vz_beam and VirtualiZarr in turn.

Each run is a process of its own, start-up included. The files are made once, in the cache folder:

    python integration/benchmarks/series.py CACHE --peer-python PEERS/bin/python [--profile]

The peer is installed by the extra ``peers``, in an environment of its own where it needs one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

FILES = 365
SIDE, CHUNK_SIDE = 128, 16
"""Elements of a side of the field and of a chunk: 8 x 8 chunks in each variable of each file."""
VARIABLES = ("air", "humidity", "pressure", "wind")
COMPARED = "wind"

OURS = """
import sys, vz_beam
vz_beam.build(sys.argv[1], sys.argv[2], concat_dim="time", workers=int(sys.argv[3]), progress=False, mode="overwrite")
"""
PEER = """
import glob, sys
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtualizarr import open_virtual_dataset
from virtualizarr.parsers import HDFParser

registry = ObjectStoreRegistry({"file://": LocalStore()})
files = [f"file://{path}" for path in sorted(glob.glob(sys.argv[1]))]
datasets = [open_virtual_dataset(url, registry=registry, parser=HDFParser()) for url in files]
combined = xr.combine_nested(datasets, concat_dim="time", coords="minimal", compat="override", combine_attrs="override")
combined.vz.to_kerchunk(sys.argv[2], format="parquet")
"""
"""Options of combine_nested as VirtualiZarr's documentation advises them: they spare it comparisons."""


def main() -> int:
    """Exit code 1 where our store does not give the values of the files; what the peer's gives is only told.

    VirtualiZarr 2.5.1 writes the storage fill, 0.0, as the fill value of its arrays, which readers of Zarr v2 take for
    ``_FillValue``: zeros are read as missing.
    """
    arguments = _arguments()
    folder = arguments.cache.resolve()
    files = make_series(folder / "files")
    glob = str(folder / "files" / "*.nc")
    if arguments.phases:
        print_phases(files, folder)
        return 0
    ours, peer = folder / "ours.parquet", folder / "peer.parquet"
    times: list[tuple[float, float]] = []
    for number in range(1, arguments.rounds + 1):
        ours_seconds = run([arguments.ours_python, "-c", OURS, glob, str(ours), str(arguments.workers)])
        shutil.rmtree(peer, ignore_errors=True)
        peer_seconds = run([arguments.peer_python, "-c", PEER, glob, str(peer)])
        times.append((ours_seconds, peer_seconds))
        print(
            f"round {number}: vz_beam {ours_seconds:6.2f} s   VirtualiZarr {peer_seconds:6.2f} s   "
            f"ratio {peer_seconds / ours_seconds:.2f}",
            flush=True,
        )
    columns = [statistics.median(column) for column in zip(*times, strict=True)]
    ratio = statistics.median(theirs / own for own, theirs in times)
    print(f"median:  vz_beam {columns[0]:6.2f} s   VirtualiZarr {columns[1]:6.2f} s   ratio {ratio:.2f} (pair by pair)")
    if arguments.profile:
        run([arguments.ours_python, __file__, str(folder), "--phases"], show=True)
    expected = np.concatenate([_values(path) for path in files])
    verdicts = {name: _holds(store, expected) for name, store in (("vz_beam", ours), ("VirtualiZarr", peer))}
    told = ", ".join(f"{'right' if right else 'WRONG'} by {name}" for name, right in verdicts.items())
    print(f"{expected.size:,} values of {COMPARED}: {told}")
    return 0 if verdicts["vz_beam"] else 1


def make_series(folder: Path) -> list[Path]:
    """A year of daily netCDF-4 files: four variables in 64 chunks each (zlib, shuffle), and three coordinates."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"day_{day:03}.nc" for day in range(FILES)]
    for day, path in enumerate(paths):
        if path.exists():
            continue
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            _write_day(file, day)
        part.rename(path)
    return paths


def run(command: list[str], show: bool = False) -> float:
    """Seconds that a process takes; what it says is shown where it fails, or where asked."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    start = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    if show:
        print(done.stdout, end="")
    return seconds


def print_phases(files: list[Path], folder: Path) -> None:
    """Seconds of each step of vz_beam in one process: the same functions in a loop, then as pipelines."""
    clock = _Clock()
    vz_beam = import_module("vz_beam")
    modules = {
        name: import_module(f"vz_beam.{name}")
        for name in (
            *("combine.accumulator", "combine.fragment", "combine.placing", "combine.planning", "combine.schema"),
            *("datasets", "parsers.hdf5", "writers.writer"),
        )
    }
    clock.lap("import without Beam")
    import_module("vz_beam.transforms.building")
    clock.lap("import Beam")
    pairs = vz_beam.pattern_from_file_sequence(list(map(str, files)), "time").items()
    opened = [(index, vz_beam.open_virtual_dataset(url)) for index, url in pairs]
    clock.lap("open")
    accumulator = modules["combine.accumulator"].SchemaAccumulator()
    for index, dataset in opened:
        accumulator.add(modules["combine.schema"].schema_of(index, dataset))
    layout = modules["combine.planning"].plan_layout(accumulator)
    clock.lap("combine: schemas and layout")
    references_of = modules["combine.placing"].references_of
    shards: dict[Any, list[Any]] = {}
    for index, dataset in opened:
        for key, fragment in modules["combine.placing"].place_in_shards(layout, references_of(index, dataset)):
            shards.setdefault(key, []).append(fragment)
    merge = modules["combine.fragment"].merge_fragments
    merged = {key: merge(fragments, key.path) for key, fragments in shards.items()}
    clock.lap("combine: place and merge")
    store = folder / "phases.parquet"
    find_writer, write_store = modules["writers.writer"].find_writer, modules["writers.writer"].write_store
    write_store(find_writer(store), store, layout, merged, mode="overwrite")
    clock.lap("write")
    for workers in (1, 2):
        vz_beam.build(
            list(map(str, files)), store, concat_dim="time", workers=workers, progress=False, mode="overwrite"
        )
        clock.lap(f"all as a pipeline, {workers} worker{'s' if workers > 1 else ''}, imports done")


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        print(f"  {now - self._last:7.3f} s  {name}", flush=True)
        self._last = now


def _write_day(file: h5py.File, day: int) -> None:
    random = np.random.default_rng(day)
    scales = {
        "time": (np.array([day], "f8"), "days since 2023-01-01"),
        "lat": (np.linspace(-60, 60, SIDE), "degrees_north"),
        "lon": (np.linspace(0, 90, SIDE), "degrees_east"),
    }
    for name, (values, units) in scales.items():
        file.create_dataset(name, data=values).make_scale(name)
        file[name].attrs["units"] = units
    for name in VARIABLES:
        field = random.normal(0, 1, (1, SIDE, SIDE)).round(1).astype("f4")
        chunks = (1, CHUNK_SIDE, CHUNK_SIDE)
        variable = file.create_dataset(name, data=field, chunks=chunks, shuffle=True, compression="gzip")
        variable.attrs["units"] = "1"
        for axis, scale in enumerate(scales):
            variable.dims[axis].attach_scale(file[scale])


def _values(path: Path) -> Any:
    with h5py.File(path) as file:
        return file[COMPARED][()]


def _holds(store: Path, expected: Any) -> bool:
    # named, since pandas 3 makes NaN of the peer's empty paths, and fsspec cannot find the protocol in those
    options = {"remote_protocol": "file"}
    with xr.open_dataset(str(store), engine="kerchunk", storage_options=options) as dataset:
        return bool(np.array_equal(dataset[COMPARED].values, expected))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder for the files and the stores; kept")
    parser.add_argument("--ours-python", default=sys.executable, help="interpreter with vz_beam's dependencies")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with virtualizarr==2.5.1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="also the seconds of each step of vz_beam")
    parser.add_argument("--phases", action="store_true", help="only those")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
