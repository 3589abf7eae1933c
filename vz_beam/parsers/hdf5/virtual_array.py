"""A virtual dataset as a manifest array: its sources' chunks where they fit its own grid, values where they do not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.decoding import decoding_of
from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.hdf5.block_runs import AxisPairs, chunk_columns, common_chunk_length, dividing_chunk
from vz_beam.parsers.hdf5.divided_chunks import with_chunks
from vz_beam.parsers.hdf5.layout import check_grid_size
from vz_beam.parsers.hdf5.mapped_source import MappedSource, same_value
from vz_beam.parsers.hdf5.source_values import SourceValues

_MIXED = -3
"""Location id, while chunks are being placed, of one whose values have to be read: it becomes inlined, or missing."""


def virtual_array(
    metadata: ArrayMetadata, sources: Sequence[MappedSource], values: SourceValues, inline_limit_bytes: int
) -> ManifestArray:
    """The array of a virtual dataset.

    Chunks that no mapping reaches are missing, and read as the fill value of the virtual dataset. The chunk shape and
    the codecs are those of most of the sources.

    Args:
        metadata: of the virtual dataset, its chunk shape and codecs of no meaning.
        sources: its mappings in order; later ones overwrite earlier ones.
        values: reads what has to be inlined.
        inline_limit_bytes: the most that may be inlined.

    Raises:
        UnsupportedError: more than ``inline_limit_bytes`` that references cannot express; names the first mapping.
    """
    metadata = _encoded_as_most(metadata, sources)
    check_grid_size(metadata.chunk_grid)
    placing = _Placing(metadata)
    for source in sources:
        placing.add(source)
    mixed = np.flatnonzero(placing.ids == _MIXED)
    inlined = {number: data for number, data in placing.inlined.items() if placing.ids.flat[number] == INLINED}
    nbytes = sum(map(len, inlined.values()))
    if metadata.serializer is None:
        nbytes += len(mixed) * metadata.chunk_nbytes
    _check_inlined(nbytes, inline_limit_bytes, placing)
    for number in mixed.tolist():
        chunk = placing.chunk_values(number, values)
        if same_value(chunk, metadata.fill_value):
            placing.ids.flat[number] = MISSING
        else:
            inlined[number] = _encoded(metadata, chunk)
            placing.ids.flat[number] = INLINED
    _check_inlined(sum(map(len, inlined.values())), inline_limit_bytes, placing)
    return ManifestArray(metadata, placing.manifest(inlined))


@dataclass(slots=True)
class _Placing:
    """The columns of the manifest while mappings are being placed; ``metadata`` is that of the virtual dataset."""

    metadata: ArrayMetadata
    ids: NDArray[np.int32] = field(init=False)
    offsets: NDArray[np.uint64] = field(init=False)
    lengths: NDArray[np.uint64] = field(init=False)
    locations: dict[str, int] = field(default_factory=dict)
    inlined: dict[int, bytes] = field(default_factory=dict)
    reason: str = ""
    _touched: list[tuple[MappedSource, list[NDArray[np.int64]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        grid_shape = self.metadata.chunk_grid.grid_shape
        self.ids = np.full(grid_shape, MISSING, np.int32)
        self.offsets = np.zeros(grid_shape, np.uint64)
        self.lengths = np.zeros(grid_shape, np.uint64)

    def add(self, source: MappedSource) -> None:
        """Place the chunks of one mapping over those of the mappings before it."""
        if not source.mapping.virtual.size:
            return
        touched, whole = self._touched_chunks(source), None
        if source.pairs is not None and (array := self._fitting(source)) is not None:
            whole = self._place(array, source.pairs)
        self._touched.append((source, touched))
        here = np.ix_(*touched)
        partly = np.ones(tuple(map(len, touched)), bool)
        if whole is not None:
            partly[np.ix_(*(np.isin(t, w) for t, w in zip(touched, whole, strict=True)))] = False
        if source.is_fill(self.metadata.fill_value):
            partly &= self.ids[here] != MISSING
        if partly.any():
            self._give_reason(source)
            ids = self.ids[here]
            ids[partly] = _MIXED
            self.ids[here] = ids

    def manifest(self, inlined: dict[int, bytes]) -> ChunkManifest:
        """The columns as they are now, without locations and places of chunks that others overwrote."""
        here = self.ids >= 0
        used = np.unique(self.ids[here])
        ids = np.where(here, np.searchsorted(used, self.ids), self.ids)
        urls = list(self.locations)
        return ChunkManifest.from_columns(
            [urls[number] for number in used.tolist()],
            ids,
            np.where(here, self.offsets, np.uint64(0)),
            np.where(here, self.lengths, np.uint64(0)),
            inlined,
        )

    def chunk_values(self, number: int, values: SourceValues) -> NDArray[Any]:
        """The values of a mixed chunk, as far as it lies within the array."""
        metadata = self.metadata
        grid_shape = metadata.chunk_grid.grid_shape
        place = tuple(int(i) for i in np.unravel_index(number, grid_shape)) if grid_shape else ()
        start = tuple(i * c for i, c in zip(place, metadata.chunk_shape, strict=True))
        stop = tuple(min(s + c, n) for s, c, n in zip(start, metadata.chunk_shape, metadata.shape, strict=True))
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        chunk = _filled(metadata, shape)
        for source, touched in self._touched:
            if all(i in column for i, column in zip(place, touched, strict=True)):
                source.copy_values(chunk, start, stop, values)
        return chunk

    def _fitting(self, source: MappedSource) -> ManifestArray | None:
        """The source's array in chunks of the virtual dataset's shape, where their bytes are the same."""
        array, pairs, metadata = source.array, source.pairs, self.metadata
        assert pairs is not None
        if encoding(array.metadata) != encoding(metadata) or array.dtype != metadata.dtype:
            return None
        if any(of is None and metadata.chunk_shape[axis] != 1 for axis, of in enumerate(pairs.sources)):
            return None
        wanted = [1] * array.ndim
        for axis, of in enumerate(pairs.sources):
            if of is not None:
                wanted[of] = metadata.chunk_shape[axis]
        own = array.metadata.chunk_shape
        if own == tuple(wanted):
            return array
        if is_divisible(array.metadata) and dividing_chunk(own, tuple(wanted)) == tuple(wanted):
            return with_chunks(array, tuple(wanted))
        return None

    def _place(self, array: ManifestArray, pairs: AxisPairs) -> list[NDArray[np.int64]]:
        """Refer to the chunks that the mapping fills; gives their numbers along each axis."""
        shape, chunk_shape = self.metadata.shape, self.metadata.chunk_shape
        theirs: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * array.ndim
        ours: list[NDArray[np.int64]] = []
        for axis, (of, runs) in enumerate(zip(pairs.sources, pairs.runs, strict=True)):
            if of is None or runs is None:
                ours.append(np.array([pairs.starts[axis]]))
            else:
                columns = chunk_columns(runs, shape[axis], chunk_shape[axis])
                ours.append(columns.virtual)
                theirs[of] = columns.source
        for axis, position in pairs.lone:
            theirs[axis] = np.array([position])
        counts = tuple(map(len, ours))
        here, there = np.ix_(*ours), np.ix_(*theirs)
        manifest = array.manifest
        numbers = [self.locations.setdefault(url, len(self.locations)) for url in manifest.locations]
        fills_alike = array.metadata.fill_value is None or same_value(
            np.asarray(array.metadata.fill_value, array.dtype), self.metadata.fill_value
        )
        table = np.array([*numbers, INLINED, MISSING if fills_alike else _MIXED], np.int32)
        found = manifest.location_ids[there].reshape(counts)
        self.ids[here] = table[found]
        self.offsets[here] = manifest.offsets[there].reshape(counts)
        self.lengths[here] = manifest.lengths[there].reshape(counts)
        if INLINED in found:
            self._take_inlined(manifest, found, ours, theirs)
        if not fills_alike and MISSING in found:
            self.reason = self.reason or "chunks that a source never wrote have another fill value there"
        return ours

    def _take_inlined(
        self,
        manifest: ChunkManifest,
        found: NDArray[np.int32],
        ours: list[NDArray[np.int64]],
        theirs: list[NDArray[np.int64]],
    ) -> None:
        source_numbers = np.arange(manifest.location_ids.size).reshape(manifest.grid_shape)[np.ix_(*theirs)].ravel()
        own_numbers = np.arange(self.ids.size).reshape(self.ids.shape)[np.ix_(*ours)].ravel()
        for row in np.flatnonzero(found == INLINED).tolist():
            self.inlined[int(own_numbers[row])] = manifest.inlined[int(source_numbers[row])]

    def _touched_chunks(self, source: MappedSource) -> list[NDArray[np.int64]]:
        """The numbers of chunks along each axis, among which those are that the mapping reaches into."""
        chunk_shape, pairs, virtual = self.metadata.chunk_shape, source.pairs, source.mapping.virtual
        if pairs is None:
            points = virtual.coordinates()
            return [np.unique(points[:, axis] // chunk) for axis, chunk in enumerate(chunk_shape)]
        return [
            np.array([pairs.starts[axis] // chunk])
            if runs is None
            else chunk_columns(runs, self.metadata.shape[axis], chunk).touched
            for axis, (runs, chunk) in enumerate(zip(pairs.runs, chunk_shape, strict=True))
        ]

    def _give_reason(self, source: MappedSource) -> None:
        if self.reason:
            return
        theirs, ours = source.array.metadata, self.metadata
        what = "does not lie on chunk borders"
        if source.pairs is None:
            what = "pairs elements that do not follow each other alike on both sides"
        elif source.array.dtype != ours.dtype:
            what = f"has to be converted from {theirs.dtype} to {ours.dtype}"
        elif encoding(theirs) != encoding(ours):
            what = "has a source of other codecs or another byte order than most"
        elif self._fitting(source) is None:
            what = f"has a source in chunks of {theirs.chunk_shape}, which make none of {ours.chunk_shape}"
        self.reason = f"{source.mapping} {what}"


def _encoded(metadata: ArrayMetadata, chunk: NDArray[Any]) -> bytes:
    try:
        return encode_chunk(metadata, chunk)
    except NotImplementedError as error:
        names = ", ".join(codec.name for codec in metadata.codecs)
        raise UnsupportedError(f"it is a virtual dataset, some chunks of which no encoder makes ({names})") from error


def encoding(metadata: ArrayMetadata) -> str:
    """What has to be the same for two arrays to share chunks, apart from their shape and type."""
    order = metadata.byte_order if metadata.dtype.itemsize > 1 else None
    return repr((decoding_of(metadata.codecs), order, metadata.serializer))


def is_divisible(metadata: ArrayMetadata) -> bool:
    """Whether parts of a chunk's bytes are smaller chunks."""
    return not metadata.codecs and metadata.serializer is None


