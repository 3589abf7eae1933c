"""How soon readers see a file that came, on a real S3 server, and what kills and many rounds do to a watch.

    python integration/benchmarks/watch.py latency [--references 1e6] [--arrivals 40] [--suffix parquet]
    python integration/benchmarks/watch.py kills [--kills 200] [--suffix parquet]
    python integration/benchmarks/watch.py soak [--rounds 10000] [--suffix parquet]

``latency``: seconds from the moment at which a file is in its bucket to the moment at which a reader that opens the
store anew sees it, with a look every second, at a store of so many references; the targets are 5 s for half of the
files and 10 s for 99 of 100. ``kills``: the watch is killed (SIGKILL) at random moments while files come; the store
that is there in the end must be the one that is built at once. ``soak``: rounds of one small file each; memory must
stay.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import obstore
import xarray as xr
from obstore.store import S3Store

import vz_beam
from integration.servers.seaweed import KEY, SECRET, SeaweedServer
from tests.daily_series import write_series

CHUNKS = 10_000
"""Of the one large variable in each file."""
HALF_SECONDS, MOST_SECONDS = 5.0, 10.0
_COMMAND = "import sys; from vz_beam.cli import main; sys.exit(main(sys.argv[1:]))"
_GROWTH = 1.3
"""A soaked process may hold so many times what it held after a tenth of its rounds."""


def write_file(path: Path, number: int) -> None:
    """One step of a variable of 10,000 chunks, with its time."""
    with h5py.File(path, "w") as file:
        file["time"] = np.array([float(number)])
        file["time"].make_scale("time")
        file["time"].attrs["units"] = "days since 2000-01-01"
        values = np.arange(CHUNKS, dtype="f4").reshape(1, 100, 100) + number
        variable = file.create_dataset("v", data=values, chunks=(1, 1, 1), maxshape=(None, 100, 100))
        for axis, name in enumerate(("time", "y", "x")):
            if axis:
                file[name] = np.arange(100.0)
                file[name].make_scale(name)
            variable.dims[axis].attach_scale(file[name])


def bucket(server: SeaweedServer, name: str) -> S3Store:
    """A client of a bucket, which is made."""
    server.make_bucket(name)
    config: Any = server.options
    return S3Store(name, config=config, client_options={"allow_http": True})


def latency(references: int, arrivals: int, suffix: str) -> int:
    """Prints the seconds of each arrival; 1 where a target is missed."""
    count = references // CHUNKS
    with SeaweedServer() as server, tempfile.TemporaryDirectory() as folder:
        inbox = bucket(server, "inbox")
        server.make_bucket("stores")
        store = f"s3://stores/watched.{suffix}"
        paths = [Path(folder, f"f_{number:05d}.h5") for number in range(count + arrivals)]
        for number, path in enumerate(paths):
            write_file(path, number)
        for path in paths[:count]:
            obstore.put(inbox, f"f/{path.name}", path.read_bytes())
        words: dict[str, Any] = {"concat_dim": "time", "every": 1.0, "storage_options": server.options}
        began = time.monotonic()
        first = next(iter(vz_beam.watch("s3://inbox/f/", store, rounds=1, inputs_per_round=10**6, **words)))
        print(f"{first.inputs:,} files, {references:,} references: {time.monotonic() - began:.1f} s", flush=True)
        stop = threading.Event()

        def watch() -> None:
            for _ in vz_beam.watch("s3://inbox/f/", store, **words):
                if stop.is_set():
                    return

        threading.Thread(target=watch, daemon=True).start()
        time.sleep(3)
        seconds = []
        for number, path in enumerate(paths[count:], count):
            obstore.put(inbox, f"f/{path.name}", path.read_bytes())
            came = time.monotonic()
            while _steps(store, server) <= number:
                time.sleep(0.1)
            seconds.append(time.monotonic() - came)
            time.sleep(random.random())
        stop.set()
        ordered = sorted(seconds)
        half, most = ordered[len(ordered) // 2], ordered[-(-len(ordered) * 99 // 100) - 1]
        quarter = len(seconds) // 4
        print(
            f"{store}: {arrivals} arrivals, median {half:.2f} s, 99 % {most:.2f} s, most {ordered[-1]:.2f} s; first "
            f"quarter {np.median(seconds[:quarter]):.2f} s, last {np.median(seconds[-quarter:]):.2f} s"
        )
        return int(half >= HALF_SECONDS or most >= MOST_SECONDS)


def _steps(store: str, server: SeaweedServer) -> int:
    """Steps that a reader sees which opens the store now; none in the moment of publication."""
    try:
        with xr.open_dataset(store, engine="vz_beam", storage_options=server.options, decode_times=False) as dataset:
            return int(dataset.sizes["time"])
    except vz_beam.errors.VzBeamError:
        return 0


def kills(count: int, suffix: str) -> int:
    """Prints what the killed watch left; 1 where it is not what is built at once."""
    with SeaweedServer() as server, tempfile.TemporaryDirectory() as folder:
        inbox = bucket(server, "inbox")
        server.make_bucket("stores")
        files = write_series(Path(folder, "series"), count=60)
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        options = [f"{name}={value}" for name, value in server.public.items()]
        store = f"s3://stores/killed.{suffix}"
        command = [sys.executable, "-c", _COMMAND, "watch", "s3://inbox/d/", store, "--concat-dim", "time"]
        command += ["--every", "0.2", "--inputs-per-round", "2"]
        for option in options:
            command += ["--storage-option", option, "--target-storage-option", option]
        randomness = random.Random(0)
        put = done = 0
        while done < count:
            while put < len(files) and put < len(files) * (done + 1) / count:
                obstore.put(inbox, f"d/{Path(files[put]).name}", Path(files[put]).read_bytes())
                put += 1
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1.2 + 2.5 * randomness.random())
            if process.poll() is not None:
                print(f"the watch ended by itself with {process.returncode} after {done} kills")
                return 1
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
        end = subprocess.run(
            [*command, "--idle-seconds", "0"], env=environment, capture_output=True, text=True, check=False
        )
        once = f"s3://stores/once.{suffix}"
        urls = [f"s3://inbox/d/{Path(path).name}" for path in files]
        words: dict[str, Any] = {"concat_dim": "time", "progress": False, "storage_options": server.options}
        vz_beam.build(urls, once, **words)
        with (
            xr.open_dataset(store, engine="vz_beam", storage_options=server.options) as ours,
            xr.open_dataset(once, engine="vz_beam", storage_options=server.options) as theirs,
        ):
            is_same = ours.load().equals(theirs.load())
            print(f"{done} kills, {ours.sizes['time']} steps, equal to a store built at once: {is_same}; {end.stderr}")
        return int(not is_same or end.returncode != 0)


def soak(rounds: int, suffix: str) -> int:
    """Prints memory as rounds go by; 1 where it grows."""
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder, "inbox")
        inbox.mkdir()
        store = Path(folder, f"store.{suffix}")

        def file(number: int) -> None:
            dataset = xr.Dataset({"v": (("time", "x"), np.full((1, 4), number, "f4"))}, {"time": [number]})
            part = inbox / ".part"
            dataset.to_netcdf(part, engine="h5netcdf", unlimited_dims=["time"], encoding={"v": {"chunksizes": (1, 4)}})
            shutil.move(part, inbox / f"f_{number:06d}.nc")

        file(0)
        early, began = 0, time.monotonic()
        for each in vz_beam.watch(str(inbox), store, concat_dim="time", every=0, rounds=rounds):
            file(each.number)
            if each.number == max(1, rounds // 10):
                early = _memory()
            if each.number % max(1, rounds // 20) == 0:
                print(f"round {each.number:,}: {each.seconds:.2f} s, {_memory() / 2**20:.0f} MiB", flush=True)
        late = _memory()
        print(
            f"{rounds:,} rounds in {time.monotonic() - began:.0f} s; {early / 2**20:.0f} MiB, then {late / 2**20:.0f}"
        )
        return int(late > _GROWTH * early)


def _memory() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def main() -> int:
    """Exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["latency", "kills", "soak"])
    parser.add_argument("--references", type=lambda text: int(float(text)), default=10**6)
    parser.add_argument("--arrivals", type=int, default=40)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--suffix", choices=["parquet", "json", "icechunk"], default="parquet")
    words = parser.parse_args()
    if words.what == "latency":
        return latency(words.references, words.arrivals, words.suffix)
    return kills(words.kills, words.suffix) if words.what == "kills" else soak(words.rounds, words.suffix)


if __name__ == "__main__":
    sys.exit(main())
