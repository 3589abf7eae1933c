"""Where bytes come from: one protocol for local files, object stores and every filesystem of fsspec."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vz_beam.errors import SourceNotFoundError
from vz_beam.storage.fsspec_source import FsspecSource
from vz_beam.storage.identity import Identity
from vz_beam.storage.local_source import LocalSource
from vz_beam.storage.object_source import ObjectSource
from vz_beam.storage.object_stores import object_store
from vz_beam.storage.registry import Registry, Stores, as_registry, resolve
from vz_beam.storage.sibling_urls import is_absolute, sibling_url
from vz_beam.storage.surroundings import Surroundings
from vz_beam.storage.traffic import counting, current_traffic
from vz_beam.storage.url_secrets import without_secrets
from vz_beam.storage.urls import OBJECT_SCHEMES, canonical_url, local_path_of, scheme_of

__all__ = ["ByteSource", "Identity", "Registry", "open_source"]


class ByteSource(Protocol):
    """The bytes of one file. Any number of threads may read at once; sources do not pickle."""

    @property
    def url(self) -> str:
        """The canonical URL, as it goes into stores: never that of a cache, never with a signature."""
        ...

    @property
    def local_path(self) -> str | None:
        """A path that the operating system can open; ``None`` where there is none, or where every read must be seen."""
        ...

    def size(self) -> int:
        """Size of the file, bytes."""
        ...

    def read_head(self, nbytes: int) -> bytes:
        """The first ``nbytes`` bytes, or all where there are fewer: one request, behind which size() needs none."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``, half open; TruncatedFileError where the file has fewer."""
        ...

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range, in the order of ``ranges``; coalesced, and fetched together."""
        ...

    def identity(self) -> Identity:
        """What the file is now: a source that changed in between has another identity."""
        ...

    def first_identity(self) -> Identity:
        """What the file was when it was first asked for anything: no request where it was."""
        ...

    def sibling(self, name: str) -> ByteSource:
        """The source of the file that this one calls ``name``: by the same store, options and credentials.

        Relative to this file's folder, and never a URL. An absolute path is one of this machine where this file is
        local; a remote file has none. Nothing of the working folder or the environment is looked at. The caller
        closes it.

        Raises:
            SourceNotFoundError: a local file that is not there, a name that leads out of the store; for remote files
                the first request tells.
            ExternalFileError: a file outside the surroundings that this one was opened with.
        """
        ...

    def other(self, url: str) -> ByteSource:
        """The source of another URL, by the same registry, options and credentials; the caller closes it.

        Raises:
            ExternalFileError: a file outside the surroundings that this one was opened with.
        """
        ...

    def close(self) -> None:
        """Gives the source back; reading it afterwards is an error."""
        ...


def open_source(
    url: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None = None,
    registry: Stores | None = None,
    surroundings: Surroundings | None = None,
) -> ByteSource:
    """The source of one file. Nothing is read yet; a local file has to be there.

    Args:
        url: a path, a URL, or one of fsspec's chains.
        storage_options: in the words of whichever serves the URL: obstore for ``s3 gs az abfs http https``, fsspec for
            all else. Local files need none.
        registry: stores to be used instead, as ``ObjectStoreRegistry`` or as ``{url prefix: obstore store}``.
        surroundings: the only place where files are opened that this one names; ``None`` is everywhere.

    Raises:
        SourceNotFoundError: a local file that is not there.
        InputError: options of another library, a URL that the registry does not know.
    """
    canonical = canonical_url(url)
    source = _opened(canonical, storage_options, registry)
    path = source.local_path if registry is None else None
    traffic = current_traffic()

    def open_beside(name: str) -> ByteSource:
        try:
            return open_url(sibling_url(canonical, name))
        except SourceNotFoundError:
            # A link to this file may stand in another folder than the file and what belongs to it.
            if path is None or is_absolute(name) or os.path.realpath(path) == path:
                raise
            return open_url(sibling_url(f"file://{os.path.realpath(path)}", name))

    def open_url(other: str) -> ByteSource:
        if surroundings is not None:
            place = canonical_url(other)
            path_there = local_path_of(place)
            if path_there is None or os.path.exists(path_there):  # what is not there may be looked for elsewhere
                surroundings.check(place)
        with counting(traffic):  # threads of a pool do not know who counts
            return open_source(other, storage_options, registry, surroundings)

    source.open_beside = open_beside
    source.open_url = open_url
    return source


def _opened(
    canonical: str, storage_options: Mapping[str, Any] | None, registry: Stores | None
) -> LocalSource | ObjectSource | FsspecSource:
    if registry is not None:
        store, key = resolve(as_registry(registry), canonical)
        path = _path_in_store(store, key)
        return LocalSource(path, canonical) if path else ObjectSource(store, key, canonical)
    path = local_path_of(canonical)
    if path is not None:
        return LocalSource(path)
    if scheme_of(canonical) in OBJECT_SCHEMES:
        store, key = object_store(canonical, storage_options)
        return ObjectSource(store, key, without_secrets(canonical))
    return FsspecSource.open(canonical, storage_options)


def _path_in_store(store: object, key: str) -> str | None:
    """The path that obstore's LocalStore would open, which the operating system does as well."""
    if type(store).__name__ != "LocalStore":
        return None
    prefix = getattr(store, "prefix", None)
    return os.path.join(os.fspath(prefix) if prefix is not None else "/", key)
