"""Sharded arrays of Zarr v3: the chunks inside shards, by the index of each shard.

Source: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.zarr_stores.keys import Keys, Place

_SHARDING, _BYTES, _CHECKSUM = "sharding_indexed", "bytes", "crc32c"
_ENTRY_NBYTES = 16
_CHECKSUM_NBYTES = 4
_NOWHERE = 2**64 - 1
_MOST_CHUNKS = 2**26


@dataclass(frozen=True, slots=True)
class Sharding:
    """How an array is sharded.

    Args:
        grid_shape: of the shards.
        inside: chunks of a shard along each dimension.
        index_nbytes: size of a shard's index.
        is_last: whether the index stands at the end of a shard.
    """

    grid_shape: tuple[int, ...]
    inside: tuple[int, ...]
    index_nbytes: int
    is_last: bool


def without_shards(document: Any) -> tuple[dict[str, Any], Sharding] | None:
    """The document of an array of the chunks inside its shards; ``None`` where they cannot be told apart.

    That is where the shards themselves are compressed, or their index is, or shards are in shards.
    """
    if not isinstance(document, Mapping):
        return None
    codecs, grid, shape = document.get("codecs"), document.get("chunk_grid"), document.get("shape")
    if not isinstance(codecs, list) or len(codecs) != 1 or not isinstance(shape, list):
        return None
    name, words = _codec(codecs[0])
    chunk_shape: Any = (grid or {}).get("configuration", {}).get("chunk_shape") if isinstance(grid, Mapping) else None
    inner: Any
    inner_codecs: Any
    inner, inner_codecs = words.get("chunk_shape"), words.get("codecs")
    if name != _SHARDING or not isinstance(inner_codecs, list) or not _are_lengths(chunk_shape, inner, len(shape)):
        return None
    if any(_codec(codec)[0] == _SHARDING for codec in inner_codecs):
        return None
    index = [_codec(codec) for codec in words.get("index_codecs") or [{"name": _BYTES}, {"name": _CHECKSUM}]]
    plain = [name for name, _ in index]
    is_little = all(about.get("endian", "little") == "little" for name, about in index if name == _BYTES)
    if plain not in ([_BYTES], [_BYTES, _CHECKSUM]) or not is_little:
        return None
    inside = tuple(outer // part for outer, part in zip(chunk_shape, inner, strict=True))
    if any(outer % part for outer, part in zip(chunk_shape, inner, strict=True)) or math.prod(inside) > _MOST_CHUNKS:
        return None
    nbytes = _ENTRY_NBYTES * math.prod(inside) + (_CHECKSUM_NBYTES if _CHECKSUM in plain else 0)
    grid_shape = tuple(-(-length // outer) for length, outer in zip(shape, chunk_shape, strict=True))
    sharding = Sharding(grid_shape, inside, nbytes, words.get("index_location", "end") != "start")
    new_grid = {"name": "regular", "configuration": {"chunk_shape": list(inner)}}
    return {**document, "chunk_grid": new_grid, "codecs": inner_codecs}, sharding


def _codec(codec: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(codec, str):
        return codec, {}
    if not isinstance(codec, Mapping):
        return "", {}
    words = codec.get("configuration")
    return str(codec.get("name")), words if isinstance(words, Mapping) else {}


def _are_lengths(outer: Any, inner: Any, rank: int) -> bool:
    return all(
        isinstance(shape, list) and len(shape) == rank and all(type(n) is int and n > 0 for n in shape)
        for shape in (outer, inner)
    )


def chunks_of_shards(
    keys: Keys,
    places: Sequence[Place],
    numbers: NDArray[np.int64],
    sharding: Sharding,
    metadata: ArrayMetadata,
) -> ChunkManifest:
    """The manifest of the chunks inside shards, whose indexes are read.

    Args:
        keys: of the store.
        places: of the shards that are there.
        numbers: int64[n], their C-order numbers.
        sharding: how the array is sharded.
        metadata: of the array of inner chunks.

    Raises:
        FormatError: an index that is damaged.
    """
    grid_shape = metadata.chunk_grid.grid_shape
    indexes = keys.read([_index_place(place, sharding) for place in places])
    size = math.prod(grid_shape)
    ids = np.full(size, MISSING, np.int32)
    offsets, lengths = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    known: dict[str, int] = {}
    within = np.indices(sharding.inside).reshape(len(sharding.inside), -1)
    limits = np.array(grid_shape)[:, None]
    for number, place, data in zip(numbers.tolist(), places, indexes, strict=True):
        entries = np.frombuffer(data, "<u8", 2 * within.shape[1]).reshape(-1, 2)
        first = np.array(np.unravel_index(number, sharding.grid_shape)) * np.array(sharding.inside)
        chunks = first[:, None] + within
        here = (chunks < limits).all(axis=0) & (entries[:, 0] != _NOWHERE)
        starts, counts = entries[here, 0], entries[here, 1]
        if len(starts) and (int(starts.max()) > place.nbytes or ((starts + counts) > place.nbytes).any()):
            raise FormatError(f"the index of a shard ({place.url}) points behind its end")
        at = np.ravel_multi_index(tuple(chunks[:, here]), grid_shape)
        ids[at] = known.setdefault(place.url, len(known))
        offsets[at], lengths[at] = starts + np.uint64(place.start), counts
    shaped = (offsets.reshape(grid_shape), lengths.reshape(grid_shape))
    return ChunkManifest.from_columns(tuple(known), ids.reshape(grid_shape), *shaped)


def _index_place(place: Place, sharding: Sharding) -> Place:
    if place.nbytes < sharding.index_nbytes:
        raise FormatError(
            f"a shard ({place.url}) has {place.nbytes:,} bytes, and its index should have {sharding.index_nbytes:,}"
        )
    start = place.start + (place.nbytes - sharding.index_nbytes if sharding.is_last else 0)
    return Place(place.url, start, sharding.index_nbytes)
