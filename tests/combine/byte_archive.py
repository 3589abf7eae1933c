"""Files of nothing but chunks, in memory, and what readers of a store make of references to them."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tests.combine.virtual_files import combine
from vz_beam.codecs.pipeline import decode_chunk, encode_chunk
from vz_beam.combine.fragment import Fragment
from vz_beam.manifests import ArrayMetadata, ChunkManifest, Codec, ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING

FILL = -7


class Archive:
    """Files by URL."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def variable(
        self,
        dims: tuple[str, ...],
        values: NDArray[Any],
        chunk_shape: tuple[int, ...],
        missing: Container[int] = (),
        *,
        codecs: tuple[Codec, ...] = (),
        attributes: Mapping[str, Any] | None = None,
        fill_value: Any = FILL,
    ) -> xr.Variable:
        """A new file with ``values`` in chunks, those at the end padded, some never written."""
        attributes = dict(attributes or {})
        fill = None if fill_value is None else values.dtype.type(fill_value)
        metadata = ArrayMetadata(
            values.shape, values.dtype, chunk_shape, fill_value=fill, codecs=codecs, attributes=attributes
        )
        grid = metadata.chunk_grid.grid_shape
        url = f"s3://archive/{len(self.files):03}.bin"
        data = bytearray(b"head")
        ids, offsets, lengths = np.zeros(grid, np.int32), np.zeros(grid, np.uint64), np.zeros(grid, np.uint32)
        for number, place in enumerate(np.ndindex(*grid)):
            chunk = np.full(chunk_shape, 99, values.dtype)
            part = values[tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunk_shape, strict=True))]
            chunk[tuple(map(slice, part.shape))] = part
            if number in missing:
                ids[place] = MISSING
                part[...] = 0 if fill is None else fill
                continue
            encoded = encode_chunk(metadata, chunk)
            offsets[place], lengths[place] = len(data), len(encoded)
            data += encoded
        self.files[url] = bytes(data)
        manifest = ChunkManifest.from_columns((url,), ids, offsets, lengths)
        return xr.Variable(dims, ManifestArray(metadata, manifest), attributes)

    def open(self, url: str) -> Any:
        """A byte source, as far as reading values asks for one."""
        return _Source(self.files[url])

    def read(self, metadata: ArrayMetadata, fragments: Iterable[Fragment]) -> NDArray[Any]:
        """The stored numbers of a combined array."""
        grid = metadata.chunk_grid.grid_shape
        fill = 0 if metadata.fill_value is None else metadata.fill_value
        padded = np.full([g * c for g, c in zip(grid, metadata.chunk_shape, strict=True)], fill, metadata.dtype)
        for fragment in fragments:
            for row, number in enumerate(fragment.numbers.tolist()):
                start, length = int(fragment.offsets[row]), int(fragment.lengths[row])
                if fragment.location_ids[row] >= 0:
                    data = self.files[fragment.locations[fragment.location_ids[row]]][start : start + length]
                else:
                    data = fragment.inlined[number]
                where = zip(np.unravel_index(number, grid), metadata.chunk_shape, strict=True)
                place = tuple(slice(int(p) * c, (int(p) + 1) * c) for p, c in where)
                padded[place] = decode_chunk(metadata, data)
        return padded[tuple(map(slice, metadata.shape))]


class _Source:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self._data[start:stop] for start, stop in ranges]

    def close(self) -> None:
        """Nothing is open."""


def joined(archive: Archive, inputs: list[Any], **choices: Any) -> tuple[NDArray[Any], Any]:
    """Stored numbers of ``v``, and the layout."""
    layout, shards = combine(inputs, chunks_per_shard=5, **choices)
    array = layout.arrays["v"]
    return archive.read(array.metadata, [f for key, f in shards.items() if key.path == "v"]), layout


def numbered(shape: tuple[int, ...], first: int = 0) -> NDArray[Any]:
    """int32[shape], counted from ``first`` on."""
    return (first + np.arange(math.prod(shape), dtype="i4")).reshape(shape)