def _encoded_as_most(metadata: ArrayMetadata, sources: Sequence[MappedSource]) -> ArrayMetadata:
    """The metadata in the encoding and the chunks that fit most elements."""
    whole = replace(metadata, chunk_shape=tuple(max(length, 1) for length in metadata.shape))
    votes: Counter[tuple[str, tuple[int, ...] | None]] = Counter()
    members: dict[tuple[str, tuple[int, ...] | None], list[MappedSource]] = {}
    for source in sources:
        theirs = source.array.metadata
        if source.pairs is None or source.array.dtype != metadata.dtype or not source.array.manifest.nrefs:
            continue
        chunk_shape = None if is_divisible(theirs) else _chunk_shape_through(source, theirs.chunk_shape)
        key = (encoding(theirs), chunk_shape)
        votes[key] += source.mapping.virtual.size
        members.setdefault(key, []).append(source)
    if not votes:
        return whole
    key = votes.most_common(1)[0][0]
    example = members[key][0].array.metadata
    return replace(
        metadata,
        chunk_shape=key[1] or _common_chunk_shape(metadata.shape, members[key]),
        codecs=example.codecs,
        byte_order=example.byte_order,
        serializer=example.serializer,
    )


def _chunk_shape_through(source: MappedSource, chunk_shape: tuple[int, ...]) -> tuple[int, ...]:
    """A chunk shape of the source as the virtual dataset's axes have it."""
    assert source.pairs is not None
    return tuple(1 if of is None else chunk_shape[of] for of in source.pairs.sources)


