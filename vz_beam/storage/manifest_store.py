"""A Zarr store whose chunks are read through manifests, straight from the files that they lie in.

Source: Zarr v3 core specification, "Stores" (https://zarr-specs.readthedocs.io/en/latest/v3/core/).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import pkgutil
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from vz_beam.errors import ReadOnlyStoreError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_entry import ChunkEntry
from vz_beam.manifests.chunk_manifest import MISSING
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.zarr_v3 import group_v3, to_v3
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.chunk_requests import CHUNKS_TOGETHER
from vz_beam.storage.object_stores import request_pool
from vz_beam.storage.registry import Stores

if TYPE_CHECKING:
    import xarray as xr

_DOCUMENT = "zarr.json"
# Each open local file is a descriptor, and 1024 of them is the usual limit of a process.
_MAX_SOURCES = 256


class ManifestStore(Store):
    """A read-only Zarr v3 store over ``group``.

    Sources are opened when a chunk of theirs is first read, and kept. A pickle holds the group alone: no source, no
    registry, no option. A store from a pickle opens sources with the credentials of its surroundings.

    Args:
        group: the root group.
        registry: stores for the URLs in the manifests, as :func:`vz_beam.storage.byte_source.open_source` takes them.
        storage_options: for sources that are opened without a registry.
        sources: sources that are open already, by URL; they are not closed here.
    """

    def __init__(
        self,
        group: ManifestGroup,
        *,
        registry: Stores | None = None,
        storage_options: Mapping[str, Any] | None = None,
        sources: Mapping[str, ByteSource] | None = None,
    ) -> None:
        if not isinstance(group, ManifestGroup):
            raise TypeError(f"a ManifestStore reads a ManifestGroup, not a {type(group).__name__}")
        super().__init__(read_only=True)
        self._group = group
        self._registry = registry
        self._storage_options = storage_options
        self._given = dict(sources or {})
        self._opened: OrderedDict[str, ByteSource] = OrderedDict()
        self._documents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def group(self) -> ManifestGroup:
        """The root group."""
        return self._group

    @property
    def nbytes_virtual(self) -> int:
        """Size of all arrays, decoded, bytes."""
        return self._group.nbytes_virtual

    def to_virtual_dataset(
        self,
        group: str | None = "",
        loadable_variables: Iterable[str] | str | None = None,
        decode_times: bool | None = None,
    ) -> xr.Dataset:
        """One group as a dataset; arguments and errors as in :func:`vz_beam.open_virtual_dataset`."""
        return _face("dataset_of_store")(self, group, loadable_variables, decode_times)  # type: ignore[no-any-return]

    def to_virtual_datatree(
        self,
        group: str | None = "",
        *,
        loadable_variables: Iterable[str] | str | None = None,
        decode_times: bool | None = None,
    ) -> xr.DataTree:
        """A group and all below it; arguments and errors as in :func:`vz_beam.open_virtual_datatree`."""
        return _face("tree_of_store")(self, group, loadable_variables, decode_times)  # type: ignore[no-any-return]

    def source_of(self, url: str) -> ByteSource:
        """An open source of a URL, as chunks are read from it. It is the store's, and not to be closed."""
        return self._source(url)

    def __eq__(self, value: object) -> bool:
        return isinstance(value, ManifestStore) and _same_group(self._group, value._group)

    __hash__ = None  # type: ignore[assignment]  # groups are compared, not looked up

    def __repr__(self) -> str:
        return f"ManifestStore({self._group!r})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._group,))

    @property
    def supports_writes(self) -> bool:
        """False."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """False."""
        return False

    @property
    def supports_listing(self) -> bool:
        """True."""
        return True

    def with_read_only(self, read_only: bool = False) -> ManifestStore:
        """The store itself where that is asked for; it cannot be written."""
        if not read_only:
            raise ReadOnlyStoreError("a ManifestStore cannot be written: its chunks lie in other people's files")
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes of a document or chunk, or of the part of it that ``byte_range`` names; ``None`` where missing."""
        document = self._document(key)
        if document is not None:
            start, stop = _clamped(byte_range, len(document))
            return prototype.buffer.from_bytes(document[start:stop])
        entry = self._entry(key)
        if entry is None:
            return None
        start, stop = _clamped(byte_range, entry.length)
        if entry.data is not None:
            return prototype.buffer.from_bytes(entry.data[start:stop])
        place = (entry.path, entry.offset + start, entry.offset + stop)
        # Not the threads of the event loop: of those there are a few more than processors, and these only wait.
        pool = request_pool("chunks", CHUNKS_TOGETHER)
        data = await asyncio.get_running_loop().run_in_executor(pool, self._read, *place)
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """What :meth:`get` gives for each key and range."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def getsize(self, key: str) -> int:
        """Size of a document or chunk, bytes, from the manifest; FileNotFoundError where it is missing."""
        document = self._document(key)
        if document is not None:
            return len(document)
        entry = self._entry(key)
        if entry is None:
            raise FileNotFoundError(key)
        return entry.length

    async def exists(self, key: str) -> bool:
        """Whether there is such a document or chunk; no file is looked at."""
        return self._document(key) is not None or self._entry(key) is not None

    async def list(self) -> AsyncIterator[str]:
        """Every key: documents, and the chunks that are not missing."""
        for key in self._keys(self._group, ""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Every key that starts with ``prefix``."""
        path, _, _ = prefix.rpartition("/")
        node, rest = self._node(path)
        if node is None:
            return
        start = path.removesuffix(rest).strip("/")
        keys = self._keys(node, start) if isinstance(node, ManifestGroup) else _array_keys(node, start)
        for key in keys:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names directly below ``prefix``."""
        path = prefix.strip("/")
        node, rest = self._node(path)
        if isinstance(node, ManifestGroup) and not rest:
            for name in (_DOCUMENT, *node):
                yield name
        elif isinstance(node, ManifestArray):
            names: dict[str, None] = {}
            for key in _array_keys(node, ""):
                if not rest or key.startswith(f"{rest}/"):
                    names[key.removeprefix(rest).lstrip("/").partition("/")[0]] = None
            for name in names:
                yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Refuses: nothing can be written."""
        raise ReadOnlyStoreError(f"{key!r}: a ManifestStore cannot be written")

    async def delete(self, key: str) -> None:
        """Refuses: nothing can be deleted."""
        raise ReadOnlyStoreError(f"{key!r}: nothing can be deleted from a ManifestStore")

    async def set_partial_values(self, key_start_values: Iterable[tuple[str, int, Any]]) -> None:
        """Refuses: nothing can be written; stores of older zarr have this."""
        raise ReadOnlyStoreError("a ManifestStore cannot be written")

    def close(self) -> None:
        """Lets go of all sources that were opened here. The store stays usable, and opens them anew."""
        with self._lock:
            self._opened.clear()
        super().close()

    def _read(self, url: str, start: int, stop: int) -> bytes:
        return self._source(url).read(start, stop)

    def _source(self, url: str) -> ByteSource:
        """An open source. One that is pushed out is not closed but dropped: another thread may be reading it."""
        if url in self._given:
            return self._given[url]
        with self._lock:
            if url not in self._opened:
                self._opened[url] = open_source(url, self._storage_options, self._registry)
            self._opened.move_to_end(url)
            while len(self._opened) > _MAX_SOURCES:
                self._opened.popitem(last=False)
            return self._opened[url]

    def _node(self, path: str) -> tuple[ManifestGroup | ManifestArray | None, str]:
        """The group or array at ``path``, and what of the path lies below an array."""
        node = self._group
        names = path.split("/") if path else []
        for number, name in enumerate(names):
            if name in node.groups:
                node = node.groups[name]
            elif name in node.arrays:
                return node.arrays[name], "/".join(names[number + 1 :])
            else:
                return None, ""
        return node, ""

    def _document(self, key: str) -> bytes | None:
        path, _, name = key.rpartition("/")
        if name != _DOCUMENT:
            return None
        if key not in self._documents:
            node, rest = self._node(path)
            if node is None or rest:
                return None
            document = to_v3(node.metadata) if isinstance(node, ManifestArray) else _with_members(node)
            self._documents[key] = json.dumps(document).encode()
        return self._documents[key]

    def _entry(self, key: str) -> ChunkEntry | None:
        """The place of the chunk that the key names, ``None`` where it is missing or no chunk key."""
        node, rest = self._node(key)
        if not isinstance(node, ManifestArray):
            return None
        first, *numbers = rest.split("/")
        grid_shape = node.manifest.grid_shape
        if first != "c" or len(numbers) != len(grid_shape):
            return None
        if not all(number.isascii() and number.isdecimal() for number in numbers):
            return None
        index = tuple(map(int, numbers))
        if any(i >= n for i, n in zip(index, grid_shape, strict=True)):
            return None
        return node.manifest.get_entry(index)

    def _keys(self, group: ManifestGroup, path: str) -> Iterator[str]:
        yield _below(path, _DOCUMENT)
        for name, array in group.arrays.items():
            yield from _array_keys(array, _below(path, name))
        for name, child in group.groups.items():
            yield from self._keys(child, _below(path, name))


