"""Stores of references opened by the readers that everybody has: fsspec and zarr, or icechunk and zarr."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import zarr

from vz_beam.errors import InputError
from vz_beam.parsers.parser import find_parser
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.storage_options import object_options, plain_word
from vz_beam.storage.urls import scheme_of
from vz_beam.storage.zarr_settings import rectilinear_allowed
from vz_beam.writers.icechunk_repository import container_access, icechunk_module, open_repository, storage_of

_S3_WORDS = {
    "access_key_id": "key",
    "secret_access_key": "secret",
    "session_token": "token",
    "endpoint": "endpoint_url",
    "endpoint_url": "endpoint_url",
    "skip_signature": "anon",
    "request_payer": "requester_pays",
}
_GS_WORDS = {
    "service_account_path": "token",
    "service_account": "token",
    "bearer_token": "token",
    "base_url": "endpoint_url",
}
_AZ_WORDS = {"account_name": "account_name", "account_key": "account_key", "sas_token": "sas_token"}
_AZ_CONNECTION = {
    "account_name": "AccountName",
    "account_key": "AccountKey",
    "sas_token": "SharedAccessSignature",
    "endpoint": "BlobEndpoint",
}
"""adlfs takes an endpoint as a part of a connection string only."""
_WORDS = {"s3": _S3_WORDS, "s3a": _S3_WORDS, "gs": _GS_WORDS, "gcs": _GS_WORDS, "az": _AZ_WORDS, "abfs": _AZ_WORDS}


def open_store(
    url: str,
    format: str,
    schemes: Iterable[str],
    storage_options: Mapping[str, Any] | None,
    source_options: Mapping[str, Any] | None,
) -> zarr.Group:
    """The root group of a store, its values being what the reader decodes, neither masked nor scaled.

    Args:
        url: canonical, of the store.
        format: name of the parser that knows it.
        schemes: of the referenced files.
        storage_options: for the store, in the words of obstore.
        source_options: for the referenced files, as those.

    Raises:
        InputError: a store that nothing else reads, or a reader that is not installed.
    """
    if format == "icechunk":
        return _by_icechunk(url, storage_options, source_options)
    if format in ("kerchunk-json", "kerchunk-parquet"):
        try:
            return _by_fsspec(url, sorted(schemes), storage_options, source_options)
        except ImportError as error:
            raise InputError(
                f"the store is read by {error.name}, which is not installed. Way out: pip install 'vz-beam[kerchunk]'"
            ) from None
    if format == "zarr":
        return _by_manifests(url, storage_options, source_options)
    raise InputError(f"{url} is no store of references: it is {format}")


def _by_fsspec(
    url: str,
    schemes: list[str],
    storage_options: Mapping[str, Any] | None,
    source_options: Mapping[str, Any] | None,
) -> zarr.Group:
    fsspec = importlib.import_module("fsspec")
    if len(schemes) > 1:
        raise InputError(
            f"the store points at files of {' and '.join(schemes)}, and fsspec reads one of them at a time"
        )
    scheme = schemes[0] if schemes else "file"
    filesystem = fsspec.filesystem(
        "reference",
        fo=url,
        target_protocol=scheme_of(url) or "file",
        target_options=_fsspec_options(scheme_of(url), storage_options),
        remote_protocol=scheme,
        remote_options={**_fsspec_options(scheme, source_options), "asynchronous": True},
        asynchronous=True,
        skip_instance_cache=True,
    )
    store = importlib.import_module("zarr.storage").FsspecStore(filesystem, read_only=True, path="")
    return zarr.open_group(store, mode="r", zarr_format=2)


def _by_manifests(
    url: str, storage_options: Mapping[str, Any] | None, source_options: Mapping[str, Any] | None
) -> zarr.Group:
    """By zarr, through references that only vz_beam reads."""
    source = open_file_or_folder(url, storage_options, allow_external=True)
    try:
        group = find_parser(source).parse(source)
    finally:
        source.close()
    with rectilinear_allowed():
        return zarr.open_group(ManifestStore(group, storage_options=source_options), mode="r")


def _by_icechunk(
    url: str, storage_options: Mapping[str, Any] | None, source_options: Mapping[str, Any] | None
) -> zarr.Group:
    icechunk = icechunk_module()
    repository = open_repository(url, storage_options)
    if repository is None:
        raise InputError(f"{url} is no repository of icechunk's, of the version that is installed")
    access = container_access(repository, source_options)
    opened = icechunk.Repository.open(storage_of(url, storage_options), authorize_virtual_chunk_access=access)
    with rectilinear_allowed():
        return zarr.open_group(opened.readonly_session("main").store, mode="r")


def _fsspec_options(scheme: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options in the words of fsspec's filesystem; those that it has no word for are left out."""
    words = _WORDS.get(scheme, {})
    found: dict[str, Any] = {}
    for word, value in object_options(scheme, options).items():
        plain = plain_word(word)
        if plain in words:
            found[words[plain]] = value
        elif plain in ("region", "default_region"):
            found["client_kwargs"] = {"region_name": value}
        elif plain == "skip_signature" and value and words is _GS_WORDS:
            found["token"] = "anon"
    if words is _AZ_WORDS and (parts := _connection(scheme, options)):
        found["connection_string"] = parts
    return found


def _connection(scheme: str, options: Mapping[str, Any] | None) -> str:
    """The connection string of adlfs; empty where the options name no endpoint, whose place adlfs knows then."""
    words = {plain_word(word): value for word, value in object_options(scheme, options).items()}
    if "endpoint" not in words:
        return ""
    texts = [f"{_AZ_CONNECTION[word]}={value}" for word, value in words.items() if word in _AZ_CONNECTION]
    return ";".join([f"DefaultEndpointsProtocol={scheme_of(str(words['endpoint']))}", *texts])
