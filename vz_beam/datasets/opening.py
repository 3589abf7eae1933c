"""One file opened as a virtual dataset or tree: only its metadata and the loaded variables are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import xarray as xr

from vz_beam.combine.schema import join_path
from vz_beam.datasets.accessor import register_accessors
from vz_beam.datasets.virtual_variables import virtual_dataset
from vz_beam.datasets.virtualizarr import group_from_virtualizarr
from vz_beam.errors import InputError, InputTypeError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import find_parser, skipping
from vz_beam.parsers.refusal import unsupported_variables
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import FolderSource, open_file_or_folder
from vz_beam.storage.identity import IDENTITY_KEY, Identity
from vz_beam.storage.limited_source import LimitedSource
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.registry import as_registry, registry_of
from vz_beam.storage.source_pool import SourcePool
from vz_beam.storage.surroundings import surroundings_of

StorageOptions = Mapping[str, Any]


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
    unsupported: str | None = None,
    unknown_names: str = "raise",
    max_metadata_bytes: int | None = None,
    allow_external: bool = False,
) -> xr.Dataset:
    """A dataset of one group of the file at ``url``, whose variables are references.

    Args:
        url: a URL, or a local path.
        registry: an object store registry; ``None`` makes a store from the URL.
        parser: ``None`` finds one by content, then by name.
        drop_variables: names to leave out, or one name; paths from the root of the file count as well.
        loadable_variables: names to load, or one name, instead of the default, which is the one-dimensional
            dimension coordinates; ``[]`` loads nothing. Loaded variables are decoded, virtual ones never are.
        decode_times: as in :func:`xarray.open_dataset`, for the loaded variables.
        group: path of a group; ``None`` is the root.
        storage_options: for the store that serves the URL, in its words.
        unsupported: what to do with variables that references cannot express: ``"raise"`` one error that names all of
            them, or ``"skip"`` them and list them in ``ds.vz.skipped``; ``None`` is as the parser says, which raises
            unless told otherwise. Only variables of the group count.
        unknown_names: what to do with names in ``drop_variables`` that the file does not have: ``"raise"`` an error, as
            VirtualiZarr does, or ``"ignore"`` them, as in archives of which some files have a variable. What was
            skipped, and what lies in another group, is known.
        max_metadata_bytes: how much of the file the parser may ask for at most; values that are loaded do not count.
        allow_external: whether files that this one names are read wherever they are: by links of HDF5, raw and virtual
            datasets, DMR++, references whose values are loaded. Else they must be on its host, or below its folder
            where it is local, or in the stores of ``registry``.

    Raises:
        SourceNotFoundError: no file at ``url``.
        FormatError: not a file of the format that it seems to be, or damaged.
        UnsupportedError: variables that references cannot express; all of them are named.
        InputError: names that the file does not have.
        LimitError: more metadata than ``max_metadata_bytes``.
        ExternalFileError: a file elsewhere would have to be read. That which makes a single variable of it impossible
            is one of the UnsupportedError.
    """
    check_choice("unknown_names", unknown_names, ("raise", "ignore"))
    how = (registry, parser, group, storage_options, unsupported, max_metadata_bytes, allow_external)
    with opened_file(url, *how) as opened:
        drop = opened.known(names_of(drop_variables, "drop_variables") or [], unknown_names, below=False)
        return _dataset(opened, drop, names_of(loadable_variables), decode_times)


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
    unsupported: str | None = None,
    unknown_names: str = "raise",
    max_metadata_bytes: int | None = None,
    allow_external: bool = False,
) -> xr.DataTree:
    """All groups of the file at ``url`` as a tree; arguments and errors as in :func:`open_virtual_dataset`.

    ``drop_variables`` and ``loadable_variables`` are names or paths (``"forecast/air"``), and count in every group.
    """
    check_choice("unknown_names", unknown_names, ("raise", "ignore"))
    how = (registry, parser, group, storage_options, unsupported, max_metadata_bytes, allow_external)
    with opened_file(url, *how) as opened:
        drop = opened.known(names_of(drop_variables, "drop_variables") or [], unknown_names, below=True)
        return _tree(opened, drop, names_of(loadable_variables), decode_times)


def dataset_of_store(
    store: ManifestStore, group: str | None, loadable_variables: Iterable[str] | str | None, decode_times: bool | None
) -> xr.Dataset:
    """One group of a store as a dataset; see :meth:`ManifestStore.to_virtual_dataset`."""
    return _dataset(_opened_in(store, group), [], names_of(loadable_variables), decode_times)


def tree_of_store(
    store: ManifestStore, group: str | None, loadable_variables: Iterable[str] | str | None, decode_times: bool | None
) -> xr.DataTree:
    """A group of a store and all below it; see :meth:`ManifestStore.to_virtual_datatree`."""
    return _tree(_opened_in(store, group), [], names_of(loadable_variables), decode_times)


@dataclass(frozen=True, slots=True)
class OpenedGroup:
    """A group of an open file.

    Args:
        url: of the file; ``None`` where a store is not known to be of one.
        root: what the parser gave.
        path: of the group in the file, ``""`` for the root.
        node: the group.
        skipped: reasons by path from the group, of what references cannot express.
        refuses: whether that is an error.
        open_location: gives the byte source of a URL.
        identity: of the file when it was opened.
    """

    url: str | None
    root: ManifestGroup
    path: str
    node: ManifestGroup
    skipped: Mapping[str, str]
    refuses: bool
    open_location: Callable[[str], ByteSource]
    identity: Identity | None = None

    def names_at(self, path: str, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that count in the group at ``path`` from this one, and their last parts only."""
        places = ("", path, join_path(self.path, path).strip("/"))
        stripped = (name.strip("/") for name in names)
        return [_last(name) for name in stripped if _parent(name) in places]

    def known(self, names: Sequence[str], unknown: str, below: bool) -> Sequence[str]:
        """The names themselves, if each is that of a variable here, or also in the groups ``below``.

        What was skipped counts, and so does a path from the root of the file to anywhere in it.

        Raises:
            InputError: names that are none of those, unless ``unknown`` says to ignore them.
        """
        if not names or unknown == "ignore":
            return names
        here = {*_variable_paths(self.node), *self.skipped}
        here = here if below else {path for path in here if "/" not in path}
        groups = {_parent(path) for path in here}
        everywhere = {*_variable_paths(self.root), *self.root.skipped}
        lacking = [
            name
            for name in names
            if name.strip("/") not in everywhere
            and not any(join_path(path, last) in here for path in groups for last in self.names_at(path, [name]))
        ]
        if lacking:
            raise InputError(
                f"{self.url}: drop_variables names {lacking}, which cannot be found in this file; the variables are "
                f"{sorted(here)}. Way out: correct the names, or pass over those that a file lacks "
                '(unknown_names="ignore")'
            )
        return names

    def left_out(self, paths: Iterable[str], drop: Sequence[str]) -> dict[str, str]:
        """Reasons by path of those ``paths`` that are not dropped anyway.

        Raises:
            UnsupportedError: there are some, and they are refused.
        """
        kept = {p: self.skipped[p] for p in paths if _last(p) not in self.names_at(_parent(p), drop)}
        if kept and self.refuses:
            raise unsupported_variables(
                self.url or "this store", {join_path(self.path, path): why for path, why in kept.items()}
            )
        return kept


