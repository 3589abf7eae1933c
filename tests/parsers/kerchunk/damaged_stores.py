"""Kerchunk stores with one damaged file, opened: one of our errors or a dataset, in bounded time and memory.

Runs as ``python -m tests.parsers.kerchunk.damaged_stores FOLDER --cases 300 --seed 1`` on the stores in FOLDER.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vz_beam
from tests.parsers.kerchunk.stores import open_ours
from vz_beam.testing.limited_runs import Limits, run_cases
from vz_beam.testing.mutated_files import mutated

_TEXT = b'{}[]",:0123456789-.eE/\\ntrufalse\xff\0'
"""What JSON is made of: one of these in place of another is still JSON more often than any byte."""


def damaged_store(stores: Sequence[Path], folder: Path, number: int, seed: int) -> tuple[Path, str]:
    """A copy of one of the stores in ``folder`` with one file damaged; its path, and what was damaged."""
    draw = random.Random(f"{seed}:{number}")
    store = draw.choice(stores)
    copy = folder / f"case{store.suffix}"
    if store.is_dir():
        shutil.copytree(store, copy)
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        file = draw.choice([*files, copy / ".zmetadata"])
    else:
        shutil.copyfile(store, copy)
        file = copy
    data = file.read_bytes()
    file.write_bytes(_retyped(data, draw) if draw.random() < 0.5 and data[:1] == b"{" else mutated(data, draw))
    return copy, str(file.relative_to(folder))


def _retyped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        changed[draw.randrange(len(changed))] = draw.choice(_TEXT)
    return bytes(changed)


def opened(path: Path, number: int) -> Any:
    """The store, opened in one of the ways that users have; no chunk is read but those of coordinates."""
    if number % 3 == 0:
        with suppress(MemoryError):  # zarr believes how many texts a chunk claims to hold
            return open_ours(path, unsupported="skip", decode_cf=False)
    if number % 3 == 1:
        return vz_beam.open_virtual_dataset(path, unsupported="skip")
    return vz_beam.open_virtual_datatree(path, loadable_variables=[])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 where all cases passed, else 1."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--cases", type=int, default=300)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args(arguments)
    stores = sorted(path for path in given.folder.iterdir() if path.suffix in (".json", ".parquet"))
    outcomes: Counter[str] = Counter()

    def run(number: int) -> None:
        with TemporaryDirectory() as folder:
            path, _ = damaged_store(stores, Path(folder), number, given.seed)
            opened(path, number)

    opened(stores[0], 1)  # so that not every process loads the libraries
    failed = False
    for result in run_cases(range(given.first, given.first + given.cases), run, Limits(seconds=10)):
        outcomes[result.outcome] += 1
        if result.is_failure:
            failed = True
            with TemporaryDirectory() as folder:
                _, what = damaged_store(stores, Path(folder), result.number, given.seed)
            print(f"case {result.number} ({what}): {result.outcome}: {result.detail}", flush=True)
    print(f"{outcomes.total()} cases of seed {given.seed}: {dict(outcomes)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
