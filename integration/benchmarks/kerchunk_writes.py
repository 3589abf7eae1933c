"""Seconds and memory of ``vz.to_kerchunk(format="parquet")``: 1e7 references by us, 1e6 by us and VirtualiZarr in turn.

    python -m integration.benchmarks.kerchunk_writes [--rounds 3]

Each write has a process of its own, on one core. Peak memory is that of the whole process; "more" is what the write
added. Ends with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from integration.benchmarks.icechunk_writes import WRITERS, peak_megabytes

MOST_SECONDS, MOST_MEGABYTES = 4.0, 700
"""For 10,000,000 references of 100 files: the write, and the memory that it adds."""
LEAST_RATIO = 25
LARGE, SMALL = 10_000_000, 1_000_000


def measure(writer: str, count: int, files: int) -> str:
    """Seconds of the write, megabytes that it adds, and of the process at its peak."""
    dataset = WRITERS[writer]([f"s3://bucket/some/folder/of/an/archive/file_{n:08}.nc" for n in range(files)], count)
    before = peak_megabytes()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        dataset.vz.to_kerchunk(f"{folder}/store.parquet", format="parquet")
        seconds = time.perf_counter() - began
    return f"{seconds:.3f} {peak_megabytes() - before:.0f} {peak_megabytes():.0f}"


def run(writer: str, count: int, files: int) -> tuple[float, float, float]:
    """What :func:`measure` finds in a process of its own, on the first core that this one may use."""
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-W", "ignore", "-m", "integration.benchmarks.kerchunk_writes", "--one", writer]
    command += [str(count), str(files)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    seconds, more, peak = map(float, done.stdout.split()[-3:])
    print(f"  {writer:<13} {count:>12,} references  {seconds:7.2f} s  +{more:5.0f} MB  peak {peak:5.0f} MB", flush=True)
    return seconds, more, peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("WRITER", "REFERENCES", "FILES"), help="measure in this process")
    options = parser.parse_args()
    if options.one:
        print(measure(options.one[0], *map(int, options.one[1:])))
        return 0
    ratios, seconds, peaks = [], [], []
    for _ in range(options.rounds):
        large = run("vz_beam", LARGE, 100)
        seconds.append(large[0])
        peaks.append(large[2])
        ratios.append(run("virtualizarr", SMALL, 100)[0] / run("vz_beam", SMALL, 100)[0])
    found = statistics.median(seconds), statistics.median(peaks), statistics.median(ratios)
    print(
        f"medians: {LARGE:,} references in {found[0]:.2f} s (at most {MOST_SECONDS}), peak {found[1]:.0f} MB (at most "
        f"{MOST_MEGABYTES}); {found[2]:.0f} times VirtualiZarr (at least {LEAST_RATIO})"
    )
    return int(found[0] > MOST_SECONDS or found[1] > MOST_MEGABYTES or found[2] < LEAST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
