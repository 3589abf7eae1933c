"""The shards of manifests that are whole arrays, each made when it is asked for: memory is that of one shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest


class WholeShards(Mapping[ShardKey, Fragment]):
    """The references of every shard of some arrays.

    Args:
        manifests: of the whole arrays, by path.
        chunks_per_shard: where shards begin.
    """

    def __init__(self, manifests: Mapping[str, ChunkManifest], chunks_per_shard: int) -> None:
        self._manifests = manifests
        self._size = chunks_per_shard

    def __getitem__(self, key: ShardKey) -> Fragment:
        manifest = self._manifests[key.path]
        start, total = key.number * self._size, manifest.location_ids.size
        if not 0 <= start < total:
            raise KeyError(key)
        return fragment_at(manifest, np.arange(start, min(start + self._size, total)))

    def __iter__(self) -> Iterator[ShardKey]:
        for path, manifest in self._manifests.items():
            for number in range(-(-manifest.location_ids.size // self._size)):
                yield ShardKey(path, number)

    def __len__(self) -> int:
        return sum(-(-manifest.location_ids.size // self._size) for manifest in self._manifests.values())


def fragment_at(manifest: ChunkManifest, numbers: NDArray[np.int64]) -> Fragment:
    """The references of some chunks of a whole array, int64[n] ascending."""
    places = np.unravel_index(numbers, manifest.grid_shape) if manifest.grid_shape else ()
    ids = np.atleast_1d(manifest.location_ids[places])
    here = ids != MISSING
    inlined = {number: manifest.inlined[number] for number in numbers[ids == INLINED].tolist()}
    offsets, lengths = (np.atleast_1d(column[places])[here] for column in (manifest.offsets, manifest.lengths))
    return Fragment(manifest.locations, numbers[here], ids[here], offsets, lengths, inlined).take(slice(None))
