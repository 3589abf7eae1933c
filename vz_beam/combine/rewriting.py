"""Chunks that do not fit the combined array: which they are, and the parts of inputs that they are made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.placing import ArrayReferences, InputReferences, fitting_chunks, placed_parts
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.chunk_selection import sub_manifest
from vz_beam.manifests.metadata import ArrayMetadata

OBJECT_BYTES = 2**26
"""Decoded size of the chunks that are written as one object, 64 MiB: few objects, and a small part of a worker."""

Numbers = tuple[int, ...]


class RewriteKey(NamedTuple):
    """Chunks that are written together: those of the array at ``path`` from ``number * chunks_per_object(...)`` on."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class RewritePart:
    """What one input gives to one chunk of the combined array.

    Args:
        numbers: of the input along the pattern's dimensions.
        label: a name for the input in messages.
        chunk: C-order number of the chunk in the combined array.
        variant: place of the input's metadata in ``Rewriting.variants``.
        shape: elements, of the part of the input that ``manifest`` covers.
        chunk_shape: elements, of the input's chunks.
        manifest: the chunks of the input that hold the part.
        source: (start, stop) along each axis of that part, elements.
        target: (start, stop) along each axis of the chunk of the combined array, elements.
    """

    numbers: Numbers
    label: str
    chunk: int
    variant: int
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    manifest: ChunkManifest
    source: tuple[tuple[int, int], ...]
    target: tuple[tuple[int, int], ...]


def chunks_per_object(metadata: ArrayMetadata) -> int:
    """Number of chunks that are written as one object."""
    return max(1, OBJECT_BYTES // max(1, metadata.chunk_nbytes))


def rewrites(layout: Layout, references: InputReferences) -> Iterator[tuple[RewriteKey, RewritePart]]:
    """What an input gives to each chunk that has to be written anew."""
    for placed in placed_parts(layout, references):
        array, part = placed.array, placed.part
        if array.rewriting is None or part.manifest is None:
            continue
        fitting = fitting_chunks(array, part, placed.starts, placed.numbers)
        several = chunks_per_object(array.metadata)
        for chunk, piece in _parts(array, part, placed.starts, fitting, placed.numbers, references.label):
            yield RewriteKey(part.path, chunk // several), piece


def _parts(
    array: ArrayLayout,
    part: ArrayReferences,
    starts: tuple[int, ...],
    fitting: tuple[int, ...],
    numbers: Numbers,
    label: str,
) -> Iterator[tuple[int, RewritePart]]:
    assert array.rewriting is not None
    assert part.manifest is not None
    metadata = array.metadata
    gained = metadata.ndim - len(part.shape)
    first, chunk_shape = starts[gained:], metadata.chunk_shape[gained:]
    grid = metadata.chunk_grid.grid_shape
    differs = numbers in array.rewriting.of_input
    touched = [range(s // c, -(-(s + n) // c)) for s, n, c in zip(first, part.shape, chunk_shape, strict=True)]
    fits = [range(s // c, s // c + count) for s, c, count in zip(first, chunk_shape, fitting, strict=True)]
    for place in itertools.product(*touched):
        if not differs and all(number in known for number, known in zip(place, fits, strict=True)):
            continue
        source, target, chunks, shape = [], [], [], []
        for number, start, length, chunk, own in zip(
            place, first, part.shape, chunk_shape, part.chunk_shape, strict=True
        ):
            low, high = max(number * chunk, start), min((number + 1) * chunk, start + length)
            mine = slice((low - start) // own, -(-(high - start) // own))
            chunks.append(mine)
            before = mine.start * own
            shape.append(min(mine.stop * own, length) - before)
            source.append((low - start - before, high - start - before))
            target.append((low - number * chunk, high - number * chunk))
        whole = tuple(starts[:gained]) + place
        number = int(np.ravel_multi_index(whole, grid)) if grid else 0
        yield (
            number,
            RewritePart(
                numbers,
                label,
                number,
                array.rewriting.of_input.get(numbers, 0),
                tuple(shape),
                part.chunk_shape,
                sub_manifest(part.manifest, tuple(chunks)),
                tuple(source),
                tuple(target),
            ),
        )
