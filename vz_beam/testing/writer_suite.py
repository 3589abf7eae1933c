"""The laws of writers: inherit :class:`WriterSuite` in a test, and say which writer."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import IncompleteStoreError, StoreError, StoreExistsError, UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_cases import cases
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget, find_writer, write_store

CASES = cases()


class WriterSuite:
    """What every writer of Kerchunk references must do. ``writer`` and ``suffix`` are the subclass's to say."""

    writer: Writer
    suffix: str

    # Values

    @pytest.mark.parametrize("case", CASES)
    def test_written_values_are_read_back_by_xarray_and_zarr(self, tmp_path: Path, case: str) -> None:
        """``.values`` of every variable, through readers that know nothing of vz_beam."""
        store = _store(tmp_path, case)
        url = self._url(tmp_path)
        summary = write_store(self.writer, url, store.layout, store.shards())
        has_groups = any("/" in path for path in store.arrays)
        guessed: list[dict[str, str]] = [] if has_groups else [{}]
        for options in [*guessed, {"remote_protocol": "file"}]:
            shown = read_by_xarray(url, store.arrays, options)
            stored = read_by_zarr(url, store.arrays, options)
            for path in store.arrays:
                np.testing.assert_array_equal(shown[path], store.decoded[path], err_msg=f"{path} by xarray {options}")
                np.testing.assert_array_equal(stored[path], store.stored[path], err_msg=f"{path} by zarr {options}")
        chunks = sum(array.metadata.chunk_grid.size for array in store.arrays.values())
        assert summary.references + summary.missing == chunks

    def test_a_variable_keeps_its_integer_type_where_nothing_is_masked(self, tmp_path: Path) -> None:
        """A storage fill must not reach xarray as ``_FillValue``."""
        store = _store(tmp_path, "zeros without a CF fill")
        write_store(self.writer, self._url(tmp_path), store.layout, store.shards())
        with xr.open_dataset(self._url(tmp_path), engine="kerchunk", chunks=None) as dataset:
            assert {name: variable.dtype for name, variable in dataset.variables.items()} == {
                "v": np.dtype("i2"),
                "w": np.dtype("i2"),
            }

    # Any order, any number of times

    @pytest.mark.parametrize("case", ["60 references, first chunk missing, several record file", "nested groups"])
    def test_shards_in_any_order_and_twice_make_the_same_store(self, tmp_path: Path, case: str) -> None:
        """Byte for byte, as all files of the two stores."""
        store = _store(tmp_path, case)
        keys = list(store.layout.shard_keys())
        first = self._written(tmp_path / "first", store, keys)
        random.Random(4).shuffle(keys)
        second = self._written(tmp_path / "second", store, [*keys, *keys[:3]])
        assert first == second
        assert first

    def test_a_repeated_commit_changes_nothing(self, tmp_path: Path) -> None:
        """A worker that died after the commit makes its runner do it again."""
        store = _store(tmp_path, "compressed")
        for mode in ("create", "overwrite"):
            target = WriteTarget(self._url(tmp_path / mode), mode)
            receipts = self._shards(target, store)
            first = self.writer.commit(target, store.layout, receipts)
            before = _files(tmp_path / mode)
            assert self.writer.commit(target, store.layout, receipts) == first
            assert _files(tmp_path / mode) == before

    def test_what_crosses_a_pipeline_survives_pickle(self, tmp_path: Path) -> None:
        """Writer, target, receipts and summary."""
        store = _store(tmp_path, "compressed")
        target = WriteTarget(self._url(tmp_path))
        receipts = self._shards(target, store)
        summary = self.writer.commit(target, store.layout, receipts)
        for value in (target, *receipts, summary):
            assert pickle.loads(pickle.dumps(value)) == value
        assert pickle.loads(pickle.dumps(self.writer)).name == self.writer.name

    # Whole or not at all

    def test_nothing_is_visible_before_commit(self, tmp_path: Path) -> None:
        """Nothing stands at the store's place, and nothing else is left behind after."""
        store = _store(tmp_path / "raw", "compressed")
        target = WriteTarget(self._url(tmp_path / "out"))
        receipts = self._shards(target, store)
        assert not os.path.exists(target.url)
        self.writer.commit(target, store.layout, receipts)
        assert os.listdir(tmp_path / "out") == [os.path.basename(target.url)]

    def test_a_killed_run_leaves_the_old_store_readable_and_the_next_run_clears_it(self, tmp_path: Path) -> None:
        """Killed after its shards were written."""
        old, new = _two_stores(tmp_path)
        url = self._url(tmp_path / "out")
        write_store(self.writer, url, old.layout, old.shards())
        before = _files(tmp_path / "out")
        target = WriteTarget(url, "overwrite")
        self._shards(target, new)
        np.testing.assert_array_equal(read_by_xarray(url, ["v"])["v"], old.decoded["v"])
        write_store(self.writer, url, old.layout, old.shards(), mode="overwrite")
        assert _files(tmp_path / "out") == before

    def test_overwriting_leaves_nothing_of_the_old_store(self, tmp_path: Path) -> None:
        """The store is then what it would be, had there been none before."""
        old, new = _two_stores(tmp_path)
        write_store(self.writer, self._url(tmp_path / "fresh"), new.layout, new.shards())
        url = self._url(tmp_path / "out")
        write_store(self.writer, url, old.layout, old.shards())
        write_store(self.writer, url, new.layout, new.shards(), mode="overwrite")
        assert _files(tmp_path / "out") == _files(tmp_path / "fresh")

    def test_an_existing_target_is_refused_at_begin_and_at_commit(self, tmp_path: Path) -> None:
        """And it stays as it was."""
        old, new = _two_stores(tmp_path)
        target = WriteTarget(self._url(tmp_path / "out"))
        receipts = self._shards(target, new)
        write_store(self.writer, self._url(tmp_path / "aside"), old.layout, old.shards())
        os.rename(self._url(tmp_path / "aside"), target.url)
        with pytest.raises(StoreExistsError, match="overwrite"):
            self.writer.commit(target, new.layout, receipts)
        with pytest.raises(StoreExistsError, match="overwrite"):
            self.writer.begin(target, new.layout)
        np.testing.assert_array_equal(read_by_xarray(target.url, ["v"])["v"], old.decoded["v"])

    def test_lost_receipts_are_named_and_nothing_is_published(self, tmp_path: Path) -> None:
        """As are those of shards that nobody planned, that differ, and that do not add up."""
        store = _store(tmp_path, "60 references, no chunk missing, several record file")
        target = WriteTarget(self._url(tmp_path / "out"))
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
        store = _store(tmp_path, "60 references, no chunk missing, several record file")
        target = WriteTarget(self._url(tmp_path / "out"))
        receipts = self._shards(target, store)
        file = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())[3]
        file.unlink()
        with pytest.raises(IncompleteStoreError, match="1 of 15"):
            self.writer.commit(target, store.layout, receipts)
        assert not os.path.exists(target.url)

    # What cannot be said

    def test_arrays_that_the_format_cannot_express_are_all_named_before_anything_is_written(
        self, tmp_path: Path
    ) -> None:
        """Zarr v2 has no shards, no checksum codec of v3, no transposition."""
        codecs = {"a": Codec("crc32c"), "b": Codec("transpose", {"order": [0]})}
        arrays = {
            name: ArrayLayout(ArrayMetadata((2,), np.dtype("i2"), (2,), codecs=(codec,), dimension_names=("x",)))
            for name, codec in codecs.items()
        }
        serializer = Codec("sharding_indexed", {"chunk_shape": [1]})
        arrays["c"] = ArrayLayout(
            ArrayMetadata((2,), np.dtype("i2"), (2,), serializer=serializer, dimension_names=("x",))
        )
        with pytest.raises(UnsupportedError) as refusal:
            self.writer.begin(WriteTarget(self._url(tmp_path / "out")), Layout(arrays, {"": {}}))
        for words in ("'a'", "crc32c", "'b'", "transpose", "'c'", "sharding_indexed", "Way out"):
            assert words in str(refusal.value)
        assert not (tmp_path / "out").exists()

    def test_a_reference_of_no_bytes_is_refused_since_readers_take_it_for_the_whole_file(self, tmp_path: Path) -> None:
        """Named by its file and chunk."""
        layout = Layout({"v": ArrayLayout(ArrayMetadata((1,), np.dtype("i2"), (1,), dimension_names=("x",)))}, {})
        target = WriteTarget(self._url(tmp_path))
        with pytest.raises(UnsupportedError, match=r"chunk 0 has 0 bytes .* file:///a\.nc"):
            self.writer.write_shard(target, layout, ShardKey("v", 0), _one_reference(0))

    def test_a_reference_to_a_loaded_chunk_or_outside_the_shard_is_refused(self, tmp_path: Path) -> None:
        """It would be lost, or hide what was loaded."""
        metadata = ArrayMetadata((1,), np.dtype("i2"), (1,), dimension_names=("x",))
        target = WriteTarget(self._url(tmp_path))
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

    def _url(self, folder: Path) -> str:
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

    def _written(self, folder: Path, store: RawStore, keys: Iterable[ShardKey]) -> dict[str, bytes]:
        target = WriteTarget(self._url(folder))
        summary: StoreSummary = self.writer.commit(target, store.layout, self._shards(target, store, keys))
        assert str(summary).startswith(f"file://{target.url} ({self.writer.name})")
        return _files(folder)


