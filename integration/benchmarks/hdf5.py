"""How fast HDF5 files are opened: vz_beam beside VirtualiZarr, kerchunk, h5py and async-hdf5, in turn, in one run.

The files are made once, in the cache folder:

    python integration/benchmarks/hdf5.py CACHE --peer-python PEERS/bin/python [--rounds 7] [--only small]

The peers are installed by the extra ``peers``, in an environment of their own where they need one. Exit code 1 where a
target is missed, or where our references do not lead to where libhdf5 finds the chunks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from integration.servers.range_server import RangeServer

LATENCY_SECONDS = 0.05
MOST_BYTES_A_CHUNK = 60
"""Peak memory of opening, above the bytes of metadata that are read."""
OPENERS = Path(__file__).with_name("hdf5_openers.py")


@dataclass(frozen=True, slots=True)
class Target:
    """The median of ``peer``'s seconds over ours, of the same round, is to be ``at_least`` that."""

    peer: str
    at_least: float


@dataclass(frozen=True, slots=True)
class Work:
    """One line of the table: a file, who opens it, and what is to be reached."""

    title: str
    file: str
    peers: tuple[str, ...]
    targets: tuple[Target, ...]


WORKS = (
    Work(
        "1,000,000 chunks, B-tree v1",
        "million.h5",
        ("VirtualiZarr", "kerchunk", "h5py chunk_iter", "async-hdf5"),
        (Target("VirtualiZarr", 20), Target("async-hdf5", 1 / 1.5)),
    ),
    Work("100,000 chunks, extensible array", "extensible.h5", ("VirtualiZarr",), (Target("VirtualiZarr", 15),)),
    Work("100,000 chunks, fixed array", "fixed.h5", ("VirtualiZarr",), (Target("VirtualiZarr", 15),)),
    Work("100,000 chunks, B-tree v1", "btree_v1.h5", ("VirtualiZarr",), ()),
    Work("100,000 chunks, B-tree v2", "btree_v2.h5", ("VirtualiZarr",), ()),
    Work(
        "small file, 7 variables, 3 of them loaded",
        "small.nc",
        ("VirtualiZarr", "h5py metadata"),
        (Target("h5py metadata", 1 / 1.6),),
    ),
)
ROUNDS = {"7 MB netCDF-4 file": ("medium.nc", 3), "100,000 chunks, B-tree v1": ("btree_v1.h5", 5)}
"""Over http: file, and the most rounds of requests."""
ROUNDS |= {f"100,000 chunks, {name}": (f"{name}.h5", 5) for name in ("extensible", "fixed", "btree_v2")}
INDEXED = ("million.h5", "btree_v1.h5", "btree_v2.h5", "extensible.h5", "fixed.h5")


def main() -> int:
    """Prints the table."""
    arguments = _arguments()
    folder = arguments.cache.resolve()
    make_files(folder)
    ours = _Openers(arguments.ours_python)
    theirs = _Openers(arguments.peer_python)
    verdicts = _Verdicts()
    for file in INDEXED:
        path = str(folder / file)
        same = ours.ask("vz_beam places", path) == ours.ask("h5py places", path)
        verdicts.add(same, f"{file}: our references lead where libhdf5 finds the chunks")
    for work in WORKS:
        if arguments.only in work.title:
            _measure(work, folder, ours, theirs, arguments.rounds, verdicts)
    if not arguments.only:
        for title, (file, most) in ROUNDS.items():
            _count_rounds(title, folder / file, most, ours, theirs, verdicts)
        for file in INDEXED:
            _measure_memory(folder / file, arguments.ours_python, verdicts)
    return 1 if verdicts.missed else 0


