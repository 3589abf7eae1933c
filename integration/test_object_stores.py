"""Archives and stores in buckets of S3 and Azure servers: built, grown, replaced, raced for, refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import icechunk
import obstore
import pytest
import xarray as xr

import vz_beam
from integration.servers.azurite import AzuriteServer
from integration.servers.programs import ProgramMissingError
from integration.servers.seaweed import KEY, SECRET, SeaweedServer
from tests.combine.virtual_files import combine
from tests.daily_series import read_series, write_series
from vz_beam.combine.fragment import Fragment
from vz_beam.datasets.verification import verify_store
from vz_beam.errors import SourceError, StoreError, StoreExistsError
from vz_beam.writers.writer import WriteTarget, find_writer

SUFFIXES = ("parquet", "json", "icechunk", "zarr")
Server = SeaweedServer | AzuriteServer
KINDS: tuple[type[Server], ...] = (SeaweedServer, AzuriteServer)


@pytest.fixture(scope="module", params=KINDS, ids=[kind.name for kind in KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            started = stack.enter_context(request.param())
        except ProgramMissingError as error:
            pytest.skip(str(error))
        for bucket in ("archive", "stores"):
            started.make_bucket(bucket)
        yield started


@pytest.fixture(scope="module")
def files(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """A series on this machine, and the same in the bucket."""
    local = write_series(tmp_path_factory.mktemp("series"))
    for path in local:
        obstore.put(server.bucket("archive"), f"daily/{Path(path).name}", Path(path).read_bytes())
    return local, [f"{server.scheme}://archive/daily/{Path(path).name}" for path in local]


def _build(server: Server, urls: list[str], store: str, **choices: Any) -> Any:
    return vz_beam.build(
        urls, store, concat_dim="time", progress=False, storage_options=server.options, chunks_per_shard=7, **choices
    )


def _read(server: Server, store: str) -> xr.Dataset:
    """By fsspec and the filesystem of the cloud, or by icechunk."""
    if store.endswith(".icechunk"):
        repository = _repository(server, store.partition("://stores/")[2])
        found: xr.Dataset = xr.open_zarr(repository.readonly_session("main").store, consolidated=False).load()
        return found
    if store.endswith(".zarr"):
        with xr.open_dataset(store, engine="vz_beam", storage_options=server.options) as dataset:
            return dataset.load()
    options = {
        "remote_protocol": server.scheme,
        "remote_options": server.fsspec_options,
        "target_options": server.fsspec_options,
    }
    with xr.open_dataset(store, engine="kerchunk", storage_options=options) as dataset:
        return dataset.load()


def _repository(server: Server, prefix: str) -> icechunk.Repository:
    access: Any = None
    if isinstance(server, SeaweedServer):
        words: dict[str, Any] = {"endpoint_url": server.endpoint, "allow_http": True, "force_path_style": True}
        keys: Any = {"access_key_id": KEY, "secret_access_key": SECRET}
        storage = icechunk.s3_storage(bucket="stores", prefix=prefix, region="us-east-1", **words, **keys)
        access = icechunk.containers_credentials({"s3://archive/": icechunk.s3_credentials(**keys)})
    else:
        account: Any = {"account": server.public["account_name"], "access_key": server.secrets[0]}
        config = {"azure_storage_endpoint": server.endpoint, "allow_http": "true"}
        storage = icechunk.azure_storage(container="stores", prefix=prefix, config=config, **account)
        reading: Any = icechunk.azure_credentials(access_key=server.secrets[0])
        access = icechunk.containers_credentials({"az://archive/": reading})
    return icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_stores_are_built_grown_and_replaced(suffix: str, server: Server, files: tuple[list[str], list[str]]) -> None:
    local, urls = files
    store = f"{server.scheme}://stores/grown.{suffix}"
    _build(server, urls[:2], store)
    xr.testing.assert_equal(_read(server, store), read_series(local[:2]))
    with pytest.raises(StoreExistsError):
        _build(server, urls, store)
    assert _build(server, urls, store, mode="append").files == 3
    xr.testing.assert_equal(_read(server, store), read_series(local))
    _build(server, urls[1:3], store, mode="overwrite")
    xr.testing.assert_equal(_read(server, store), read_series(local[1:3]))
    with xr.open_dataset(store, engine="vz_beam", storage_options=server.options) as ours:
        xr.testing.assert_equal(ours.load(), read_series(local[1:3]))
    found = verify_store(store, storage_options=server.options)
    assert found.is_well, str(found)
    assert (found.inputs, found.equal > 5) == (2, True), str(found)


def test_nothing_that_was_written_holds_the_secret(server: Server, files: tuple[list[str], list[str]]) -> None:
    for suffix in SUFFIXES:
        _build(server, files[1], f"{server.scheme}://stores/canary.{suffix}", mode="overwrite")
    bucket = server.bucket("stores")
    keys = [entry["path"] for page in obstore.list(bucket, prefix=None) for entry in page]
    assert len(keys) > 20
    texts = {key: bytes(obstore.get(bucket, key).bytes()) for key in keys}
    for secret in server.secrets:
        assert [key for key, data in texts.items() if secret.encode() in data] == []
    assert not [key for key in keys if key.startswith(".") or "building" in key]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_workers_take_credentials_from_their_surroundings(
    suffix: str, server: Server, files: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    store = f"{server.scheme}://stores/workers.{suffix}"
    vz_beam.build(files[1], store, concat_dim="time", workers=2, progress=False, storage_options=server.public)
    xr.testing.assert_equal(_read(server, store), read_series(files[0]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_two_writers_one_wins_and_the_other_is_told(
    suffix: str, server: Server, files: tuple[list[str], list[str]]
) -> None:
    store = f"{server.scheme}://stores/raced.{suffix}"
    writer = find_writer(store)
    started = []
    for part in (files[1][:2], files[1][1:3]):
        pattern = vz_beam.pattern_from_file_sequence(part, "time")
        opened = [(i, vz_beam.open_virtual_dataset(url, storage_options=server.options)) for i, url in pattern.items()]
        started.append((WriteTarget(store, sources=server.public), *combine(opened)))
    receipts = []
    for target, layout, shards in started:
        writer.begin(target, layout, server.options)
        receipts.append(
            [
                writer.write_shard(target, layout, key, shards.get(key, Fragment.empty()), server.options)
                for key in layout.shard_keys()
            ]
        )
    with pytest.raises(StoreError, match="another one has begun"):
        writer.commit(*started[0][:2], receipts[0], server.options)
    writer.commit(*started[1][:2], receipts[1], server.options)
    xr.testing.assert_equal(_read(server, store), read_series(files[0][1:3]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_wrong_secret_is_told_without_being_told(
    suffix: str, server: Server, files: tuple[list[str], list[str]]
) -> None:
    wrong = server.wrong
    with pytest.raises((SourceError, StoreError)) as refusal:
        vz_beam.open_virtual_dataset(files[1][0], storage_options=wrong)
    assert "://archive/daily/day_0.nc" in str(refusal.value)
    with pytest.raises((SourceError, StoreError)) as other:
        vz_beam.build(
            files[0], f"{server.scheme}://stores/wrong.{suffix}", concat_dim="time", progress=False,
            storage_options=wrong, source_storage_options={},
        )  # fmt: skip
    for error in (refusal.value, other.value):
        assert "canary" not in str(error)
    assert "://stores" in str(other.value)
