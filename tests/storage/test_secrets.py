"""No credential in a text, a pickle or a store (wrong-data 108)."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.storage.conftest import Served
from vz_beam.errors import VzBeamError
from vz_beam.manifests import ArrayMetadata, ChunkManifest, ManifestArray, ManifestGroup
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.registry import PrefixRegistry
from vz_beam.storage.request_log import RequestLog
from vz_beam.storage.url_secrets import shown, without_secrets

OPTIONS = {"access_key_id": "AKIAHUSH", "secret_access_key": "hush-hush", "region": "x"}
SIGNED = [
    "X-Amz-Credential=hush&X-Amz-Signature=hush",
    "sv=2020&se=hush&sig=hush",
    "Expires=1&Signature=hush&Key-Pair-Id=hush",
    "X-Goog-Signature=hush",
    "token=hush",
    "Access_Token=hush",
]


@pytest.mark.parametrize("query", SIGNED)
def test_a_signed_url_is_read_with_its_signature_and_stored_without(served: Served, query: str) -> None:
    served.files = {f"/get?file=a.nc&{query}": b"0123"}
    source = open_source(f"{served.root}/get?file=a.nc&{query}")
    assert source.read(1, 3) == b"12"
    assert source.url == f"{served.root}/get?file=a.nc"
    assert source.identity().url == source.url
    for wrapped in (source, BlockCache(source), RequestLog(source)):
        assert "hush" not in repr(wrapped) + str(wrapped)


@pytest.mark.parametrize("query", SIGNED)
def test_errors_show_no_signature(served: Served, query: str) -> None:
    url = f"{served.root}/gone.nc?{query}"
    for text in (url, f"simplecache::{url}"):
        with pytest.raises(VzBeamError) as caught:
            open_source(text).read(0, 4)
        assert "hush" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
        assert "gone.nc" in str(caught.value)


def test_a_query_that_names_the_file_is_kept() -> None:
    url = "https://host/get?st=4&sp=1&policy=x&file=a.nc"
    assert without_secrets(url) == url
    assert without_secrets("s3://bucket/a?token=b") == "s3://bucket/a?token=b"


def test_messages_hide_queries_wherever_they_stand_in_a_text() -> None:
    assert shown("GET https://h/a?x=hush failed, zip://b::http://h/c?y=hush") == (
        "GET https://h/a?... failed, zip://b::http://h/c?..."
    )
    assert shown("ftp://me:hush@host/a and s3://key:hush@bucket/a") == "ftp://host/a and s3://bucket/a"
    assert shown("abfs://container@account/a?b") == "abfs://container@account/a?b"


def test_sources_sinks_and_registries_show_no_option() -> None:
    source = open_source("s3://b/k", OPTIONS)
    sink = open_sink("s3://b/k", OPTIONS)
    registry = PrefixRegistry({"s3://b": source._store})  # type: ignore[attr-defined]
    for thing in (source, sink, registry):
        assert "hush" not in f"{thing!r} {thing}".lower()
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)


def test_a_pickled_store_holds_the_group_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(np.arange(4, dtype="<i4").tobytes())
    metadata = ArrayMetadata((4,), np.dtype("i4"), (4,))
    array = ManifestArray(metadata, ChunkManifest.single((1,), f"file://{tmp_path}/a", 0, 16))
    store = ManifestStore(
        ManifestGroup({"x": array}), storage_options=OPTIONS, registry={"s3://b": open_source("s3://b/k", OPTIONS)}
    )
    pickled = pickle.dumps(store)
    assert b"hush" not in pickled.lower()
    assert "hush" not in f"{store!r} {store}".lower()
    again = pickle.loads(pickled)
    assert list(again.group.arrays) == ["x"]
    assert again._storage_options is None
    assert again._registry is None