def _dataset(
    opened: OpenedGroup, drop: Sequence[str], loadable: Sequence[str] | None, decode_times: bool | None
) -> xr.Dataset:
    dataset = virtual_dataset(
        opened.node,
        opened.open_location,
        url=opened.url,
        drop_variables=opened.names_at("", drop),
        loadable_variables=loadable,
        decode_times=decode_times,
        skipped=opened.left_out([path for path in opened.skipped if "/" not in path], drop),
    )
    return _identified(dataset, opened)


def _tree(
    opened: OpenedGroup, drop: Sequence[str], loadable: Sequence[str] | None, decode_times: bool | None
) -> xr.DataTree:
    skipped = opened.left_out(opened.skipped, drop)
    tree = {}
    for path, part in opened.node.walk():
        load = None
        if loadable is not None:
            load = [name for name in opened.names_at(path, loadable) if name in part.arrays]
        tree[f"/{path}"] = virtual_dataset(
            part,
            opened.open_location,
            url=opened.url,
            drop_variables=opened.names_at(path, drop),
            loadable_variables=load,
            decode_times=decode_times,
            skipped={_last(name): reason for name, reason in skipped.items() if _parent(name) == path},
        )
    _identified(tree["/"], opened)
    return xr.DataTree.from_dict(tree)


def _identified(dataset: xr.Dataset, opened: OpenedGroup) -> xr.Dataset:
    if opened.identity is not None:
        dataset.encoding[IDENTITY_KEY] = opened.identity
    return dataset


def _opened_in(store: ManifestStore, group: str | None) -> OpenedGroup:
    path = (group or "").strip("/")
    register_accessors()
    node = _subgroup(store.group, path, "this store")
    return OpenedGroup(None, store.group, path, node, _skipped_below(store.group, path), False, store.source_of)


def _skipped_below(root: ManifestGroup, path: str) -> dict[str, str]:
    """Reasons by path from the group at ``path``."""
    prefix = f"{path}/" if path else ""
    return {p.removeprefix(prefix): why for p, why in root.skipped.items() if p.startswith(prefix)}


