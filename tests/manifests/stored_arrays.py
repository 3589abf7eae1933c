"""Virtual arrays whose chunks lie in a local file, and their values as zarr reads them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from hypothesis import strategies as st
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.manifests import ArrayMetadata, ChunkManifest, Codec, ManifestArray, ManifestGroup
from vz_beam.storage.manifest_store import ManifestStore

REFERENCE, INLINED, MISSING = "reference", "inlined", "missing"
GZIP = (Codec("gzip", {"level": 1}),)
FILL = np.int32(-7)


@dataclass(frozen=True)
class ArrayPlan:
    """An array that can be stored: its grid, and what becomes of each chunk."""

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    kinds: tuple[str, ...]
    codecs: tuple[Codec, ...] = ()
    byte_order: str = "little"


@st.composite
def plans(draw: st.DrawFn, max_dims: int = 3, kinds: tuple[str, ...] = (REFERENCE, REFERENCE, INLINED, MISSING)) -> Any:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=max_dims)))
    chunk_shape = tuple(draw(st.integers(1, 4)) for _ in shape)
    return draw(with_grid(shape, chunk_shape, kinds))


@st.composite
def with_grid(
    draw: st.DrawFn,
    shape: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    kinds: tuple[str, ...] = (REFERENCE, INLINED, MISSING),
    codecs: tuple[Codec, ...] | None = None,
    byte_order: str | None = None,
) -> Any:
    count = ArrayMetadata(shape, np.dtype("i4"), chunk_shape).chunk_grid.size
    allowed = draw(st.sampled_from([kinds, kinds[:1]]))
    return ArrayPlan(
        shape,
        chunk_shape,
        tuple(draw(st.sampled_from(allowed)) for _ in range(count)),
        draw(st.sampled_from([(), (), GZIP])) if codecs is None else codecs,
        draw(st.sampled_from(["little", "big"])) if byte_order is None else byte_order,
    )


class ChunkFile:
    """A file to which the chunks of arrays are written, one after the other, odd bytes between them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._nbytes = 0
        self._count = 0

    def store(self, plan: ArrayPlan, gap: bytes = b"???") -> ManifestArray:
        """A virtual array of distinct values by that plan."""
        metadata = ArrayMetadata(
            plan.shape, np.dtype("i4"), plan.chunk_shape, plan.byte_order, codecs=plan.codecs, fill_value=FILL
        )
        grid_shape = metadata.chunk_grid.grid_shape
        ids = np.full(grid_shape, -1, np.int32)
        offsets, lengths = np.zeros(grid_shape, np.uint64), np.zeros(grid_shape, np.uint64)
        inlined, written = {}, []
        for number, place in enumerate(itertools.product(*map(range, grid_shape))):
            count = int(np.prod(plan.chunk_shape))
            data = encode_chunk(
                metadata, np.arange(self._count, self._count + count, dtype="i4").reshape(plan.chunk_shape)
            )
            self._count += count
            if plan.kinds[number] == INLINED:
                ids[place] = -2
                inlined[number] = data
            elif plan.kinds[number] == REFERENCE:
                ids[place], offsets[place], lengths[place] = 0, self._nbytes + len(gap), len(data)
                self._nbytes += len(gap) + len(data)
                written.append(gap + data)
        with self.path.open("ab") as file:
            file.write(b"".join(written))
        return ManifestArray(metadata, ChunkManifest.from_columns((self.url,), ids, offsets, lengths, inlined))

    @property
    def url(self) -> str:
        return self.path.as_uri()


def values(array: ManifestArray) -> NDArray[Any]:
    """What zarr reads."""
    group: Any = zarr.open_group(ManifestStore(ManifestGroup({"v": array})), mode="r")
    read: NDArray[Any] = np.asarray(group["v"][...])
    return read
