"""The files that a glob or folder names, on disks, in object stores and on filesystems of fsspec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import obstore
from obstore.store import ObjectStore

from vz_beam.errors import InputError, PatternError
from vz_beam.patterns.natural_order import natural_key
from vz_beam.storage.fsspec_source import filesystem_and_path
from vz_beam.storage.glob_match import below, has_magic, literal_folder, matching
from vz_beam.storage.object_stores import object_store
from vz_beam.storage.registry import Stores, as_registry, resolve
from vz_beam.storage.source_errors import filesystem_error, object_error
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import OBJECT_SCHEMES, canonical_url, local_path_of, scheme_of, without_end_slash


def list_files(
    glob_or_folder: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None = None,
    registry: Stores | None = None,
) -> list[str]:
    """The canonical URLs of all files that match, in natural order.

    ``*``, ``?`` and ``[...]`` match within a segment, ``**`` any number of segments; hidden files only where the
    pattern starts a segment with a dot. A folder stands for all files in it and below, but a folder that is a Zarr
    store is one. A name that is there as it stands is itself, be there wildcards in it. Stores of a ``registry`` are
    those of obstore, which list themselves.

    Raises:
        PatternError: nothing matches.
        InputError: a server of ``http``, which cannot be listed.
    """
    if not os.fspath(glob_or_folder):
        raise PatternError("an empty text names no files: give a glob such as 'data/*.nc', or a folder")
    url = canonical_url(glob_or_folder)
    scheme = scheme_of(url)
    path = local_path_of(url)
    if path is not None:
        found, folder = _local(path)
    elif scheme in ("http", "https"):
        if "*" in url or url.endswith("/"):
            raise InputError(
                f"{shown(url)}: a server of http cannot be listed. Way out: give the list of URLs, or a pattern that "
                "makes them (FilePattern)"
            )
        return [url]
    elif scheme in OBJECT_SCHEMES or registry is not None:
        found, folder = _objects(url, storage_options, registry)
    else:
        found, folder = _filesystem(url, storage_options)
    if not found:
        raise PatternError(
            f"no files match {shown(url)}; the nearest folder there is {shown(folder) if folder else 'none'}"
        )
    return sorted(found, key=natural_key)


def sizes_below(
    folder: str, storage_options: Mapping[str, Any] | None = None, registry: Stores | None = None
) -> dict[str, int]:
    """Size in bytes of every file below the folder at a URL, by its name from there.

    Raises:
        InputError: a server of ``http``, which cannot be listed.
        SourceError: a folder that may not be listed.
    """
    url = without_end_slash(folder)
    path, scheme = local_path_of(url), scheme_of(url)
    found: dict[str, int] = {}
    if path is not None:
        for place, _, names in os.walk(path):
            for name in names:
                full = os.path.join(place, name)
                found[os.path.relpath(full, path)] = os.stat(full).st_size
    elif scheme in ("http", "https"):
        raise InputError(
            f"{shown(url)}: a server of http cannot be listed, so that nobody knows which chunks are there. "
            "Way out: a store that can (s3://, gs://, az://, a local copy)"
        )
    elif scheme in OBJECT_SCHEMES or registry is not None:
        store, key = object_store(url, storage_options) if registry is None else resolve(as_registry(registry), url)
        try:
            for page in obstore.list(store, prefix=key):
                found |= {str(entry["path"])[len(key) + 1 :] if key else entry["path"]: entry["size"] for entry in page}
        except Exception as error:
            raise object_error(error, url) from None
    else:
        filesystem, place = filesystem_and_path(url, storage_options)
        root = place.rstrip("/")
        try:
            for name, info in filesystem.find(root, detail=True).items():
                found[str(name)[len(root) :].lstrip("/")] = int(info["size"])
        except Exception as error:
            raise filesystem_error(error, url) from None
    return found


def _local(path: str) -> tuple[list[str], str]:
    if os.path.isfile(path):
        return [f"file://{path}"], path
    is_folder = os.path.isdir(path)
    start = path if is_folder else "/" + literal_folder(path.lstrip("/"))
    keys = []
    depth = None if is_folder or "**" in path else path.count("/") - start.rstrip("/").count("/")
    for folder, folders, names in os.walk(start):
        place = os.path.relpath(folder, start)
        place = "" if place == "." else place + "/"
        keys += [place + name for name in names]
        folders.sort()
        if depth is not None and place.count("/") >= depth:
            folders.clear()  # one level more than the pattern has, since there lies what marks a Zarr store
    if is_folder:
        found = below(keys, "")
    else:
        pattern = path[len(start.rstrip("/")) + 1 :]
        found = matching(keys, pattern)
    folder = start
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return [f"file://{os.path.join(start, key)}".rstrip("/") for key in found], f"file://{folder}"


def _objects(url: str, storage_options: Mapping[str, Any] | None, registry: Stores | None) -> tuple[list[str], str]:
    url = without_end_slash(url)
    store, key = object_store(url, storage_options) if registry is None else resolve(as_registry(registry), url)
    root = url.removesuffix(key)
    start = literal_folder(key) if has_magic(key) else key
    try:
        keys = [entry["path"] for page in obstore.list(store, prefix=start or None) for entry in page]
        if has_magic(key):
            found = matching(keys, key)
        elif keys:
            found = below(keys, key)
        else:
            found = [key] if _is_object(store, key) else []
        while start and not found and not obstore.list_with_delimiter(store, start)["objects"]:
            if obstore.list_with_delimiter(store, start)["common_prefixes"]:
                break
            start = start.rpartition("/")[0]
    except Exception as error:
        raise object_error(error, url) from None
    return [root + key for key in found], root + start


def _is_object(store: ObjectStore, key: str) -> bool:
    try:
        obstore.head(store, key)
    except FileNotFoundError:
        return False
    return True


def _filesystem(url: str, storage_options: Mapping[str, Any] | None) -> tuple[list[str], str]:
    filesystem, path = filesystem_and_path(url, storage_options)
    path = path.rstrip("/")
    try:
        if has_magic(path):
            keys = [str(key) for key in filesystem.find(literal_folder(path) or "")]
            found = matching(keys, path)
        elif filesystem.isdir(path):
            found = below([str(key) for key in filesystem.find(path)], path)
        else:
            found = [path] if filesystem.exists(path) else []
        folder = literal_folder(path)
        while folder and not filesystem.exists(folder):
            folder = folder.rpartition("/")[0]
    except FileNotFoundError:
        found, folder = [], ""
    except Exception as error:
        raise filesystem_error(error, url) from None
    return [_url_like(url, path, key) for key in found], _url_like(url, path, folder)


def _url_like(url: str, path: str, other: str) -> str:
    """The URL of another path in the filesystem, or chain of filesystems, of ``url``."""
    first, mark, rest = url.partition("::")
    if "://" not in first:  # simplecache::s3://bucket/key: the path is that of the second layer
        return f"{first}::{_url_like(rest, path, other)}"
    scheme = first.partition("://")[0]
    given = first.partition("://")[2].rstrip("/")
    head = given[: len(given) - len(path.lstrip("/"))] if given.endswith(path.lstrip("/")) else ""
    return f"{scheme}://{head}{other.lstrip('/') if head or not given.startswith('/') else other}{mark}{rest}"