def make_files(folder: Path) -> None:
    """The files that are measured, those that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: Mapping[str, Callable[[Path], None]] = {
        "warm.h5": lambda path: _write_chunks(path, 10_000, "earliest", None),
        "million.h5": lambda path: _write_chunks(path, 1_000_000, "earliest", None),
        "btree_v1.h5": lambda path: _write_chunks(path, 100_000, "earliest", None),
        "btree_v2.h5": lambda path: _write_chunks(path, 100_000, "latest", (None, None)),
        "extensible.h5": lambda path: _write_chunks(path, 100_000, "latest", (None, 16)),
        "fixed.h5": lambda path: _write_chunks(path, 100_000, "latest", None),
        "small.nc": lambda path: _write_fields(path, 4, (8, 64, 64), (1, 16, 16)),
        "medium.nc": lambda path: _write_fields(path, 1, (120, 90, 180), (1, 90, 180)),
    }
    for name, make in makers.items():
        if not (folder / name).exists():
            part = folder / f"{name}.part"
            make(part)
            part.rename(folder / name)


def _write_chunks(path: Path, count: int, libver: str, maxshape: tuple[int | None, ...] | None) -> None:
    """``count`` small chunks of one variable ``v``, along its first dimension."""
    with h5py.File(path, "w", libver=libver) as file:
        shape, chunks = (count, 16), (1, 16)
        variable = file.create_dataset("v", shape, "u1", chunks=chunks, maxshape=maxshape, compression="gzip")
        file.create_dataset("x", data=np.arange(16)).make_scale("x")
        variable.dims[1].attach_scale(file["x"])
        chunk = zlib.compress(bytes(range(16)))
        for number in range(count):
            variable.id.write_direct_chunk((number, 0), chunk)


def _write_fields(path: Path, variables: int, shape: tuple[int, int, int], chunks: tuple[int, int, int]) -> None:
    """A netCDF-4 file as the netCDF library writes it: three coordinates, and variables over them."""
    random = np.random.default_rng(0)
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts({f"attribute_{number}": "some text " * 5 for number in range(10)})
        units = ("days since 2000-01-01", "degrees_north", "degrees_east")
        for name, length, unit in zip(("time", "lat", "lon"), shape, units, strict=True):
            file.createDimension(name, length)
            file.createVariable(name, "f8", (name,))[:] = np.arange(length)
            file[name].units = unit
        for number in range(variables):
            variable = file.createVariable(f"v{number}", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=chunks)
            variable.setncatts({"units": "K", "long_name": f"variable {number}", "cell_methods": "time: mean"})
            variable[:] = random.normal(size=shape)


class _Openers:
    """The process of one interpreter that opens files."""

    def __init__(self, python: str) -> None:
        command = [python, str(OPENERS)]
        environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, tool: str, url: str) -> Any:
        """Its answer to one question."""
        assert self._process.stdin is not None, "it is a pipe"
        assert self._process.stdout is not None, "it is a pipe"
        print(json.dumps([tool, url]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{tool} failed on {url}")
        return json.loads(line)


@dataclass
class _Verdicts:
    missed: list[str] = field(default_factory=list)

    def add(self, reached: bool, text: str) -> None:
        print(f"    {'reached' if reached else 'MISSED '}  {text}", flush=True)
        if not reached:
            self.missed.append(text)


def _measure(work: Work, folder: Path, ours: _Openers, theirs: _Openers, rounds: int, verdicts: _Verdicts) -> None:
    path = str(folder / work.file)
    tools = [("vz_beam", ours), *((peer, ours if peer.startswith("h5py") else theirs) for peer in work.peers)]
    for tool, openers in tools:
        openers.ask(tool, path)  # imports, and the file in the memory of the operating system
    seconds: dict[str, list[float]] = {tool: [] for tool, _ in tools}
    chunks: dict[str, int] = {}
    for _ in range(rounds):
        for tool, openers in tools:
            answer = openers.ask(tool, path)
            seconds[tool].append(answer["seconds"])
            chunks[tool] = answer["chunks"]
    print(work.title)
    for tool, _ in tools:
        print(
            f"  {tool:16} {statistics.median(seconds[tool]) * 1000:9.1f} ms   "
            f"{_ratio(seconds[tool], seconds['vz_beam']):6.2f} times ours   {chunks[tool]:,} chunks"
        )
    for target in work.targets:
        ratio = _ratio(seconds[target.peer], seconds["vz_beam"])
        text = f"{target.peer} takes {ratio:.2f} times ours, at least {target.at_least:.2f}"
        verdicts.add(ratio >= target.at_least, text)


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


def _count_rounds(title: str, path: Path, most: int, ours: _Openers, theirs: _Openers, verdicts: _Verdicts) -> None:
    print(f"{title}, {LATENCY_SECONDS * 1000:.0f} ms a request")
    with RangeServer({path.name: path}, latency_seconds=LATENCY_SECONDS) as server:
        counts: dict[str, int] = {}
        for tool, openers in (("vz_beam", ours), ("VirtualiZarr", theirs)):
            openers.ask(tool, f"{server.url}/{path.name}")
            server.forget()
            answer = openers.ask(tool, f"{server.url}/{path.name}")
            counts[tool] = server.rounds
            print(
                f"  {tool:16} {answer['seconds'] * 1000:9.1f} ms   {server.rounds} rounds of {len(server.requests)} "
                f"requests, {server.nbytes:,} bytes"
            )
    verdicts.add(counts["vz_beam"] <= most, f"{counts['vz_beam']} rounds, at most {most}")


def _measure_memory(path: Path, python: str, verdicts: _Verdicts) -> None:
    warm = path.with_name("warm.h5")  # imports, and the threads that fetch side by side
    local = _Openers(python)
    local.ask("vz_beam", str(warm))
    answers = {"local": local.ask("vz_beam memory", str(path))}
    if (
        path.name == "million.h5"
    ):  # sixteen connections take some 8 MB whatever they bring: too much beside a small file
        with RangeServer({path.name: path, warm.name: warm}) as server:
            remote = _Openers(python)
            remote.ask("vz_beam", f"{server.url}/{warm.name}")
            server.forget()
            answers["http"] = remote.ask("vz_beam memory", f"{server.url}/{path.name}")
            answers["http"]["read_bytes"] = server.nbytes
    print(f"{path.name}, memory")
    for place, answer in answers.items():
        peak, read = (answer[key] / answer["chunks"] for key in ("peak_bytes", "read_bytes"))
        text = f"{peak:.0f} bytes a chunk, {read:.0f} of them read: {peak - read:.0f}, less than {MOST_BYTES_A_CHUNK}"
        verdicts.add(peak - read < MOST_BYTES_A_CHUNK, f"{place}: {text}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder for the files; kept")
    parser.add_argument("--ours-python", default=sys.executable, help="interpreter with vz_beam's dependencies")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="only the works whose titles hold this text")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
