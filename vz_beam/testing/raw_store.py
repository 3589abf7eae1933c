"""Arrays over raw files of bytes, with the values that readers of a reference store must show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.combine.fragment import Fragment, ShardKey, split_by_shard
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.manifests.chunk_manifest import INLINED
from vz_beam.manifests.metadata import ArrayMetadata, Codec

HEADER = b"not data"
"""Stands at the start of each file, so that offsets begin above 0."""


@dataclass(slots=True)
class RawStore:
    """A layout, its references, and what they must read as. Arrays are added one by one.

    Args:
        folder: where the raw files are made.
        chunks_per_shard: of the layout.
    """

    folder: Path
    chunks_per_shard: int = 100
    arrays: dict[str, ArrayLayout] = field(default_factory=dict)
    fragments: dict[str, Fragment] = field(default_factory=dict)
    decoded: dict[str, NDArray[Any]] = field(default_factory=dict)
    stored: dict[str, NDArray[Any]] = field(default_factory=dict)
    attributes: dict[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {"title": "raw"}})

    @property
    def layout(self) -> Layout:
        """What the arrays make."""
        return Layout(dict(self.arrays), dict(self.attributes), chunks_per_shard=self.chunks_per_shard)

    def shards(self) -> dict[ShardKey, Fragment]:
        """The references of every shard that has any."""
        return {
            key: part
            for path, fragment in self.fragments.items()
            for key, part in split_by_shard(path, fragment, self.chunks_per_shard)
        }

    def add(
        self,
        path: str,
        values: Any,
        chunk_shape: Sequence[int],
        dims: Sequence[str],
        *,
        missing: Mapping[int, Any] | None = None,
        inlined: Sequence[int] = (),
        loaded: bool = False,
        references_per_url: int = 10**6,
        byte_order: str | None = "little",
        codecs: tuple[Codec, ...] = (),
        serializer: Codec | None = None,
        fill_value: Any = None,
        attributes: Mapping[str, Any] | None = None,
        decoded: Any = None,
    ) -> None:
        """Add an array of ``values``, and write its chunks into raw files.

        Args:
            path: of the array.
            values: as they are stored, apart from byte order.
            chunk_shape: elements.
            dims: names of its dimensions.
            missing: what each chunk that is not there must read as, by chunk number, before CF decoding.
            inlined: numbers of the chunks that are inlined.
            loaded: whether the layout holds all chunks.
            references_per_url: chunks in one raw file.
            byte_order: of the stored elements.
            codecs: bytes to bytes.
            serializer: of strings.
            fill_value: the storage fill.
            attributes: ``_FillValue`` and the like.
            decoded: what xarray must show; ``None``: the stored values.
        """
        stored = np.array(values)
        metadata = ArrayMetadata(
            stored.shape,
            np.dtypes.StringDType() if serializer is not None else stored.dtype,
            tuple(chunk_shape),
            byte_order,
            serializer,
            codecs,
            fill_value,
            attributes or {},
            tuple(dims),
        )
        chunks: dict[int, bytes] = {}
        for number, place in enumerate(np.ndindex(*metadata.chunk_grid.grid_shape)):
            selection = tuple(slice(i * n, (i + 1) * n) for i, n in zip(place, metadata.chunk_shape, strict=True))
            if missing and number in missing:
                stored[selection] = missing[number]
            else:
                chunks[number] = encode_chunk(metadata, np.asarray(stored[selection]))
        if not loaded:
            self.fragments[path] = self._write(path, chunks, set(inlined), references_per_url)
        self.arrays[path] = ArrayLayout(metadata, chunks if loaded else {})
        self.stored[path] = stored
        self.decoded[path] = stored if decoded is None else np.array(decoded)

    def _write(self, path: str, chunks: Mapping[int, bytes], inlined: set[int], references_per_url: int) -> Fragment:
        numbers = sorted(chunks)
        rows: list[tuple[int, int, int]] = []
        contents: list[bytes] = []
        for number in numbers:
            if number in inlined:
                row = (INLINED, 0, 0)
            else:
                place = number // references_per_url
                contents += [HEADER] * (place + 1 - len(contents))
                row = (place, len(contents[place]), len(chunks[number]))
                contents[place] += chunks[number]
            rows.append(row)
        files = [self.folder / f"{path.replace('/', '-')} {{{{{place}}}}}.bin" for place in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        ids, offsets, lengths = np.array(rows, np.int64).reshape(-1, 3).T
        return Fragment(
            tuple(f"file://{file}" for file in files),
            np.array(numbers, np.int64),
            ids.astype(np.int32),
            offsets.astype(np.uint64),
            lengths.astype(np.uint32),
            {number: chunks[number] for number in numbers if number in inlined},
        )
