"""Files that keep coming, one store: each look at the source is a round, and each round one commit.

python -m pipelines.growing_in_rounds --source 'incoming/*.nc' --store hourly.icechunk --every 10

Killed at any moment and started again, it goes on after its last commit.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

import vz_beam


def run(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each round, for ever, or until nothing has been new for ``--idle_seconds``."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="glob, folder or prefix, on any protocol; quoted")
    parser.add_argument("--store", required=True, help="path or URL, ending in .parquet, .json, .icechunk or .zarr")
    parser.add_argument("--concat_dim", default="time", help="dimension along which the files follow each other")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between looks")
    parser.add_argument("--inputs_per_round", type=int, default=1000)
    parser.add_argument("--idle_seconds", type=float, help="end where nothing has been new for so long")
    given = parser.parse_args(arguments)
    rounds = vz_beam.watch(
        given.source,
        given.store,
        concat_dim=given.concat_dim,
        every=given.every,
        inputs_per_round=given.inputs_per_round,
        idle_seconds=given.idle_seconds,
    )
    for one in rounds:
        print(f"round {one.number}: {one.inputs} inputs in the store after {one.seconds:.1f} s", flush=True)
        for text in one.failures:
            print(f"  not in it: {text}", flush=True)


if __name__ == "__main__":
    run()
