"""Stores that are folders, as Zarr's and Kerchunk's in Parquet, opened like files: by the document that marks them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from vz_beam.errors import InputError, SourceError, TransientSourceError
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.identity import Identity
from vz_beam.storage.listing import sizes_below
from vz_beam.storage.open_handle import OpenHandle
from vz_beam.storage.registry import Stores
from vz_beam.storage.sibling_urls import member_url
from vz_beam.storage.surroundings import Surroundings, surroundings_of
from vz_beam.storage.urls import canonical_url, scheme_of, without_end_slash

MARKS = (".zmetadata", "zarr.json", ".zgroup", ".zarray", "repo", "refs/branch.main/ref.json")
"""Documents that make a folder a store, those first that say most."""
_STORE_SUFFIXES = (".parquet", ".parq", ".zarr", ".icechunk")
"""Names that stores have. Servers of http may answer for a folder with a page that lists it."""


class FolderSource(OpenHandle):
    """A folder. Its bytes are those of the document ``mark`` in it; its siblings are the files in the folder.

    Args:
        url: canonical, of the folder.
        mark: name of the document.
        document: the source of it, which is closed with this one.
    """

    __slots__ = ("_document", "_sizes", "mark")

    def __init__(
        self, url: str, mark: str, document: ByteSource, sizes: Callable[[], dict[str, int]] | None = None
    ) -> None:
        self.url = url
        self.mark = mark
        self._document = document
        self._sizes = sizes

    def sizes(self) -> dict[str, int]:
        """Size in bytes of every file in the folder and below it, by its name from here.

        Raises:
            InputError: a folder that cannot be listed.
        """
        if self._sizes is None:
            raise InputError(f"{self.url} was not opened by open_file_or_folder, which knows how to list it")
        return self._sizes()

    @property
    def local_path(self) -> None:
        """None: there is no one file to open."""
        return None

    def size(self) -> int:
        """Size of the document, bytes."""
        return self._document.size()

    def read_head(self, nbytes: int) -> bytes:
        """The first ``nbytes`` bytes of the document."""
        return self._document.read_head(nbytes)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop`` of the document."""
        return self._document.read(start, stop)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range of the document."""
        return self._document.read_many(ranges)

    def identity(self) -> Identity:
        """What the document is now, under the URL of the folder."""
        return replace(self._document.identity(), url=self.url)

    def first_identity(self) -> Identity:
        """What the document was when it was first asked for anything, under the URL of the folder."""
        return replace(self._document.first_identity(), url=self.url)

    def sibling(self, name: str) -> ByteSource:
        """The source of the file ``name`` in the folder."""
        return self._document.sibling(name)

    def other(self, url: str) -> ByteSource:
        """The source of another URL."""
        return self._document.other(url)

    def close(self) -> None:
        """Closes the document."""
        self._document.close()


def open_file_or_folder(
    url: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None = None,
    registry: Stores | None = None,
    *,
    allow_external: bool = False,
) -> ByteSource:
    """The source of a file, behind a block cache where it is not local, or of a folder that is a store.

    Files that it names are opened below its folder or on its host only, unless ``allow_external``, or those of the
    stores of ``registry``, where one is given.

    A folder is what has no bytes of its own and one of ``MARKS`` in it, on any protocol. Over http the name tells:
    of what is called like a store, or ends with a slash, the marks are asked for first.

    Raises:
        SourceNotFoundError: neither is there.
        InputError: as of :func:`vz_beam.storage.byte_source.open_source`.
    """
    canonical = canonical_url(url)
    folder = without_end_slash(canonical)
    named = folder.lower().endswith(_STORE_SUFFIXES) or folder != canonical
    surroundings = surroundings_of(canonical, registry, allow_external)
    if named and scheme_of(canonical) in ("http", "https"):
        found = _marked(folder, storage_options, registry, surroundings)
        if found is not None:
            return found
    try:
        source = open_source(url, storage_options, registry, surroundings)
        if source.local_path is not None:
            return source
        cache = BlockCache(source)
        # Object stores may have an empty object that stands for a folder.
        return cache if cache.size() else _marked(folder, storage_options, registry, surroundings) or cache
    except TransientSourceError:
        raise
    except SourceError:
        found = _marked(folder, storage_options, registry, surroundings)
        if found is None:
            raise
        return found


def _marked(
    folder: str,
    storage_options: Mapping[str, Any] | None,
    registry: Stores | None,
    surroundings: Surroundings | None,
) -> FolderSource | None:
    """The folder as a source, where one of the marks is in it."""
    for mark in MARKS:
        try:
            document = open_source(member_url(folder, mark), storage_options, registry, surroundings)
            if document.local_path is None:
                document = BlockCache(document)
            document.size()
        except TransientSourceError:
            raise
        except SourceError:
            continue
        return FolderSource(folder, mark, document, partial(sizes_below, folder, storage_options, registry))
    return None
