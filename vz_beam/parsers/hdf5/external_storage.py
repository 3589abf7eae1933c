"""Datasets whose values lie in raw files: stretches of other files, one behind the other.

Source: HDF5 file format specification 3.0, section IV.A.2.h, "The Data Storage - External Data Files Message".
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from h5py import h5p

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.errors import SourceError, TransientSourceError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v2 import stored_dtype
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.layout import check_grid_size
from vz_beam.parsers.hdf5.other_files import OtherFiles
from vz_beam.storage.byte_source import ByteSource

_REFERENCE_BYTES = 20
"""A chunk smaller than the reference to it is no use."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """``length`` bytes of the dataset: those from ``offset`` of the file ``name``, which is at ``url``."""

    name: str
    url: str
    offset: int
    length: int


def external_array(
    metadata: ArrayMetadata, plist: h5p.PropDCID, teller: ByteSource, others: OtherFiles, inline_limit_bytes: int
) -> ManifestArray:
    """The array of a dataset in raw files: one reference, or as many as its parts in several files make needful.

    Raw files that are not there or too short are refused. libhdf5 refuses the former, and reads zeros past the end of
    the latter (measured with HDF5 2.0.0), which nobody can tell from values.

    Args:
        metadata: of the dataset in one chunk.
        plist: of its creation.
        teller: the file that names the raw files.
        others: opens them.
        inline_limit_bytes: the most that may be inlined.

    Raises:
        UnsupportedError: raw files that are not there or too short; borders between them at which no chunk can end.
    """
    if 0 in metadata.shape:
        return ManifestArray(metadata, ChunkManifest.empty(metadata.chunk_grid.grid_shape))
    segments = _segments(plist, metadata.chunk_nbytes, teller, others)
    borders = list(itertools.accumulate(segment.length for segment in segments))
    chunk_shape = _chunk_between(borders, metadata)
    if chunk_shape is None:
        return _inlined(metadata, segments, others, inline_limit_bytes)
    metadata = replace(metadata, chunk_shape=chunk_shape)
    check_grid_size(metadata.chunk_grid)
    return ManifestArray(metadata, _manifest(metadata.chunk_grid, metadata.chunk_nbytes, segments, borders))


def _segments(plist: h5p.PropDCID, nbytes: int, teller: ByteSource, others: OtherFiles) -> list[_Segment]:
    """The stretches that hold the ``nbytes`` bytes of a dataset, each of at least one byte."""
    segments: list[_Segment] = []
    left = nbytes
    sizes: dict[str, tuple[str, int]] = {}
    for number in range(plist.get_external_count()):
        raw_name, offset, length = plist.get_external(number)
        name = text_of(raw_name)
        length = min(int(length), left)  # an unlimited one holds the rest
        if not length:
            continue
        if name not in sizes:
            sizes[name] = _url_and_size(name, teller, others)
        url, size = sizes[name]
        if offset + length > size:
            raise UnsupportedError(
                f"its values lie in external raw files, and {name!r} ({url}) has {size} bytes where bytes {offset} to "
                f"{offset + length} are needed. Way out: fetch that file again"
            )
        segments.append(_Segment(name, url, int(offset), length))
        left -= length
    if left:
        raise UnsupportedError(f"its external raw files hold {nbytes - left} of its {nbytes} bytes")
    return segments


def _url_and_size(name: str, teller: ByteSource, others: OtherFiles) -> tuple[str, int]:
    try:
        source = others.open(teller, name)
    except TransientSourceError:
        raise
    except SourceError as error:
        raise UnsupportedError(
            f"its values lie in external raw files, and {name!r} cannot be read: {error} "
            "Way out: put that file beside this one"
        ) from error
    try:
        return source.url, source.size()
    finally:
        source.close()


def _chunk_between(borders: list[int], metadata: ArrayMetadata) -> tuple[int, ...] | None:
    """The largest chunk of one stretch of bytes that ends at each of ``borders``, bytes; ``None`` where none does."""
    shape, itemsize = metadata.shape, metadata.dtype.itemsize
    if len(borders) == 1:
        return metadata.chunk_shape
    step, rest = divmod(math.gcd(*borders), itemsize)
    if rest:
        return None
    for axis, length in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        if step % inner == 0:
            chunk_shape = (1,) * axis + (math.gcd(step // inner, length),) + shape[axis + 1 :]
            return chunk_shape if math.prod(chunk_shape) * itemsize >= _REFERENCE_BYTES else None
    return None


def _manifest(grid: ChunkGrid, chunk_nbytes: int, segments: list[_Segment], borders: list[int]) -> ChunkManifest:
    starts = np.arange(grid.size, dtype=np.uint64) * np.uint64(chunk_nbytes)
    rows = np.searchsorted(np.array(borders, np.uint64), starts, side="right")
    begins = np.array([0, *borders[:-1]], np.uint64)
    offsets = np.array([segment.offset for segment in segments], np.uint64)
    urls = list(dict.fromkeys(segment.url for segment in segments))
    ids = np.array([urls.index(segment.url) for segment in segments], np.int32)
    return ChunkManifest.from_columns(
        urls,
        ids[rows].reshape(grid.grid_shape),
        (offsets[rows] + starts - begins[rows]).reshape(grid.grid_shape),
        np.full(grid.grid_shape, chunk_nbytes, np.uint64),
    )


def _inlined(metadata: ArrayMetadata, segments: list[_Segment], others: OtherFiles, limit_bytes: int) -> ManifestArray:
    if metadata.chunk_nbytes > limit_bytes:
        raise UnsupportedError(
            f"its values lie in {len(segments)} external raw files, at whose borders no chunk can end, and "
            f"{metadata.chunk_nbytes} bytes are too many to keep in the store itself (inline_limit_bytes={limit_bytes})"
        )
    parts = [others.read(segment.url, segment.offset, segment.offset + segment.length) for segment in segments]
    values = np.frombuffer(b"".join(parts), stored_dtype(metadata)).reshape(metadata.shape)
    chunks = {0: encode_chunk(metadata, values.astype(metadata.dtype))}
    return ManifestArray(metadata, ChunkManifest.from_inlined(metadata.chunk_grid.grid_shape, chunks))
