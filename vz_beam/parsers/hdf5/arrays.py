"""One HDF5 dataset as a manifest array: as references where they are right, inlined where they are not, or refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p
from numpy.typing import NDArray

from vz_beam.codecs.decoding import decodes_alike
from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.parsers.attribute_values import text_of, with_cf_fill
from vz_beam.parsers.hdf5.dimensions import DatasetDimensions
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.filters import FilterPipeline, filter_pipeline, keeps_size, may_crash
from vz_beam.parsers.hdf5.global_heap import HEAP_ID
from vz_beam.parsers.hdf5.groups import FoundDataset
from vz_beam.parsers.hdf5.inline import check_strings, inlined_chunks, inlined_strings
from vz_beam.parsers.hdf5.layout import check_columns, check_grid_size, contiguous_chunk
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks, check_inside_file
from vz_beam.parsers.hdf5.types import VARIABLE_STRING, StoredType, stored_type
from vz_beam.parsers.hdf5.variable_strings import compact_strings, stored_strings, string_fill

_VLEN_UTF8 = Codec("vlen-utf8")


@dataclass(frozen=True, slots=True)
class DatasetStorage:
    """How a dataset is stored, beside its type and the places of its chunks."""

    did: h5d.DatasetID
    layout: int
    pipeline: FilterPipeline
    grid: ChunkGrid


@dataclass(frozen=True, slots=True)
class DescribedDataset:
    """What a dataset's header says, before its chunks are looked up.

    ``index_grid`` is the grid of the chunks that an index tells, ``None`` where there is no index; ``is_external`` says
    whether the values lie in raw files.
    """

    dataset: FoundDataset
    kind: StoredType
    plist: h5p.PropDCID
    layout: int
    metadata: ArrayMetadata
    index_grid: ChunkGrid | None
    is_external: bool


def described_dataset(file: OpenFile, dataset: FoundDataset, dimensions: DatasetDimensions) -> DescribedDataset:
    """The header of ``dataset``, which is in ``file``.

    Raises:
        UnsupportedError: values that no Zarr array can hold.
    """
    did = dataset.did
    kind = stored_type(did.get_type())
    plist = did.get_create_plist()
    layout = plist.get_layout()
    is_external = bool(plist.get_external_count())
    if is_external and (kind.conversion or kind.dtype == VARIABLE_STRING):
        reason = kind.conversion or "its strings are of variable length"
        raise UnsupportedError(f"its values lie in external raw files, and {reason}")
    if layout not in (h5d.CHUNKED, h5d.COMPACT, h5d.CONTIGUOUS, h5d.VIRTUAL):
        raise UnsupportedError(f"its data layout is of class {layout}, which is not known")
    chunked = layout == h5d.CHUNKED and kind.dtype != VARIABLE_STRING
    metadata = _metadata(file, dataset, dimensions, kind, plist, chunked)
    index_grid = metadata.chunk_grid if chunked else None
    if layout == h5d.CHUNKED and not chunked and dataset.shape is not None:
        index_grid = ChunkGrid(dataset.shape, plist.get_chunk())
    if index_grid is not None:
        check_grid_size(index_grid)
    if is_external and metadata.shape[: did.rank] != dataset.shape:
        raise UnsupportedError(f"its external raw files hold the shape {dataset.shape}, not {metadata.shape}")
    return DescribedDataset(dataset, kind, plist, layout, metadata, index_grid, is_external)


def manifest_array(
    file: OpenFile, described: DescribedDataset, stored: StoredChunks | None, inline_limit_bytes: int
) -> ManifestArray:
    """The array of a dataset; ``stored`` are its chunks where it has a chunk index.

    Raises:
        UnsupportedError: what references cannot express, and what is too large to be inlined.
        TruncatedFileError: a chunk that reaches over the end of the file.
    """
    did, kind, layout, metadata = described.dataset.did, described.kind, described.layout, described.metadata
    grid = metadata.chunk_grid
    if kind.dtype == VARIABLE_STRING:
        return _strings(file, described, stored, inline_limit_bytes)
    pipeline = FilterPipeline()
    if layout == h5d.COMPACT:
        chunks = inlined_chunks(did, metadata, range(grid.size), None, "its layout is compact")
        return ManifestArray(metadata, ChunkManifest.from_inlined(grid.grid_shape, chunks))
    if layout == h5d.CHUNKED:
        pipeline = filter_pipeline(described.plist, metadata.chunk_nbytes, metadata.dtype.itemsize)
        if pipeline.damage:
            raise UnsupportedError(f"its filters do not fit its chunks: {pipeline.damage}")
        if stored is not None and len(stored):
            pipeline = pipeline.without_unused(int(np.bitwise_and.reduce(stored.masks)))
        if pipeline.codecs and not kind.conversion:
            metadata = replace(metadata, codecs=pipeline.codecs)
    elif grid.size:
        stored = contiguous_chunk(did)
    if stored is None or not len(stored):
        return ManifestArray(metadata, ChunkManifest.empty(grid.grid_shape))
    check_inside_file(stored, file.nbytes, file.source.url, described.dataset.path)
    check_columns(grid, file.nbytes)
    storage = DatasetStorage(did, layout, pipeline, grid)
    return _placed(file.source.url, metadata, kind, storage, stored, inline_limit_bytes)


def _metadata(
    file: OpenFile,
    dataset: FoundDataset,
    dimensions: DatasetDimensions,
    kind: StoredType,
    plist: h5p.PropDCID,
    chunked: bool,
) -> ArrayMetadata:
    inner = kind.inner_shape
    shape = (*dimensions.shape, *inner)
    names = (*dimensions.names, *dimensions.axes.names(dataset.name, inner))
    strings = kind.dtype == VARIABLE_STRING
    if chunked:
        chunk_shape = (*plist.get_chunk(), *inner)
    else:
        chunk_shape = tuple(max(length, 1) for length in shape)
    attributes = {name: value for name, value in kind.attributes.items() if name not in dataset.attributes.values}
    attributes = {**dataset.attributes.values, **attributes}
    attributes = with_cf_fill(attributes, kind.dtype)
    return ArrayMetadata(
        shape=shape,
        dtype=kind.dtype,
        chunk_shape=chunk_shape,
        byte_order=kind.byte_order if not kind.conversion else _native_order(kind.dtype),
        serializer=_VLEN_UTF8 if strings else None,
        fill_value=_string_fill(file, dataset) if strings else _storage_fill(dataset.did, plist, kind),
        attributes=attributes,
        dimension_names=names,
        packing_dtypes=dataset.attributes.packing_dtypes,
    )


def _native_order(dtype: np.dtype[Any]) -> str | None:
    return None if dtype.itemsize == 1 or (dtype.kind in "SVb" and dtype.names is None) else "little"


def _string_fill(file: OpenFile, dataset: FoundDataset) -> str:
    fill = string_fill(file, dataset.messages)
    return text_of(h5py.Dataset(dataset.did).fillvalue or "") if fill is None else fill


def _storage_fill(did: h5d.DatasetID, plist: h5p.PropDCID, kind: StoredType) -> Any:
    """What unwritten elements read as; ``None`` where HDF5 leaves that undefined."""
    defined = plist.fill_value_defined()
    if defined == h5d.FILL_VALUE_UNDEFINED or plist.get_fill_time() == h5d.FILL_TIME_NEVER:
        return None
    if defined == h5d.FILL_VALUE_DEFAULT:
        return np.zeros((), kind.dtype)[()]
    if kind.inner_shape:
        array = np.asarray(h5py.Dataset(did).fillvalue)
        if array.size and (array != array.flat[0]).any():
            raise UnsupportedError(f"its fill value is an array of different values, {array.tolist()}")
        return array.reshape(-1)[:1].astype(kind.dtype).reshape(())[()]
    # h5py's own dtype knows the encoding of strings, without which HDF5 does not convert them.
    fill: NDArray[Any] = np.zeros((), did.dtype if kind.dtype.kind in "SV" else kind.dtype)
    try:
        plist.get_fill_value(fill)
    except (OSError, RuntimeError, TypeError) as error:
        raise UnsupportedError(f"its fill value cannot be read ({error})") from error
    return fill.astype(kind.dtype)[()]


def _strings(
    file: OpenFile, described: DescribedDataset, stored: StoredChunks | None, limit_bytes: int
) -> ManifestArray:
    metadata, did, dataset = described.metadata, described.dataset.did, described.dataset
    grid = metadata.chunk_grid
    if not grid.size:
        return ManifestArray(metadata, ChunkManifest.empty(grid.grid_shape))
    check_strings(math.prod(dataset.shape or ()), limit_bytes)
    raw: NDArray[Any] | None = None
    if dataset.messages and described.layout == h5d.COMPACT:
        raw = compact_strings(file, dataset.shape or (), dataset.messages)
    elif dataset.messages and described.layout in (h5d.CHUNKED, h5d.CONTIGUOUS):
        index_grid = described.index_grid or ChunkGrid(dataset.shape or (), dataset.shape or ())
        stored = contiguous_chunk(did) if described.layout == h5d.CONTIGUOUS else stored
        if index_grid.size:
            stored = StoredChunks.none() if stored is None else stored
            check_inside_file(stored, file.nbytes, file.source.url, dataset.path)
            nbytes = math.prod(index_grid.chunk_shape) * HEAP_ID.itemsize
            pipeline = filter_pipeline(described.plist, nbytes, HEAP_ID.itemsize)
            if pipeline.damage:
                raise UnsupportedError(f"its filters do not fit its chunks: {pipeline.damage}")
            raw = stored_strings(file, index_grid, pipeline, stored, str(metadata.fill_value))
    if raw is None:
        raw = np.asarray(h5py.Dataset(did)[()], dtype=object)
    chunks = inlined_strings(raw, metadata, limit_bytes)
    return ManifestArray(metadata, ChunkManifest.from_inlined(grid.grid_shape, chunks))


def _placed(
    url: str,
    metadata: ArrayMetadata,
    kind: StoredType,
    storage: DatasetStorage,
    stored: StoredChunks,
    limit_bytes: int,
) -> ManifestArray:
    """References for the chunks whose bytes are what the codecs expect, inlined bytes for the others."""
    grid_shape = storage.grid.grid_shape
    if reason := kind.conversion or _undecodable(storage.pipeline):
        chunks = inlined_chunks(storage.did, metadata, stored.numbers.tolist(), limit_bytes, reason)
        return ManifestArray(metadata, ChunkManifest.from_inlined(grid_shape, chunks))
    if storage.layout == h5d.CONTIGUOUS:
        if int(stored.lengths[0]) < metadata.chunk_nbytes:
            raise UnsupportedError(f"its storage of {int(stored.lengths[0])} bytes is smaller than its shape")
        return ManifestArray(
            metadata, ChunkManifest.single(grid_shape, url, int(stored.offsets[0]), metadata.chunk_nbytes)
        )
    other = otherwise_encoded(storage, metadata, stored)
    inlined: dict[int, bytes] = {}
    if other.any():
        numbers = stored.numbers[other].tolist()
        reason = f"{len(numbers)} of its chunks, chunk {numbers[0]} first, skip filters (filter mask)"
        try:
            inlined = inlined_chunks(storage.did, metadata, numbers, limit_bytes, reason)
        except UnsupportedError:
            if not other.all() or len(np.unique(stored.masks)) > 1 or not stored.masks[0]:
                raise
            # Too much to inline, and all alike: the array has only the filters that its chunks went through.
            metadata = replace(metadata, codecs=storage.pipeline.applied(int(stored.masks[0])))
        else:
            stored = stored.without(other)
    return ManifestArray(metadata, _manifest(url, grid_shape, stored, inlined))


def _undecodable(pipeline: FilterPipeline) -> str:
    return f"it is compressed by {pipeline.undecodable}, which no Zarr reader decodes" if pipeline.undecodable else ""


def otherwise_encoded(storage: DatasetStorage, metadata: ArrayMetadata, stored: StoredChunks) -> NDArray[np.bool_]:
    """Which chunks did not go through all filters, bool[n]."""
    codecs = storage.pipeline.codecs
    other = np.zeros(len(stored), dtype=bool)
    for mask in np.unique(stored.masks).tolist() if stored.masks.any() else ():
        if mask and not decodes_alike(storage.pipeline.applied(mask), codecs):
            other |= stored.masks == mask
    if not codecs or not any(map(storage.grid.is_partial, range(metadata.ndim))):
        return other
    # HDF5 can leave the filters out of partial edge chunks alone, and no mask tells (layout flag
    # DONT_FILTER_PARTIAL_BOUND_CHUNKS). Such a chunk has exactly its raw size, which is rare otherwise.
    suspects = (stored.lengths == metadata.chunk_nbytes) & (stored.masks == 0)
    if not suspects.any() or (all(map(keeps_size, codecs)) and not _may_skip(storage)):
        return other
    may_try = not any(map(may_crash, codecs))
    for row in np.flatnonzero(suspects).tolist():
        is_partial = _is_partial(metadata, int(stored.numbers[row]))
        other[row] = is_partial and not (may_try and _decodes(storage, metadata, stored, row))
    return other


def _may_skip(storage: DatasetStorage) -> bool:
    """Whether the file is new enough to have unfiltered edge chunks: superblock 3 of HDF5 1.10."""
    fid = h5py.h5i.get_file_id(storage.did)
    return bool(fid.get_create_plist().get_version()[0] >= 3)


def _is_partial(metadata: ArrayMetadata, number: int) -> bool:
    place = np.unravel_index(number, metadata.chunk_grid.grid_shape)
    return any((i + 1) * c > n for i, c, n in zip(place, metadata.chunk_shape, metadata.shape, strict=True))


def _decodes(storage: DatasetStorage, metadata: ArrayMetadata, stored: StoredChunks, row: int) -> bool:
    """Whether one chunk, read as its codecs say, has the values that libhdf5 reads."""
    number = int(stored.numbers[row])
    place = np.unravel_index(number, metadata.chunk_grid.grid_shape)
    start = tuple(int(i) * c for i, c in zip(place, metadata.chunk_shape, strict=True))
    rank = storage.did.rank
    where = tuple(slice(s, min(s + c, n)) for s, c, n in zip(start, metadata.chunk_shape, metadata.shape, strict=True))
    _, data = storage.did.read_direct_chunk(start[:rank])
    expected = np.asarray(h5py.Dataset(storage.did)[where[:rank]])
    try:
        decoded = decode_chunk(metadata, bytes(data))
    except Exception:  # any way in which a codec fails is the answer
        return False
    return decoded[tuple(slice(0, n) for n in expected.shape)].tobytes() == expected.astype(metadata.dtype).tobytes()


def _manifest(url: str, grid_shape: tuple[int, ...], stored: StoredChunks, inlined: dict[int, bytes]) -> ChunkManifest:
    size = math.prod(grid_shape)
    if len(stored) == size and np.array_equal(stored.numbers, np.arange(size)):
        ids, offsets, lengths = np.zeros(size, np.int32), stored.offsets, stored.lengths  # in order: nothing to move
    else:
        ids, offsets, lengths = (
            np.full(size, MISSING, np.int32),
            np.zeros(size, np.uint64),
            np.zeros(size, stored.lengths.dtype),
        )
        ids[stored.numbers] = 0
        offsets[stored.numbers] = stored.offsets
        lengths[stored.numbers] = stored.lengths
        ids[list(inlined)] = INLINED
    return ChunkManifest.from_columns(
        (url,) if len(stored) else (),
        ids.reshape(grid_shape),
        offsets.reshape(grid_shape),
        lengths.reshape(grid_shape),
        inlined,
    )
