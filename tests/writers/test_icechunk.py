"""The laws of writers on Icechunk repositories, and what only they have: history, branches, containers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

from tests.icechunk_contents import contents, opened, store_of
from vz_beam.combine.fragment import Fragment
from vz_beam.errors import InputError, StoreError, StoreExistsError, UnsupportedError
from vz_beam.storage.identity import Identity
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_suite import Values, WriterSuite, raw_store, two_stores
from vz_beam.writers import icechunk as icechunk_writer
from vz_beam.writers.icechunk import WRITER
from vz_beam.writers.icechunk_repository import BUILDING, INITIAL, add_containers, storage_of
from vz_beam.writers.writer import WriteTarget, write_store


class TestIcechunk(WriterSuite):
    writer = WRITER
    suffix = ".icechunk"
    refused = MappingProxyType({"NaN is both fills": "'valid_max' holds inf, which an Icechunk store cannot hold"})

    def readings(self, url: str, store: RawStore) -> Iterator[tuple[str, Values, Values]]:
        root: Any = zarr.open_group(store_of(url), mode="r")
        yield "icechunk", self.shown(url, store.arrays), {path: np.asarray(root[path][...]) for path in store.arrays}

    def shown(self, url: str, names: Iterable[str]) -> Values:
        values = {}
        for path in names:
            group, _, name = path.rpartition("/")
            with xr.open_zarr(store_of(url), group=group or None, consolidated=False, chunks=None) as dataset:
                values[path] = dataset[name].values
        return values

    def contents(self, folder: Path) -> Mapping[str, Any]:
        """Metadata and references of each array; chunks in the repository by their bytes, since their names differ."""
        (path,) = folder.iterdir()
        return contents(path)


def test_commits_are_planned_and_readers_see_them_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icechunk_writer, "COMMIT_REFERENCES", 20)
    store = raw_store(tmp_path / "raw", "60 references, no chunk missing, several record file")
    url = str(tmp_path / "store.icechunk")
    write_store(WRITER, url, store.layout, store.shards())
    repository = opened(url)
    messages = [commit.message for commit in repository.ancestry(branch="main")]
    assert len(messages) == 4
    assert "before v shard 5" in messages[2]
    assert repository.list_branches() == {"main"}
    np.testing.assert_array_equal(np.asarray(xr.open_zarr(store_of(url), consolidated=False)["v"]), store.decoded["v"])


def test_history_stays_where_a_store_is_overwritten(tmp_path: Path) -> None:
    old, new = two_stores(tmp_path)
    url = str(tmp_path / "out" / "store.icechunk")
    write_store(WRITER, url, old.layout, old.shards())
    repository = opened(url)
    first = repository.lookup_branch("main")
    write_store(WRITER, url, new.layout, new.shards(), mode="overwrite")
    repository = opened(url)
    before = xr.open_zarr(repository.readonly_session(snapshot_id=first).store, consolidated=False)
    np.testing.assert_array_equal(before["v"].values, old.decoded["v"])
    assert xr.open_zarr(repository.readonly_session("main").store, consolidated=False)["v"].shape == (3,)


def test_a_run_that_was_killed_while_it_committed_left_no_store(tmp_path: Path) -> None:
    store = raw_store(tmp_path / "raw", "compressed")
    url = str(tmp_path / "out" / "store.icechunk")
    repository = icechunk.Repository.create(storage_of(url, None))
    repository.create_branch(BUILDING, INITIAL)
    session = repository.writable_session(BUILDING)
    zarr.open_group(session.store, mode="a").create_array("left", shape=(1,), dtype="i4")
    session.commit("killed")
    write_store(WRITER, url, store.layout, store.shards())
    assert opened(url).list_branches() == {"main"}
    root: Any = zarr.open_group(store_of(url), mode="r")
    assert sorted(root.keys()) == sorted(store.arrays)


def test_of_two_runs_at_one_place_one_is_told(tmp_path: Path) -> None:
    store = raw_store(tmp_path / "raw", "compressed")
    url = str(tmp_path / "out" / "store.icechunk")
    first, second = (WriteTarget(url) for _ in range(2))
    shards = store.shards()
    receipts = {}
    for target in (first, second):
        WRITER.begin(target, store.layout)
        keys = list(store.layout.shard_keys())
        receipts = {k: WRITER.write_shard(target, store.layout, k, shards.get(k, Fragment.empty())) for k in keys}
    with pytest.raises(StoreError, match="another one has begun"):
        WRITER.commit(first, store.layout, receipts.values())
    WRITER.commit(second, store.layout, receipts.values())
    other = WriteTarget(url)
    for key in receipts:
        WRITER.write_shard(other, store.layout, key, shards.get(key, Fragment.empty()))
    with pytest.raises(StoreExistsError):
        WRITER.commit(other, store.layout, receipts.values())


def test_a_commit_of_somebody_else_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = two_stores(tmp_path)
    url = str(tmp_path / "out" / "store.icechunk")
    write_store(WRITER, url, old.layout, old.shards())

    def meanwhile(*arguments: Any) -> list[str]:
        session = opened(url).writable_session("main")
        zarr.open_group(session.store, mode="a").attrs["title"] = "theirs"
        session.commit("theirs")
        return add_containers(*arguments)

    monkeypatch.setattr(icechunk_writer, "add_containers", meanwhile)
    with pytest.raises(StoreError, match="somebody has committed to the branch 'main' meanwhile"):
        write_store(WRITER, url, new.layout, new.shards(), mode="overwrite")
    assert zarr.open_group(store_of(url), mode="r").attrs["title"] == "theirs"
    monkeypatch.undo()
    write_store(WRITER, url, new.layout, new.shards(), mode="overwrite")
    assert xr.open_zarr(store_of(url), consolidated=False)["v"].shape == (3,)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    store = raw_store(tmp_path / "raw", "compressed")
    place = tmp_path / "store.icechunk"
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(StoreExistsError):
        WRITER.begin(WriteTarget(str(place)), store.layout)
    assert os.listdir(place) == ["notes.txt"]


@pytest.mark.parametrize(
    ("urls", "sources", "expected"),
    [
        (["s3://a/x.nc", "s3://b/y/z.nc"], {"region": "eu-west-1"}, ["s3://a/", "s3://b/"]),
        (["gs://a/x.nc"], {}, ["gs://a/"]),
        (["az://a/x.nc"], {"account_name": "someone"}, ["az://a/"]),
        (["https://host/a/b.nc", "https://host/c.nc"], {}, ["https://host/"]),
        (["file:///data/a%20b/c.nc", "file:///data/a%20b/d.nc"], {}, ["file:///data/"]),
        (["file:///data/a/c.nc", "file:///data/b/d.nc"], {}, ["file:///data/"]),
    ],
)
def test_containers_hold_what_is_referenced(
    urls: list[str], sources: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    url = str(tmp_path / "store.icechunk")
    repository = icechunk.Repository.create(storage_of(url, None))
    assert add_containers(repository, url, None, urls, sources) == expected
    again = icechunk.Repository.open(icechunk.local_filesystem_storage(url))
    assert sorted(again.config.virtual_chunk_containers or {}) == expected
    assert add_containers(again, url, None, urls, sources) == expected


def test_places_and_options_that_icechunk_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="local folders"):
        storage_of("sftp://host/a.icechunk", None)
    with pytest.raises(InputError, match="'retries'"):
        storage_of("s3://bucket/a.icechunk", {"retries": 3})
    with pytest.raises(InputError, match="which account"):
        storage_of("az://container/a.icechunk", None)
    repository = icechunk.Repository.create(storage_of(str(tmp_path / "a"), None))
    with pytest.raises(InputError, match="which account"):
        add_containers(repository, str(tmp_path / "a"), None, ["az://container/a.nc"], {})
    for url in ("sftp://host/a.nc", "abfs://container@account.dfs.core.windows.net/a.nc"):
        with pytest.raises(UnsupportedError, match="containers are for"):
            add_containers(repository, str(tmp_path / "a"), None, [url], {})


def test_a_repository_keeps_one_table_of_its_inputs(tmp_path: Path) -> None:
    store = raw_store(tmp_path / "raw", "compressed")
    url = str(tmp_path / "out" / "store.icechunk")
    for number in range(3):
        inputs = [Identity(f"file:///a{number}.nc", number, None, "2001-01-01T00:00:00Z")]
        write_store(WRITER, url, store.layout, store.shards(), mode="overwrite", inputs=inputs)
        assert list(WRITER.input_table(WriteTarget(url)).inputs) == inputs
    assert len(list((tmp_path / "out" / "store.icechunk" / "vz_beam").iterdir())) == 1