def _common_chunk_shape(shape: tuple[int, ...], sources: Sequence[MappedSource]) -> tuple[int, ...]:
    """The largest chunk into which uncompressed sources can all be cut, each of one stretch of bytes."""
    lengths = [0] * len(shape)
    orders = set()
    for source in sources:
        pairs, own = source.pairs, source.array.metadata.chunk_shape
        assert pairs is not None
        orders.add((pairs.sources, own))
        for axis, (of, runs) in enumerate(zip(pairs.sources, pairs.runs, strict=True)):
            common = 1 if of is None or runs is None else common_chunk_length(runs, shape[axis], own[of])
            lengths[axis] = math.gcd(lengths[axis], common)
    before: list[int] = []
    while lengths != before:
        before = list(lengths)
        for places, own in orders:
            wanted = [1] * len(own)
            for axis, of in enumerate(places):
                if of is not None:
                    wanted[of] = lengths[axis]
            divided = dividing_chunk(own, tuple(wanted))
            lengths = [lengths[axis] if of is None else divided[of] for axis, of in enumerate(places)]
    return tuple(lengths)


def _filled(metadata: ArrayMetadata, shape: tuple[int, ...]) -> NDArray[Any]:
    if metadata.dtype.kind == "T":
        return np.full(shape, metadata.fill_value or "", dtype=object)
    fill = np.zeros((), metadata.dtype) if metadata.fill_value is None else metadata.fill_value
    return np.full(shape, fill, dtype=metadata.dtype)


def _check_inlined(nbytes: int, limit_bytes: int, placing: _Placing) -> None:
    if nbytes > limit_bytes:
        raise UnsupportedError(
            f"it is a virtual dataset, and {placing.reason or 'its sources inline their values'}; {nbytes} bytes are "
            f"too many to keep in the store itself (inline_limit_bytes={limit_bytes})"
        )
