"""Appends that are killed before each of their writes, copies, moves and deletions: run as a program of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vz_beam
from tests.combine.virtual_files import combine
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.datasets.appending import append_store
from vz_beam.errors import StoreMismatchError
from vz_beam.storage.local_sink import LocalSink
from vz_beam.writers.writer import WriteTarget, find_writer, write_store

KILLED = 9
STEPS = ("write", "copy", "move", "delete")


def main(store_name: str, folder: str, *files: str) -> None:
    """Prints how many steps an append has; ends with an error where a killed one left anything but the old store."""
    whole, first, second = (_inputs(part) for part in (files, files[:3], files[3:]))
    once, base = Path(folder, "once", store_name), Path(folder, "base", store_name)
    for target, inputs in ((once, whole), (base, first)):
        write_store(find_writer(target), target, *inputs[:2], inputs=inputs[2])
    old, new = _contents(base.parent), _contents(once.parent)
    step, was_killed = 0, True
    while was_killed:
        place = Path(folder, f"step_{step}", store_name)
        shutil.copytree(base.parent, place.parent)
        child = os.fork()
        if not child:
            _kill_at(step)
            _append(place, second)
            os._exit(0)
        was_killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
        left = _contents(place.parent, hidden=False)
        assert left in (old, new, {}), f"killed at step {step}: neither the old store nor the new one"
        if left != new:
            _append(place, second)
        else:
            _append_again(place, second)
        assert _contents(place.parent, hidden=False) == new, f"killed at step {step}, run again: another store"
        step += 1
    print(step, flush=True)
    os._exit(0)  # libraries that were forked with their threads may abort where they end by themselves


def _inputs(files: Any) -> tuple[Layout, dict[ShardKey, Fragment], list[Any]]:
    pattern = vz_beam.pattern_from_file_sequence(list(files), "time")
    opened = [(index, vz_beam.open_virtual_dataset(url)) for index, url in pattern.items()]
    layout, shards = combine(opened, chunks_per_shard=5)
    return layout, shards, [dataset.encoding["identity"] for _, dataset in opened]


def _append(store: Path, inputs: tuple[Layout, dict[ShardKey, Fragment], list[Any]]) -> None:
    layout, shards, identities = inputs
    append_store(find_writer(store), WriteTarget(str(store), "append"), layout, shards, inputs=identities)


def _append_again(store: Path, inputs: tuple[Layout, dict[ShardKey, Fragment], list[Any]]) -> None:
    with pytest.raises(StoreMismatchError, match="time"):
        _append(store, inputs)


def _kill_at(step: int) -> None:
    left = [step]

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            if not left[0]:
                os._exit(KILLED)
            left[0] -= 1
            return method(*arguments)

        return act

    for name in STEPS:
        setattr(LocalSink, name, dying(getattr(LocalSink, name)))


def _contents(folder: Path, *, hidden: bool = True) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {str(path.relative_to(folder)): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if hidden or not name.startswith(".")}


if __name__ == "__main__":
    main(*sys.argv[1:])