def read_by_xarray(url: str, paths: Iterable[str], options: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """The values of arrays as xarray shows them."""
    values = {}
    for path in paths:
        group, _, name = path.rpartition("/")
        if group:
            backend = {"storage_options": {"fo": url, **(options or {})}}
            dataset = xr.open_dataset(
                "reference://", engine="zarr", group=group, zarr_format=2, chunks=None, backend_kwargs=backend
            )
        else:
            dataset = xr.open_dataset(url, engine="kerchunk", chunks=None, storage_options=dict(options or {}))
        with dataset:
            values[path] = dataset[name].values
    return values


def read_by_zarr(url: str, paths: Iterable[str], options: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """The values of arrays as zarr shows them."""
    filesystem = fsspec.filesystem("reference", fo=url, asynchronous=True, **(options or {}))
    group = zarr.open_group(FsspecStore(filesystem, read_only=True, path=""), mode="r", zarr_format=2)
    arrays = {path: group[path] for path in paths}
    return {path: np.asarray(array[...]) for path, array in arrays.items() if isinstance(array, zarr.Array)}


def _store(folder: Path, case: str) -> RawStore:
    folder.mkdir(exist_ok=True)
    store = RawStore(folder)
    CASES[case](store)
    return store


def _two_stores(folder: Path) -> tuple[RawStore, RawStore]:
    old = _store(folder / "raw", "60 references, no chunk missing, several record file")
    (folder / "other").mkdir()
    new = RawStore(folder / "other")
    new.add("v", np.array([5, 6, 7], "i4"), (2,), ("x",))
    return old, new


def _one_reference(length: int) -> Fragment:
    zeros = np.zeros(1, np.int64)
    return Fragment(
        ("file:///a.nc",), zeros, zeros.astype(np.int32), zeros.astype(np.uint64), np.array([length], np.uint32)
    )


def _files(folder: Path) -> dict[str, bytes]:
    """Contents of all files, by their paths below ``folder``."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
