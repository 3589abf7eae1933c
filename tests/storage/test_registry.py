"""Stores found by URL: by segments (wrong-data 98), and by the whole name (wrong-data 97)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import pytest
from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store

from tests.storage.conftest import Served
from vz_beam.errors import InputError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.registry import PrefixRegistry, as_registry


class CutsNames:
    """Resolves as ObjectStoreRegistry of obspec_utils does: what follows ``#`` and ``?`` is lost."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def resolve(self, url: str) -> tuple[Any, str]:
        if urlsplit(url).netloc == "unknown":
            raise ValueError(f"Could not find an ObjectStore matching the url `{url}`")
        return self.store, urlsplit(url).path.lstrip("/")


def _store(**objects: bytes) -> MemoryStore:
    store = MemoryStore()
    for key, data in objects.items():
        obstore.put(store, key.replace("__", "/"), data)
    return store


def test_a_prefix_is_compared_by_segments() -> None:
    registry = {"s3://b": _store(data2__x=b"outer"), "s3://b/data": _store(data__x=b"inner")}
    assert open_source("s3://b/data2/x", registry=registry).read(0, 5) == b"outer"
    assert open_source("s3://b/data/x", registry=registry).read(0, 5) == b"inner"


def test_the_longest_prefix_wins_in_any_order() -> None:
    stores = {"s3://b/a/b": "abc", "s3://b": "root", "s3://b/a": "a", "memory://": "memory", "file:///d": "disk"}
    for items in (list(stores.items()), list(reversed(stores.items()))):
        registry = PrefixRegistry(dict(items))
        assert [registry.resolve(url)[0] for url in ("s3://b/a/b/c", "s3://b/a/bc", "s3://b/x")] == ["abc", "a", "root"]
        assert registry.resolve("memory://x/y") == ("memory", "x/y")
        assert registry.resolve("file:///d/x") == ("disk", "d/x")


def test_a_store_with_a_prefix_of_its_own_gets_what_is_below_it() -> None:
    store = S3Store("b", prefix="data/v1", skip_signature=True, region="x")
    registry = PrefixRegistry({"s3://b/data": store})
    assert registry.resolve("s3://b/data/v1/x")[1] == "x"
    with pytest.raises(InputError, match="the prefix of the store"):
        registry.resolve("s3://b/data/v10/x")


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b", "a b", "a;b"])
def test_a_registry_that_cuts_names_reads_the_right_object(name: str) -> None:
    store = MemoryStore()
    obstore.put(store, f"d/{name}", b"right")
    obstore.put(store, "d/a", b"wrong")
    source = open_source(f"s3://b/d/{name}", registry=CutsNames(store))
    assert (source.read(0, 5), source.url) == (b"right", f"s3://b/d/{name}")


@pytest.mark.parametrize("registry", [CutsNames, lambda store: {"file://": store}])
def test_a_local_store_lends_its_paths(tmp_path: Path, registry: Any) -> None:
    (tmp_path / "a#b").write_bytes(b"right")
    source = open_source(tmp_path / "a#b", registry=registry(LocalStore()))
    assert (source.local_path, source.read(0, 5)) == (str(tmp_path / "a#b"), b"right")
    assert source.url == f"file://{tmp_path}/a#b"


def test_a_local_store_with_a_prefix_lends_its_paths(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"right")
    source = open_source(tmp_path / "a", registry={f"file://{tmp_path}": LocalStore(tmp_path)})
    assert (source.local_path, source.read(0, 5)) == (str(tmp_path / "a"), b"right")


@pytest.mark.parametrize("registry", [CutsNames, lambda store: {store.url: store}])
def test_a_store_of_http_gets_a_name_that_it_encodes_itself(served: Served, registry: Any) -> None:
    served.files = {"/d/a%20b.nc": b"right"}
    store = HTTPStore.from_url(served.root, client_options={"allow_http": True})
    assert open_source(f"{served.root}/d/a%20b.nc", registry=registry(store)).read(0, 5) == b"right"


def test_a_function_makes_the_registry_where_it_is_needed() -> None:
    assert open_source("s3://b/x", registry=lambda: {"s3://b": _store(x=b"right")}).read(0, 5) == b"right"


def test_a_registry_does_not_travel() -> None:
    with pytest.raises(TypeError, match="give a function that makes it"):
        pickle.dumps(PrefixRegistry({"s3://b": _store()}))


def test_what_is_no_registry_is_refused() -> None:
    with pytest.raises(InputError, match="a int is no registry"):
        as_registry(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no store for s3://unknown/x"):
        open_source("s3://unknown/x", registry=CutsNames(_store()))
