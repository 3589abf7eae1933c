"""The laws of writers: inherit :class:`WriterSuite` in a test, and say which writer."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import IncompleteStoreError, StoreError, StoreExistsError, UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_cases import cases
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget, find_writer, write_store

CASES = cases()
Values = Mapping[str, NDArray[Any]]
"""By path."""


class WriterSuite:
    """What every writer must do. ``writer`` and ``suffix`` are the subclass's to say, and how stores are read."""

    writer: Writer
    suffix: str
    refused: Mapping[str, str] = MappingProxyType({})
    """Those of ``CASES`` that the format cannot express, and what the error says."""

    def readings(self, url: str, store: RawStore) -> Iterator[tuple[str, Values, Values]]:
        """For each reader that is not ours, its name, the decoded values that it shows, and the stored ones."""
        raise NotImplementedError

    def shown(self, url: str, names: Iterable[str]) -> Values:
        """The decoded values of some arrays, by one such reader."""
        raise NotImplementedError

    def contents(self, folder: Path) -> Mapping[str, Any]:
        """All that is in the store, and must be the same however it was written; here the bytes of all files."""
        return all_files(folder)

    # Values

    @pytest.mark.parametrize("case", CASES)
    def test_written_values_are_read_back_by_xarray_and_zarr(self, tmp_path: Path, case: str) -> None:
        """``.values`` of every variable, through readers that know nothing of vz_beam."""
        store = raw_store(tmp_path, case)
        url = self.url(tmp_path)
        if case in self.refused:
            with pytest.raises(UnsupportedError, match=self.refused[case]):
                write_store(self.writer, url, store.layout, store.shards())
            return
        summary = write_store(self.writer, url, store.layout, store.shards())
        for reader, shown, stored in self.readings(url, store):
            for path in store.arrays:
                np.testing.assert_array_equal(shown[path], store.decoded[path], err_msg=f"{path} by xarray {reader}")
                np.testing.assert_array_equal(stored[path], store.stored[path], err_msg=f"{path} by zarr {reader}")
        chunks = sum(array.metadata.chunk_grid.size for array in store.arrays.values())
        assert summary.references + summary.missing == chunks

    # Any order, any number of times

    @pytest.mark.parametrize("case", ["60 references, first chunk missing, several record file", "nested groups"])
    def test_shards_in_any_order_and_twice_make_the_same_store(self, tmp_path: Path, case: str) -> None:
        """Byte for byte, as all files of the two stores."""
        store = raw_store(tmp_path, case)
        keys = list(store.layout.shard_keys())
        first = self._written(tmp_path / "first", store, keys)
        random.Random(4).shuffle(keys)
        second = self._written(tmp_path / "second", store, [*keys, *keys[:3]])
        assert first == second
        assert first

    def test_a_repeated_commit_changes_nothing(self, tmp_path: Path) -> None:
        """A worker that died after the commit makes its runner do it again."""
        store = raw_store(tmp_path, "compressed")
        for mode in ("create", "overwrite"):
            target = WriteTarget(self.url(tmp_path / mode), mode)
            receipts = self._shards(target, store)
            first = self.writer.commit(target, store.layout, receipts)
            before = self.contents(tmp_path / mode)
            assert self.writer.commit(target, store.layout, receipts) == first
            assert self.contents(tmp_path / mode) == before

    def test_what_crosses_a_pipeline_survives_pickle(self, tmp_path: Path) -> None:
        """Writer, target, receipts and summary."""
        store = raw_store(tmp_path, "compressed")
        target = WriteTarget(self.url(tmp_path))
        receipts = self._shards(target, store)
        summary = self.writer.commit(target, store.layout, receipts)
        for value in (target, *receipts, summary):
            assert pickle.loads(pickle.dumps(value)) == value
        assert pickle.loads(pickle.dumps(self.writer)).name == self.writer.name

    # Whole or not at all

    def test_nothing_is_visible_before_commit(self, tmp_path: Path) -> None:
        """Nothing stands at the store's place, and nothing else is left behind after."""
        store = raw_store(tmp_path / "raw", "compressed")
        target = WriteTarget(self.url(tmp_path / "out"))
        receipts = self._shards(target, store)
        assert not os.path.exists(target.url)
        self.writer.commit(target, store.layout, receipts)
        assert os.listdir(tmp_path / "out") == [os.path.basename(target.url)]

    def test_a_killed_run_leaves_the_old_store_readable_and_the_next_run_clears_it(self, tmp_path: Path) -> None:
        """Killed after its shards were written."""
        old, new = two_stores(tmp_path)
        url = self.url(tmp_path / "out")
        write_store(self.writer, url, old.layout, old.shards())
        before = self.contents(tmp_path / "out")
        target = WriteTarget(url, "overwrite")
        self._shards(target, new)
        np.testing.assert_array_equal(self.shown(url, ["v"])["v"], old.decoded["v"])
        write_store(self.writer, url, old.layout, old.shards(), mode="overwrite")
        assert self.contents(tmp_path / "out") == before

    def test_overwriting_leaves_nothing_of_the_old_store(self, tmp_path: Path) -> None:
        """The store is then what it would be, had there been none before."""
        old, new = two_stores(tmp_path)
        write_store(self.writer, self.url(tmp_path / "fresh"), new.layout, new.shards())
        url = self.url(tmp_path / "out")
        write_store(self.writer, url, old.layout, old.shards())
        write_store(self.writer, url, new.layout, new.shards(), mode="overwrite")
        assert self.contents(tmp_path / "out") == self.contents(tmp_path / "fresh")

    def test_an_existing_target_is_refused_at_begin_and_at_commit(self, tmp_path: Path) -> None:
        """And it stays as it was."""
        old, new = two_stores(tmp_path)
        target = WriteTarget(self.url(tmp_path / "out"))
        receipts = self._shards(target, new)
        write_store(self.writer, self.url(tmp_path / "aside"), old.layout, old.shards())
        os.rename(self.url(tmp_path / "aside"), target.url)
        with pytest.raises(StoreExistsError, match="overwrite"):
            self.writer.commit(target, new.layout, receipts)
        with pytest.raises(StoreExistsError, match="overwrite"):
            self.writer.begin(target, new.layout)
        np.testing.assert_array_equal(self.shown(target.url, ["v"])["v"], old.decoded["v"])

    def test_lost_receipts_are_named_and_nothing_is_published(self, tmp_path: Path) -> None:
        """As are those of shards that nobody planned, that differ, and that do not add up."""
        store = raw_store(tmp_path, "60 references, no chunk missing, several record file")
        target = WriteTarget(self.url(tmp_path / "out"))
        receipts = self._shards(target, store)
        strange = replace(receipts[0], key=ShardKey("v", 99))
        other = replace(receipts[0], virtual_nbytes=1)
        short = replace(receipts[3], rows=1)
        for wrong, words in (
            ([*receipts[:2], *receipts[3:]], "1 did not arrive: v shard 2"),
            ([], "15 did not arrive"),
            ([*receipts, strange], "not in the layout: v shard 99"),
            ([*receipts, other], "different contents: v shard 0"),
            ([*receipts[:3], short, *receipts[4:]], "another number of chunks than planned: v shard 3"),
        ):
            with pytest.raises(IncompleteStoreError, match=words):
                self.writer.commit(target, store.layout, wrong)
            assert not os.path.exists(target.url)
        self.writer.commit(target, store.layout, [*receipts, *receipts])

    def test_a_lost_shard_is_noticed_although_its_receipt_arrived(self, tmp_path: Path) -> None:
        """Readers would show fill values in its place."""
        store = raw_store(tmp_path, "60 references, no chunk missing, several record file")
        target = WriteTarget(self.url(tmp_path / "out"))
        receipts = self._shards(target, store)
        file = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())[3]
        file.unlink()
        with pytest.raises(IncompleteStoreError, match="1 of 15"):
            self.writer.commit(target, store.layout, receipts)
        assert not os.path.exists(target.url)

    # What cannot be said

    def test_a_reference_of_no_bytes_is_refused_since_readers_take_it_for_the_whole_file(self, tmp_path: Path) -> None:
        """Named by its file and chunk."""
        layout = Layout({"v": ArrayLayout(ArrayMetadata((1,), np.dtype("i2"), (1,), dimension_names=("x",)))}, {})
        target = WriteTarget(self.url(tmp_path))
        with pytest.raises(UnsupportedError, match=r"chunk 0 has 0 bytes .* file:///a\.nc"):
            self.writer.write_shard(target, layout, ShardKey("v", 0), _one_reference(0))

    def test_a_reference_to_a_loaded_chunk_or_outside_the_shard_is_refused(self, tmp_path: Path) -> None:
        """It would be lost, or hide what was loaded."""
        metadata = ArrayMetadata((1,), np.dtype("i2"), (1,), dimension_names=("x",))
        target = WriteTarget(self.url(tmp_path))
        layout = Layout({"v": ArrayLayout(metadata, {0: b"\1\0"})}, {})
        with pytest.raises(StoreError, match="loaded"):
            self.writer.write_shard(target, layout, ShardKey("v", 0), _one_reference(2))
        layout = Layout({"v": ArrayLayout(metadata.with_shape((9,)))}, {}, chunks_per_shard=4)
        with pytest.raises(StoreError, match="holds the chunks 4 to 8, and chunk 0"):
            self.writer.write_shard(target, layout, ShardKey("v", 1), _one_reference(2))

    # Finding it

    def test_the_writer_is_found_by_name_and_suffix(self) -> None:
        """As users ask for it."""
        assert find_writer("x", self.writer.name).name == self.writer.name
        for suffix in self.writer.suffixes:
            assert find_writer(f"s3://bucket/store{suffix}/").name == self.writer.name

    def url(self, folder: Path) -> str:
        """The place of the store in a folder."""
        return str(folder / f"store{self.suffix}")

    def _shards(
        self, target: WriteTarget, store: RawStore, keys: Iterable[ShardKey] | None = None
    ) -> list[ShardReceipt]:
        self.writer.begin(target, store.layout)
        shards = store.shards()
        return [
            self.writer.write_shard(target, store.layout, key, shards.get(key, Fragment.empty()))
            for key in (store.layout.shard_keys() if keys is None else keys)
        ]

    def _written(self, folder: Path, store: RawStore, keys: Iterable[ShardKey]) -> Mapping[str, Any]:
        target = WriteTarget(self.url(folder))
        summary: StoreSummary = self.writer.commit(target, store.layout, self._shards(target, store, keys))
        assert str(summary).startswith(f"file://{target.url} ({self.writer.name})")
        return self.contents(folder)


def raw_store(folder: Path, case: str) -> RawStore:
    """The store of one of ``CASES``."""
    folder.mkdir(exist_ok=True)
    store = RawStore(folder)
    CASES[case](store)
    return store


def two_stores(folder: Path) -> tuple[RawStore, RawStore]:
    """Two stores of other arrays."""
    old = raw_store(folder / "raw", "60 references, no chunk missing, several record file")
    (folder / "other").mkdir()
    new = RawStore(folder / "other")
    new.add("v", np.array([5, 6, 7], "i4"), (2,), ("x",))
    return old, new


def _one_reference(length: int) -> Fragment:
    zeros = np.zeros(1, np.int64)
    return Fragment(
        ("file:///a.nc",), zeros, zeros.astype(np.int32), zeros.astype(np.uint64), np.array([length], np.uint32)
    )


def all_files(folder: Path) -> dict[str, bytes]:
    """Contents of all files, by their paths below ``folder``."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
