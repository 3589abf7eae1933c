"""Where the chunks of one array lie, in columns: each URL once, at most 20 bytes a reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import ManifestError, ManifestIndexError, ManifestTypeError
from vz_beam.manifests.chunk_entry import (
    ChunkEntry,
    chunk_index,
    chunk_key,
    entry_fields,
    given_grid_shape,
    path_as_url,
    shape_of_keys,
)
from vz_beam.manifests.path_columns import check_columns, check_new_paths, factorize

MISSING = -1
"""Location id of a chunk that is nowhere: it reads as the fill value."""
INLINED = -2
"""Location id of a chunk whose bytes are in ``ChunkManifest.inlined``."""


class ChunkManifest:
    """The places of an array's chunks.

    A mapping of chunk keys to entries, of the chunks that are not missing: ``len``, ``in``, ``keys()`` and iteration
    leave the missing ones out. (VirtualiZarr counts those, and refuses to iterate.)

    ``location_ids`` int32[grid_shape] counts into ``locations``, or is ``MISSING`` or ``INLINED``;
    ``offsets`` uint64[grid_shape] and ``lengths`` uint32 or uint64[grid_shape] are bytes, 0 where there is no
    location. ``inlined`` maps C-order chunk numbers to encoded chunk bytes.
    """

    __slots__ = ("inlined", "lengths", "location_ids", "locations", "offsets")

    locations: tuple[str, ...]
    location_ids: NDArray[np.int32]
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.unsignedinteger[Any]]
    inlined: Mapping[int, bytes]

    def __init__(
        self,
        entries: Mapping[str, Mapping[str, Any] | ChunkEntry],
        shape: tuple[int, ...] | None = None,
        separator: str = ".",
    ) -> None:
        """From ``{"0.1": {"path", "offset", "length"[, "data"]}}``; the key of a scalar's chunk is ``"c"``.

        Args:
            entries: one for each chunk that is not missing.
            shape: the shape of the chunk grid, chunks. Guessed from the keys where it is not given,
                which is too small where the last chunks are missing.
            separator: between the indexes of a key.

        Raises:
            ManifestError: keys that are malformed, differ in length or lie outside the grid; entries
                without path, offset and length.
        """
        if not isinstance(entries, Mapping):
            raise ManifestTypeError(f"entries must be a dict by chunk key, not of type {type(entries)}")
        keys = [chunk_index(key, separator) for key in entries]
        shape = shape_of_keys(tuple(entries), keys) if shape is None else given_grid_shape(shape)
        for text, key in zip(entries, keys, strict=True):
            if len(key) != len(shape) or any(i >= n for i, n in zip(key, shape, strict=True)):
                raise ManifestError(f"chunk key {text!r} lies outside the chunk grid {shape}")
        ids = np.full(shape, MISSING, dtype=np.int32)
        offsets = np.zeros(shape, dtype=np.uint64)
        lengths = np.zeros(shape, dtype=np.uint64)
        numbers: dict[str, int] = {}
        urls: dict[str, str] = {}
        inlined: dict[int, bytes] = {}
        for (text, entry), key in zip(entries.items(), keys, strict=True):
            path, offset, length, data = entry_fields(text, entry)
            if data is not None:
                ids[key] = INLINED
                inlined[int(np.ravel_multi_index(key, shape)) if shape else 0] = data
            elif path:
                if path not in urls:
                    urls[path] = path_as_url(path)
                ids[key] = numbers.setdefault(urls[path], len(numbers))
                offsets[key] = offset
                lengths[key] = length
        self._fill(tuple(numbers), ids, offsets, lengths, inlined)

    def _fill(
        self,
        locations: tuple[str, ...],
        location_ids: NDArray[Any],
        offsets: NDArray[Any],
        lengths: NDArray[Any],
        inlined: Mapping[int, bytes],
    ) -> None:
        if lengths.dtype != np.uint32 and (not lengths.size or _distinct(lengths).max() < 2**32):
            lengths = lengths.astype(np.uint32)
        self.locations = locations
        self.location_ids = location_ids
        self.offsets = offsets
        self.lengths = lengths
        self.inlined = inlined

    @classmethod
    def from_columns(
        cls,
        locations: Sequence[str],
        location_ids: NDArray[Any],
        offsets: NDArray[Any],
        lengths: NDArray[Any],
        inlined: Mapping[int, bytes] | None = None,
    ) -> ChunkManifest:
        """From its columns, which may be shared with others and must not change any more.

        Raises:
            ManifestError: shapes that differ, ids outside ``locations``, inlined chunks without bytes.
        """
        ids = np.asarray(location_ids, dtype=np.int32)
        starts = np.asarray(offsets, dtype=np.uint64)
        counts = np.asarray(lengths)
        if counts.dtype not in (np.dtype(np.uint32), np.dtype(np.uint64)):
            counts = counts.astype(np.uint64)
        inlined = {} if inlined is None else inlined
        if not ids.shape == starts.shape == counts.shape:
            raise ManifestError(
                f"columns differ in shape: location_ids {ids.shape}, offsets {starts.shape}, lengths {counts.shape}"
            )
        seen = _distinct(ids)
        if ids.size and not INLINED <= seen.min() <= seen.max() < len(locations):
            raise ManifestError(
                f"location ids run from {seen.min()} to {seen.max()}, and there are {len(locations)} locations"
            )
        if (int(np.count_nonzero(ids == INLINED)) if INLINED in seen else 0) != len(inlined) or any(
            not 0 <= n < ids.size or ids.flat[n] != INLINED for n in inlined
        ):
            raise ManifestError("inlined bytes and chunks marked as inlined are not the same chunks")
        manifest = object.__new__(cls)
        manifest._fill(tuple(locations), ids, starts, counts, inlined)
        return manifest

    @classmethod
    def from_arrays(
        cls,
        *,
        paths: NDArray[Any],
        offsets: NDArray[Any],
        lengths: NDArray[Any],
        validate_paths: bool = True,
        inlined: Mapping[tuple[int, ...], bytes] | None = None,
    ) -> ChunkManifest:
        """From arrays of the grid's shape, one path a chunk; an empty path is a missing chunk.

        Args:
            paths: StringDType[grid_shape]: URLs, or absolute paths, which become ``file://`` URLs.
            offsets: uint64[grid_shape], bytes.
            lengths: uint64[grid_shape], bytes; any unsigned integers will do, here and in ``offsets``.
            validate_paths: whether to look at each distinct path; ``False`` takes all of them as they are.
            inlined: bytes by grid position.

        Raises:
            ManifestError: other types of elements, shapes that differ, relative paths.
        """
        check_columns(paths, offsets, lengths)
        inlined_numbers = {
            int(np.ravel_multi_index(index, paths.shape)) if index else 0: data
            for index, data in (inlined or {}).items()
        }
        names: list[str] = []
        ids = factorize(paths, names, MISSING)
        ids[list(inlined_numbers)] = INLINED
        if any("\0" in name for name in names):
            raise ManifestError("a path holds a null character")
        here = ids >= 0
        urls = tuple(map(path_as_url, names)) if validate_paths else tuple(names)
        return cls.from_columns(
            urls,
            ids.reshape(paths.shape),
            np.where(here, offsets.ravel(), 0).astype(np.uint64).reshape(paths.shape),
            np.where(here, lengths.ravel(), 0).astype(np.uint64).reshape(paths.shape),
            inlined_numbers,
        )

    @classmethod
    def empty(cls, grid_shape: tuple[int, ...]) -> ChunkManifest:
        """A manifest of that many missing chunks; it costs the same few bytes for any grid."""
        return cls.from_columns(
            (),
            np.broadcast_to(np.int32(MISSING), grid_shape),
            np.broadcast_to(np.uint64(0), grid_shape),
            np.broadcast_to(np.uint32(0), grid_shape),
        )

    @classmethod
    def single(cls, grid_shape: tuple[int, ...], url: str, offset: int, length: int) -> ChunkManifest:
        """A manifest of one chunk that lies in ``url``."""
        return cls.from_columns(
            (url,),
            np.zeros(grid_shape, np.int32),
            np.full(grid_shape, offset, np.uint64),
            np.full(grid_shape, length, np.uint64),
        )

    @classmethod
    def from_inlined(cls, grid_shape: tuple[int, ...], chunks: Mapping[int, bytes]) -> ChunkManifest:
        """A manifest of inlined chunks, by C-order chunk number; the other chunks are missing."""
        ids = np.full(grid_shape, MISSING, np.int32)
        ids.reshape(-1)[list(chunks)] = INLINED
        zeros = np.zeros(grid_shape, np.uint64)
        return cls.from_columns((), ids, zeros, zeros.astype(np.uint32), chunks)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Number of chunks along each dimension."""
        return self.location_ids.shape

    shape_chunk_grid = grid_shape

    @property
    def ndim_chunk_grid(self) -> int:
        """Number of dimensions of the grid."""
        return self.location_ids.ndim

    @property
    def nbytes(self) -> int:
        """Memory of columns, locations and inlined bytes, bytes."""
        columns = sum(
            column.nbytes if 0 not in column.strides or not column.size else column.itemsize
            for column in (self.location_ids, self.offsets, self.lengths)
        )
        return columns + sum(map(len, self.locations)) + sum(map(len, self.inlined.values()))

    @property
    def nrefs(self) -> int:
        """Number of chunks that are references or inlined, the missing ones left out."""
        seen = _distinct(self.location_ids)
        return int(np.count_nonzero(seen != MISSING)) * (self.location_ids.size // max(1, seen.size))

    def __len__(self) -> int:
        return self.nrefs

    def __iter__(self) -> Iterator[str]:
        texts = map(".".join, itertools.product(*(map(str, range(n)) for n in self.grid_shape)))
        if not self.nrefs:
            return iter(())
        present = (self.location_ids != MISSING).ravel().tolist()
        return itertools.compress(texts if self.grid_shape else (chunk_key(()),), present)

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str) and self[key] is not None
        except (KeyError, ManifestError):
            return False

    def __reduce__(self) -> tuple[Any, ...]:
        columns = (self.locations, self.location_ids, self.offsets, self.lengths, dict(self.inlined))
        if self.location_ids.size and not self.nrefs:
            return (ChunkManifest.empty, (self.grid_shape,))
        return (_from_pickle, columns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChunkManifest):
            return NotImplemented
        return self.grid_shape == other.grid_shape and bool(np.all(self.elementwise_eq(other)))

    __hash__ = None  # type: ignore[assignment]  # columns can be large: manifests are compared, not looked up

    def __repr__(self) -> str:
        return (
            f"ChunkManifest<grid_shape={self.grid_shape}, {self.nrefs} references into {len(self.locations)} locations>"
        )

    def elementwise_eq(self, other: ChunkManifest) -> NDArray[np.bool_]:
        """Which chunks of two manifests of one grid shape are the same, bool[grid_shape]."""
        if self.grid_shape != other.grid_shape:
            raise ManifestError(f"manifests of {self.grid_shape} and {other.grid_shape} chunks have no common elements")
        ours = {url: number for number, url in enumerate(self.locations)}
        table = np.array([ours.get(url, -9) for url in other.locations] + [INLINED, MISSING], dtype=np.int32)
        same: NDArray[np.bool_] = (self.location_ids == table[other.location_ids]) & (self.offsets == other.offsets)
        same &= self.lengths == other.lengths
        for number, data in self.inlined.items():
            if same.flat[number]:
                same.flat[number] = other.inlined.get(number) == data
        return same

    def get_entry(self, index: tuple[int, ...]) -> ChunkEntry | None:
        """The place of the chunk at grid position ``index``, or ``None`` where it is missing.

        Raises:
            ManifestIndexError: a position of another number of dimensions, or outside the grid.
        """
        if (
            not isinstance(index, tuple)
            or len(index) != self.location_ids.ndim
            or not all(0 <= i < n for i, n in zip(index, self.grid_shape, strict=True))
        ):
            raise ManifestIndexError(f"index {index!r} is out of bounds for a grid of {self.grid_shape} chunks")
        location = int(self.location_ids[index])
        if location == MISSING:
            return None
        if location == INLINED:
            data = self.inlined[int(np.ravel_multi_index(index, self.grid_shape)) if index else 0]
            return ChunkEntry("", 0, len(data), data)
        return ChunkEntry(self.locations[location], int(self.offsets[index]), int(self.lengths[index]))

    def __getitem__(self, key: str) -> ChunkEntry:
        """The entry of a key such as ``"0.1"``; KeyError where the chunk is missing or outside the grid.

        (VirtualiZarr gives uninitialised numbers for a missing chunk.)
        """
        index = chunk_index(key)
        inside = len(index) == self.ndim_chunk_grid and all(i < n for i, n in zip(index, self.grid_shape, strict=True))
        entry = self.get_entry(index) if inside else None
        if entry is None:
            raise KeyError(key)
        return entry

    def iter_refs(self) -> Iterator[tuple[tuple[int, ...], ChunkEntry]]:
        """Grid position and entry of every chunk that is not missing, inlined ones included."""
        if not self.nrefs:
            return
        numbers = np.flatnonzero(self.location_ids != MISSING)
        columns = (self.location_ids, self.offsets, self.lengths)
        rows = zip(*(column.ravel()[numbers].tolist() for column in columns), strict=True)
        places = zip(*(axis.tolist() for axis in np.unravel_index(numbers, self.grid_shape or (1,))), strict=True)
        indexes = places if self.grid_shape else [()]
        for number, index, (location, offset, length) in zip(numbers.tolist(), indexes, rows, strict=True):
            if location == INLINED:
                data = self.inlined[number]
                yield index, ChunkEntry("", 0, len(data), data)
            else:
                yield index, ChunkEntry(self.locations[location], offset, length)

    def iter_nonempty_paths(self) -> Iterator[str]:
        """Each distinct location that a chunk lies in, once; in VirtualiZarr once for each chunk."""
        used = np.unique(_distinct(self.location_ids))
        return (self.locations[number] for number in used.tolist() if number >= 0)

    def keys(self) -> KeysView[str]:
        """The keys of the chunks that are not missing, in C order."""
        return dict.fromkeys(self, None).keys()

    def values(self) -> ValuesView[ChunkEntry]:
        """The entries of the chunks that are not missing, in the order of :meth:`keys`."""
        return self._entries().values()

    def items(self) -> ItemsView[str, ChunkEntry]:
        """Keys and entries of the chunks that are not missing."""
        return self._entries().items()

    def _entries(self) -> Mapping[str, ChunkEntry]:
        return dict(zip(self, (entry for _, entry in self.iter_refs()), strict=True))

    def dict(self) -> dict[str, dict[str, Any]]:
        """Every chunk that is not missing: ``{"0.1": {"path", "offset", "length"[, "data"]}}``."""
        return {key: entry.to_dict() for key, entry in self._entries().items()}

    def rename_paths(self, new: str | Callable[[str], str]) -> ChunkManifest:
        """The same chunks in other files: one URL for all, or a function of each distinct URL.

        What is new may be an absolute path, which becomes a ``file://`` URL.

        Raises:
            TypeError: neither, or a function that gives something else than a str.
            ManifestError: a relative path.
        """
        check_new_paths(new)
        urls = [path_as_url(new if isinstance(new, str) else new(url)) for url in self.locations]
        if "" in urls:
            raise ManifestError(
                f"{self.locations[urls.index('')]!r} was to be renamed to an empty text, which is no path"
            )
        distinct = dict.fromkeys(urls)
        numbers = {url: number for number, url in enumerate(distinct)}
        table = np.array([numbers[url] for url in urls] + [INLINED, MISSING], dtype=np.int32)
        return ChunkManifest.from_columns(
            tuple(distinct), table[self.location_ids], self.offsets, self.lengths, self.inlined
        )


def has_missing(manifest: ChunkManifest) -> bool:
    """Whether some chunk is missing."""
    return bool((_distinct(manifest.location_ids) == MISSING).any())


def _distinct(column: NDArray[Any]) -> NDArray[Any]:
    """The column, or its one element where it is that many times the same: an empty grid may have 1e9 chunks."""
    return column if any(column.strides) or not column.ndim else column[(slice(0, 1),) * column.ndim]


def _from_pickle(*columns: Any) -> ChunkManifest:
    manifest = object.__new__(ChunkManifest)
    manifest._fill(*columns)
    return manifest
