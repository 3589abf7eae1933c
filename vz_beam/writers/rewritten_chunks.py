"""Chunks that are written anew since they do not fit the combined array: read, decoded, encoded as most inputs' are.

They stand beside the store, in ``<store>.chunks``, in objects that are named by their content: a repeated run writes
the same ones, and none that a published store refers to is ever changed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.combine.converting import converted
from vz_beam.combine.fragment import Fragment, ShardKey, split_by_shard
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.rewriting import RewriteKey, RewritePart
from vz_beam.errors import IncompleteStoreError, OverlapError
from vz_beam.manifests.array import ManifestArray
from vz_beam.storage.array_values import OpenLocation, read_values
from vz_beam.storage.byte_sink import ByteSink
from vz_beam.writers.staging import open_staging
from vz_beam.writers.writer import WriteTarget

_NAME_DIGITS = 16
"""Of the SHA-256 in the name of an object: 64 bits tell apart more of them than there are."""

CHUNKS_SUFFIX = ".chunks"
"""What the folder beside a store is called that holds chunks that were written anew."""


class RewriteReceipt(NamedTuple):
    """Proof that an object of rewritten chunks was written.

    Args:
        key: of the object below ``<store>.chunks``.
        path: of the array.
        chunks: number of chunks in it.
        read_nbytes: encoded size of what was read for them, bytes.
        nbytes: size of the object, bytes.
    """

    key: str
    path: str
    chunks: int
    read_nbytes: int
    nbytes: int


class Rewritten(NamedTuple):
    """References to the chunks of one object, cut where shards begin, and its receipt."""

    fragments: list[tuple[ShardKey, Fragment]]
    receipt: RewriteReceipt


def rewrite_chunks(
    layout: Layout,
    key: RewriteKey,
    parts: Iterable[RewritePart],
    target: WriteTarget,
    open_location: OpenLocation,
    storage_options: Mapping[str, Any] | None = None,
) -> Rewritten:
    """Write the chunks of one object; ``parts`` may come in any order and several times.

    Raises:
        RewriteError: values that cannot be stored as those of most inputs.
        OverlapError: two inputs that stand at one place.
        IncompleteStoreError: parts that did not arrive.
        SourceError: inputs that cannot be read.
    """
    array = layout.arrays[key.path]
    by_chunk: dict[int, dict[tuple[int, ...], RewritePart]] = {}
    for part in parts:
        known = by_chunk.setdefault(part.chunk, {}).setdefault(part.numbers, part)
        if known.label != part.label:
            raise OverlapError(
                f"chunk number {part.chunk} of {key.path!r} is given by two inputs at one place, {known.label} and "
                f"{part.label}. Way out: give each file a position of its own"
            )
    numbers = sorted(by_chunk)
    data = bytearray()
    offsets, lengths, read = [], [], 0
    for number in numbers:
        members = [by_chunk[number][place] for place in sorted(by_chunk[number])]
        encoded = _encoded(array, key.path, members, open_location)
        offsets.append(len(data))
        lengths.append(len(encoded))
        data += encoded
        read += sum(int(part.manifest.lengths.sum()) for part in members)
    name = f"{key.path}/{key.number}-{hashlib.sha256(data).hexdigest()[:_NAME_DIGITS]}"
    folder = _folder(target, storage_options)
    folder.write(name, bytes(data))
    fragment = Fragment(
        (f"{folder.url.rstrip('/')}/{name}",),
        np.array(numbers, np.int64),
        np.zeros(len(numbers), np.int32),
        np.array(offsets, np.uint64),
        np.array(lengths, np.uint64),
    )
    return Rewritten(
        list(split_by_shard(key.path, fragment, layout.chunks_per_shard)),
        RewriteReceipt(name, key.path, len(numbers), read, len(data)),
    )


def remove_others(
    target: WriteTarget, receipts: Iterable[RewriteReceipt], storage_options: Mapping[str, Any] | None = None
) -> None:
    """Remove what earlier runs have rewritten and the published store does not refer to."""
    folder = _folder(target, storage_options)
    kept = {receipt.key for receipt in receipts}
    for name in folder.list():
        if name not in kept:
            folder.delete(name)


def _folder(target: WriteTarget, storage_options: Mapping[str, Any] | None) -> ByteSink:
    staging = open_staging(target, storage_options)
    return staging.parent.sub(f"{staging.name}{CHUNKS_SUFFIX}")


def _encoded(array: ArrayLayout, path: str, parts: list[RewritePart], open_location: OpenLocation) -> bytes:
    metadata, rewriting = array.metadata, array.rewriting
    assert rewriting is not None
    dtype = np.dtype(object) if metadata.dtype.kind == "T" else metadata.dtype
    fill = metadata.fill_value
    chunk = np.full(metadata.chunk_shape, np.zeros((), metadata.dtype) if fill is None else fill, dtype)
    covered = 0
    for part in parts:
        own = rewriting.variants[part.variant]
        source = ManifestArray(own.with_shape(part.shape, part.chunk_shape), part.manifest)
        values = read_values({path: source}, open_location)[path][tuple(slice(*box) for box in part.source)]
        gained = metadata.ndim - values.ndim
        where = (0,) * gained + tuple(slice(*box) for box in part.target)
        chunk[where] = converted(values, own, metadata, f"{path!r} of {part.label}")
        covered += values.size
    place = np.unravel_index(parts[0].chunk, metadata.chunk_grid.grid_shape) if metadata.ndim else ()
    expected = math.prod(
        min(size, length - int(number) * size)
        for number, size, length in zip(place, metadata.chunk_shape, metadata.shape, strict=True)
    )
    if covered < expected and not rewriting.has_holes:
        raise IncompleteStoreError(
            f"chunk number {parts[0].chunk} of {path!r} is made of {expected:,} elements, and {covered:,} arrived, "
            f"those of {', '.join(part.label for part in parts)}. Way out: run again"
        )
    return encode_chunk(metadata, chunk)
