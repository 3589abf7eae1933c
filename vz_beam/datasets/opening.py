"""One file opened as a virtual dataset or tree: only its metadata and the loaded variables are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import xarray as xr

from vz_beam.datasets.virtual_variables import virtual_dataset
from vz_beam.errors import InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import find_parser
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource, open_source

StorageOptions = Mapping[str, Any]

_MOST_SOURCES = 64
"""Files held open beside the one that was asked for, whose values may lie in thousands; systems allow 256 or more."""


def open_virtual_dataset(
    url: str | os.PathLike[str],
    registry: Any = None,
    parser: Any = None,
    drop_variables: Iterable[str] | str | None = None,
    loadable_variables: Iterable[str] | str | None = None,
    decode_times: bool | None = None,
    *,
    group: str | None = None,
    storage_options: StorageOptions | None = None,
) -> xr.Dataset:
    """A dataset of one group of the file at ``url``, whose variables are references.

    Args:
        url: a URL, or a local path.
        registry: an object store registry; ``None`` makes a store from the URL.
        parser: ``None`` finds one by content, then by name.
        drop_variables: names to leave out, or one name.
        loadable_variables: names to load, or one name, instead of the default, which is the one-dimensional
            dimension coordinates; ``[]`` loads nothing. Loaded variables are decoded, virtual ones never are.
        decode_times: as in :func:`xarray.open_dataset`, for the loaded variables.
        group: path of a group; ``None`` is the root.
        storage_options: for the store that serves the URL, in its words.

    Raises:
        SourceNotFoundError: no file at ``url``.
        FormatError: not a file of the format that it seems to be, or damaged.
        UnsupportedError: variables that references cannot express; all of them are named.
        InputError: names that the file does not have.
    """
    with _opened(url, registry, parser, storage_options, drop_variables) as (root, source, open_location):
        node = _subgroup(root, group, source.url)
        return virtual_dataset(
            node,
            open_location,
            url=source.url,
            drop_variables=_names(drop_variables) or (),
            loadable_variables=_names(loadable_variables),
            decode_times=decode_times,
        )


def open_virtual_datatree(
    url: str | os.PathLike[str],
    registry: Any = None,
    parser: Any = None,
    *,
    drop_variables: Iterable[str] | str | None = None,
    loadable_variables: Iterable[str] | str | None = None,
    decode_times: bool | None = None,
    group: str | None = None,
    storage_options: StorageOptions | None = None,
) -> xr.DataTree:
    """All groups of the file at ``url`` as a tree; arguments and errors as in :func:`open_virtual_dataset`.

    ``drop_variables`` and ``loadable_variables`` are names or paths (``"forecast/air"``), and count in every group.
    """
    with _opened(url, registry, parser, storage_options, drop_variables) as (root, source, open_location):
        node = _subgroup(root, group, source.url)
        dropped, loadable = _names(drop_variables) or (), _names(loadable_variables)
        tree = {}
        for path, part in node.walk():
            here = {name.rpartition("/")[2] for name in dropped if name.rpartition("/")[0] in ("", path)}
            load = None
            if loadable is not None:
                load = [n.rpartition("/")[2] for n in loadable if n.rpartition("/")[0] in ("", path)]
                load = [name for name in load if name in part.arrays]
            tree[f"/{path}"] = virtual_dataset(
                part,
                open_location,
                url=source.url,
                drop_variables=here,
                loadable_variables=load,
                decode_times=decode_times,
            )
        return xr.DataTree.from_dict(tree)


@contextmanager
def _opened(
    url: str | os.PathLike[str],
    registry: Any,
    parser: Any,
    storage_options: StorageOptions | None,
    drop_variables: Iterable[str] | str | None,
) -> Any:
    """(root group, source, opener of locations); everything that was opened is closed at the end."""
    source: ByteSource = open_source(url, storage_options, registry)
    values = source
    if source.local_path is None:
        source = cache = BlockCache(source)
        values = cache.for_values()
    sources: dict[str, ByteSource] = {source.url: values}

    def open_location(location: str) -> ByteSource:
        if location not in sources:
            if len(sources) > _MOST_SOURCES:
                sources.pop(next(other for other in sources if other != source.url)).close()
            sources[location] = open_source(location, storage_options, registry)
        return sources[location]

    try:
        if parser is None:
            parser = find_parser(source)
        yield _parse(parser, source, registry), source, open_location
    finally:
        source.close()
        for opened in sources.values():
            opened.close()


def _parse(parser: Any, source: ByteSource, registry: Any) -> ManifestGroup:
    if hasattr(parser, "parse"):
        group = parser.parse(source)
    elif isinstance(parser, Callable):  # type: ignore[arg-type]  # a parser of VirtualiZarr's calling convention
        group = parser(source.url, registry).group
    else:
        raise InputError(f"a parser has a method parse(source), and {parser!r} has none")
    if not isinstance(group, ManifestGroup):
        raise InputError(f"{parser!r} gave a {type(group).__name__} for {source.url}, not a ManifestGroup")
    return group


def _subgroup(root: ManifestGroup, group: str | None, url: str) -> ManifestGroup:
    node = root
    for name in (group or "").strip("/").split("/"):
        if name and name not in node.groups:
            known = [path for path, _ in root.walk() if path]
            raise InputError(f"{url} has no group {group!r}; its groups are {known or 'none but the root'}")
        node = node.groups[name] if name else node
    return node


def _names(names: Iterable[str] | str | None) -> list[str] | None:
    if names is None:
        return None
    return [names] if isinstance(names, str) else list(names)
