"""References that get lost between workers are found before a store is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.combine.virtual_files import combine, time_index, virtual_file, virtual_variable
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.errors import IncompleteStoreError
from vz_beam.writers.writer import find_writer, write_store


def inputs(count: int = 6, **choices: Any) -> list[Any]:
    return [(time_index(n), virtual_file(n, **choices)) for n in range(count)]


@pytest.mark.parametrize("suffix", ["parquet", "json"])
@pytest.mark.parametrize("lost", [slice(0, 1), slice(3, None)])
def test_a_store_is_not_published_without_some_of_its_references(suffix: str, lost: slice, tmp_path: Path) -> None:
    layout, shards = combine(inputs())
    assert layout.arrays["v"].references == 24
    whole = shards[ShardKey("v", 0)]
    kept = np.ones(len(whole), np.bool_)
    kept[lost] = False
    store = tmp_path / f"store.{suffix}"
    with pytest.raises(IncompleteStoreError, match=rf"array 'v' has {kept.sum()} references, and its inputs have 24"):
        write_store(find_writer(store), store.as_uri(), layout, {ShardKey("v", 0): whole.take(kept)})
    assert not store.exists()
    with pytest.raises(IncompleteStoreError, match="array 'v' has 0 references"):
        write_store(find_writer(store), store.as_uri(), layout, {ShardKey("v", 0): Fragment.empty()})
    write_store(find_writer(store), store.as_uri(), layout, shards)
    assert store.exists()


def test_chunks_that_were_never_written_are_not_expected() -> None:
    dataset = virtual_file(0)
    array: Any = dataset["v"].variable.data
    manifest = array.manifest
    ids = manifest.location_ids.copy()
    ids[0, 0] = -1
    columns = (np.where(ids < 0, 0, manifest.offsets), np.where(ids < 0, 0, manifest.lengths))
    array = type(array)(array.metadata, type(manifest).from_columns(manifest.locations, ids, *columns))
    dataset["v"] = (("time", "x"), array)
    layout, shards = combine([(time_index(0), dataset), *inputs()[1:]])
    assert layout.arrays["v"].references == 23 == len(shards[ShardKey("v", 0)])


def test_an_array_that_all_inputs_have_is_expected_once(tmp_path: Path) -> None:
    datasets = []
    for index, dataset in inputs():
        grid = virtual_variable(dataset.encoding["source"], ("x",), (6,), (2,), dtype="f4")
        datasets.append((index, dataset.assign(grid=grid)))
    layout, shards = combine(datasets)
    assert layout.arrays["grid"].references == 3 == len(shards[ShardKey("grid", 0)])
    store = tmp_path / "store.json"
    write_store(find_writer(store), store.as_uri(), layout, shards)


def test_a_layout_that_expects_nothing_takes_what_comes(tmp_path: Path) -> None:
    layout, _ = combine(inputs())
    arrays = {path: replace(array, references=None) for path, array in layout.arrays.items()}
    store = tmp_path / "store.json"
    write_store(find_writer(store), store.as_uri(), replace(layout, arrays=arrays), {})
    assert store.exists()
