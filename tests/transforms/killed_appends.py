"""Appends that are killed before each of their writes, copies, moves and deletions: run as a program of its own."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import partial
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
from vz_beam.storage.source_pool import SourcePool
from vz_beam.writers.writer import WriteTarget, find_writer, write_store

KILLED = 9
STEPS = ("write", "copy", "move", "delete")
REPOSITORY_STEPS = ("create_branch", "writable_session", "save_config", "reset_branch", "delete_branch")


def main(store_name: str, folder: str, *files: str) -> None:
    """Prints how many steps an append has; ends with an error where a killed one left anything but the old store.

    Each step has a process of its own, forked from this one, which starts no library with threads.
    """
    once, base = Path(folder, "once", store_name), Path(folder, "base", store_name)
    for store, some in ((once, files), (base, files[:3])):
        in_child(partial(_build, store, some))
    second = files[3:]
    old, new = (in_child(partial(_contents, store)) for store in (base, once))
    step, was_killed = 0, True
    while was_killed:
        place = Path(folder, f"step_{step}", store_name)
        shutil.copytree(base.parent, place.parent)
        was_killed = in_child(partial(_killed_append, place, second, step)) is None
        left = in_child(partial(_contents, place))
        assert left in (old, new, {}), f"killed at step {step}: neither the old store nor the new one"
        in_child(partial(_append if left != new else _append_again, place, second))
        assert in_child(partial(_contents, place)) == new, f"killed at step {step}, run again: another store"
        step += 1
    print(step, flush=True)


def in_child(run: Callable[[], Any]) -> Any:
    """What a function returns in a forked process; ``None`` where it was killed there."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        child = os.fork()
        if not child:
            try:
                result.write_bytes(pickle.dumps(run()))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)  # libraries that were forked with their threads may abort where they end by themselves
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, KILLED):
            sys.exit(status)
        return pickle.loads(result.read_bytes()) if status == 0 else None


def _build(store: Path, files: Sequence[str]) -> None:
    layout, shards, identities = _inputs(files)
    write_store(find_writer(store), store, layout, shards, inputs=identities)


def _inputs(files: Any) -> tuple[Layout, dict[ShardKey, Fragment], list[Any]]:
    pattern = vz_beam.pattern_from_file_sequence(list(files), "time")
    opened = [(index, vz_beam.open_virtual_dataset(url)) for index, url in pattern.items()]
    layout, shards = combine(opened, chunks_per_shard=5)
    return layout, shards, [dataset.encoding["identity"] for _, dataset in opened]


def _append(store: Path, files: Sequence[str]) -> None:
    layout, shards, identities = _inputs(files)
    with SourcePool() as open_location:
        target = WriteTarget(str(store), "append")
        append_store(find_writer(store), target, layout, shards, open_location, inputs=identities)


def _append_again(store: Path, files: Sequence[str]) -> None:
    with pytest.raises(StoreMismatchError, match="time"):
        _append(store, files)


def _killed_append(store: Path, files: Sequence[str], step: int) -> bool:
    """Ends the process before step number ``step`` of an append; returns where it has no more."""
    left = [step]

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            if not left[0]:
                os._exit(KILLED)
            left[0] -= 1
            return method(*arguments, **options)

        return act

    steps: list[tuple[type, tuple[str, ...]]] = [(LocalSink, STEPS)]
    if store.suffix == ".icechunk":
        import icechunk

        steps += [(icechunk.Repository, REPOSITORY_STEPS), (icechunk.Session, ("commit",))]
    for kind, names in steps:
        for name in names:
            setattr(kind, name, dying(getattr(kind, name)))
    _append(store, files)
    return True


def _contents(store: Path) -> dict[str, Any]:
    """All that readers see; nothing where there is no store."""
    if store.suffix == ".icechunk":
        from tests.icechunk_contents import contents

        return contents(store)
    files = (path for path in sorted(store.parent.rglob("*")) if path.is_file())
    named = {str(path.relative_to(store.parent)): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".")}


if __name__ == "__main__":
    main(*sys.argv[1:])