@contextmanager
def opened_file(
    url: str | os.PathLike[str],
    registry: Any,
    parser: Any,
    group: str | None,
    storage_options: StorageOptions | None,
    unsupported: str | None,
    max_metadata_bytes: int | None = None,
    allow_external: bool = False,
    *,
    values_anywhere: bool = False,
) -> Iterator[OpenedGroup]:
    """The group that was asked for; everything that was opened is closed at the end.

    ``values_anywhere`` is for those who ask for values by reading them: ``open_location`` then opens all that
    references point at, while ``allow_external`` says what the parser may open.
    """
    register_accessors()
    check_unsupported(unsupported)
    source: ByteSource = open_file_or_folder(url, storage_options, registry, allow_external=allow_external)
    values = source.for_values() if isinstance(source, BlockCache) else source
    around = surroundings_of(source.url, registry, allow_external or values_anywhere)
    pool = SourcePool(storage_options, registry, around)
    if max_metadata_bytes is not None and not isinstance(source, FolderSource):
        source = LimitedSource(source, max_metadata_bytes)

    def open_location(location: str) -> ByteSource:
        return values if location == source.url else pool(location)

    try:
        if parser is None:
            parser = find_parser(source)
        root = _parse(parser, source, registry, storage_options)
        path = (group or "").strip("/")
        skipped = _skipped_below(root, path)
        node = _subgroup(root, path, source.url)
        about = (source.url, root, path, node, skipped, is_refused(parser, unsupported), open_location)
        yield OpenedGroup(*about, source.first_identity())
    finally:
        source.close()
        values.close()
        pool.close()


def is_refused(parser: Any, unsupported: str | None) -> bool:
    """Whether variables that references cannot express are an error; ``None`` leaves that to the parser."""
    return (unsupported or getattr(parser, "unsupported", "raise")) == "raise"


def check_unsupported(unsupported: str | None) -> None:
    """Refuses all but the two choices and ``None``.

    Raises:
        InputError: another value.
    """
    if unsupported is not None:
        check_choice("unsupported", unsupported, ("raise", "skip"))


def check_choice(word: str, value: str, choices: Sequence[str]) -> None:
    """Refuses a value that is none of the choices.

    Raises:
        InputError: another value.
    """
    if value not in choices:
        raise InputError(f"{word}={value!r}: it is " + " or ".join(f'"{choice}"' for choice in choices))


def _parse(parser: Any, source: ByteSource, registry: Any, storage_options: StorageOptions | None) -> ManifestGroup:
    # what matters is known here: variables that are dropped, or of other groups, are nobody's problem
    parser = skipping(parser)
    if hasattr(parser, "parse"):
        group = parser.parse(source)
    elif isinstance(parser, Callable):  # type: ignore[arg-type]  # a parser of VirtualiZarr's calling convention
        # VirtualiZarr's parsers read by themselves, and always need a registry
        stores = registry_of(source.url, storage_options) if registry is None else as_registry(registry)
        result = parser(url=source.url, registry=stores)
        group = result.group if isinstance(result, ManifestStore) else group_from_virtualizarr(result)
    else:
        raise InputError(f"a parser has a method parse(source), and {parser!r} has none")
    if not isinstance(group, ManifestGroup):
        raise InputError(f"{parser!r} gave a {type(group).__name__} for {source.url}, not a ManifestGroup")
    return group


def _subgroup(root: ManifestGroup, path: str, url: str) -> ManifestGroup:
    node, walked = root, ""
    for name in filter(None, path.split("/")):
        walked = join_path(walked, name)
        if walked in root.skipped:
            raise UnsupportedError(
                f"{url}: group {path!r} cannot be opened, {walked!r} is in its way: {root.skipped[walked]}"
            )
        if name not in node.groups:
            known = [known for known, _ in root.walk() if known]
            raise InputError(f"{url} has no group {path!r}; its groups are {known or 'none but the root'}")
        node = node.groups[name]
    return node


def _variable_paths(group: ManifestGroup) -> Iterator[str]:
    for path, node in group.walk():
        yield from (join_path(path, name) for name in node.arrays)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def names_of(names: Iterable[str] | str | None, word: str = "loadable_variables") -> list[str] | None:
    """One name or many as a list; ``None`` stays.

    Raises:
        InputTypeError: something else than texts.
    """
    if names is None:
        return None
    if not isinstance(names, Iterable):
        raise InputTypeError(
            f"{word} must be an iterable of string variable names, or None, but got type {type(names)}"
        )
    listed = [names] if isinstance(names, str) else list(names)
    if wrong := [name for name in listed if not isinstance(name, str)]:
        raise InputTypeError(f"{word} must be an iterable of string variable names, and {wrong} are none")
    return listed