def _face(name: str) -> Any:
    """A function of ``datasets``, which stands to the right of here in the order of imports, so that it is named."""
    return pkgutil.resolve_name(f"vz_beam.datasets.opening:{name}")


def _same_group(group: ManifestGroup, other: ManifestGroup) -> bool:
    """Whether two groups give the same store: the same documents, and chunks in the same places."""
    if group is other:
        return True
    nodes, others = dict(group.walk()), dict(other.walk())
    if nodes.keys() != others.keys() or any(nodes[path].arrays.keys() != others[path].arrays.keys() for path in nodes):
        return False
    if _as_text(_with_members(group)) != _as_text(_with_members(other)):
        return False
    return all(
        array.manifest == others[path].arrays[name].manifest
        for path, node in nodes.items()
        for name, array in node.arrays.items()
    )


def _as_text(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)  # as text, in which NaN is equal to NaN


def _with_members(group: ManifestGroup) -> dict[str, Any]:
    """The group's document with those of all members in it: xarray looks for them there, and warns where they lack."""
    members: dict[str, Any] = {}
    for path, node in group.walk():
        if path:
            members[path] = {**group_v3(node.attributes), "consolidated_metadata": _consolidated({})}
        members.update({_below(path, name): to_v3(array.metadata) for name, array in node.arrays.items()})
    return {**group_v3(group.attributes), "consolidated_metadata": _consolidated(members)}


def _consolidated(members: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "must_understand": False, "metadata": members}


def _array_keys(array: ManifestArray, path: str) -> Iterator[str]:
    """The keys of an array's document and of its chunks, one by one: there may be millions."""
    yield _below(path, _DOCUMENT)
    ids = array.manifest.location_ids
    for index in itertools.product(*map(range, ids.shape)):
        if ids[index] != MISSING:
            yield _below(path, "/".join(("c", *map(str, index))))


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _clamped(byte_range: ByteRequest | None, length: int) -> tuple[int, int]:
    """The range within an object of ``length`` bytes; what reaches over its end must not show its neighbour."""
    if byte_range is None:
        return 0, length
    if isinstance(byte_range, RangeByteRequest):
        start, stop = byte_range.start, byte_range.end
    elif isinstance(byte_range, OffsetByteRequest):
        start, stop = byte_range.offset, length
    elif isinstance(byte_range, SuffixByteRequest):
        start, stop = length - byte_range.suffix, length
    else:
        raise UnsupportedError(f"a byte request of the type {type(byte_range).__name__} is not known")
    start = min(max(start, 0), length)
    return start, max(start, min(stop, length))
