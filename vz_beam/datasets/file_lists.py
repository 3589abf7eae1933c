"""Which files a call with many of them means: globs, lists and lists of lists, as xarray takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vz_beam.errors import InputError, PatternError
from vz_beam.storage.glob_match import has_magic
from vz_beam.storage.listing import list_files
from vz_beam.storage.registry import Stores
from vz_beam.storage.urls import canonical_url, local_path_of


def listed_files(
    urls: Any, storage_options: Mapping[str, Any] | None = None, registry: Stores | None = None
) -> list[Any]:
    """The canonical URLs: a list, or lists of lists where ``urls`` are.

    One name is a glob, a folder (local, or with a slash at its end) or a file; names in lists are taken as they are.

    Raises:
        OSError: no file.
        InputError: neither a name nor a list of names.
    """
    if isinstance(urls, (str, os.PathLike)):
        try:
            return _found(urls, storage_options, registry)
        except PatternError as error:
            raise OSError(f"no files to open: {error}") from error
    files = _canonical(urls)
    if not any(True for _ in leaves_of(files)):
        raise OSError("no files to open: the list is empty")
    return files


def leaves_of(nested: Any) -> Iterator[Any]:
    """What lies in lists of lists, in order.

    >>> list(leaves_of([["a", "b"], ["c"]]))
    ['a', 'b', 'c']
    """
    for item in nested:
        if isinstance(item, list):
            yield from leaves_of(item)
        else:
            yield item


def with_leaves(nested: list[Any], leaves: Iterator[Any]) -> list[Any]:
    """The same lists of lists with other leaves, without those that are ``None`` and the lists left empty by that.

    >>> with_leaves([["a", "b"], ["c"]], iter([1, None, None]))
    [[1]]
    """
    replaced = [with_leaves(item, leaves) if isinstance(item, list) else next(leaves) for item in nested]
    return [item for item in replaced if item is not None and not (isinstance(item, list) and not item)]


def _found(
    name: str | os.PathLike[str], storage_options: Mapping[str, Any] | None, registry: Stores | None
) -> list[Any]:
    text = os.fspath(name)
    if not text:
        raise PatternError("an empty text names no files")
    url = canonical_url(name)
    if has_magic(text) or text.endswith("/") or local_path_of(url) is not None:
        return list_files(name, storage_options, registry)
    return [url]


def _canonical(urls: Any) -> list[Any]:
    if not isinstance(urls, Iterable) or isinstance(urls, (bytes, Mapping)):
        raise InputError(f"files are a glob, or a list of URLs and paths, not a {type(urls).__name__}")
    names = (str, os.PathLike)
    return [canonical_url(item) if isinstance(item, names) else _canonical(item) for item in urls]
