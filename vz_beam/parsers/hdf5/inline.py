"""Chunks that references cannot express, decoded by libhdf5 and encoded as the array's codecs want them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from vz_beam.codecs.hdf5_library import load_filter
from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.types import VARIABLE_STRING

_IN_HEAP = "its strings are of variable length and lie in a heap of the file"


def inlined_chunks(
    did: h5d.DatasetID, metadata: ArrayMetadata, numbers: Iterable[int], limit_bytes: int | None, reason: str
) -> dict[int, bytes]:
    """The encoded bytes of the chunks ``numbers``, by number.

    Args:
        did: of the dataset.
        metadata: of the array that the chunks will belong to.
        numbers: C-order chunk numbers.
        limit_bytes: the most that may be inlined, decoded and encoded; ``None`` for any number.
        reason: why they cannot be references.

    Raises:
        UnsupportedError: more bytes than ``limit_bytes``.
    """
    numbers = list(numbers)
    if limit_bytes is not None and metadata.dtype != VARIABLE_STRING:
        _check(metadata.chunk_nbytes * len(numbers), limit_bytes, reason)
    dataset = h5py.Dataset(did)
    rank = len(dataset.shape)
    chunks: dict[int, bytes] = {}
    total = 0
    missing = _missing_filters(did)
    for number in numbers:
        where = _chunk_slices(metadata, number)
        try:
            decoded = dataset[where[:rank]] if rank else dataset[()]
        except OSError as error:
            raise UnsupportedError(
                f"{reason}, and libhdf5 does not decode it here either: {missing or error}"
            ) from error
        values = _fitted(decoded, metadata, where)
        chunks[number] = encode_chunk(metadata, values)
        total += len(chunks[number])
        if limit_bytes is not None:
            _check(total, limit_bytes, reason)
    return chunks


def check_strings(count: int, limit_bytes: int) -> None:
    """Raise where so many strings of variable length cannot be inlined, however short they are.

    Raises:
        UnsupportedError: more than ``limit_bytes``.
    """
    _check(count * 4, limit_bytes, _IN_HEAP)  # vlen-utf8 spends 4 bytes on each length


def inlined_strings(raw: NDArray[Any], metadata: ArrayMetadata, limit_bytes: int) -> dict[int, bytes]:
    """The one chunk of an array of variable-length strings; texts that are not UTF-8 are read as Latin-1.

    Args:
        raw: bytes, object[at most metadata.shape].
        metadata: of the array.
        limit_bytes: the most that may be inlined.

    Raises:
        UnsupportedError: more than ``limit_bytes``.
    """
    texts: NDArray[Any] = np.empty(metadata.shape, dtype=object)
    # Along a dimension that other variables have made longer, the rest is fill.
    texts[...] = metadata.fill_value or ""
    decoded: NDArray[Any] = np.empty(raw.shape, dtype=object)
    decoded.reshape(-1)[:] = [text_of(item) for item in raw.reshape(-1)]
    texts[tuple(slice(0, n) for n in raw.shape)] = decoded
    data = encode_chunk(metadata, texts.astype(VARIABLE_STRING))
    _check(len(data), limit_bytes, _IN_HEAP)
    return {0: data}


def _missing_filters(did: h5d.DatasetID) -> str:
    """Why libhdf5 cannot decode the dataset even with the filters of hdf5plugin, or nothing."""
    plist = did.get_create_plist()
    missing: list[str] = []
    for number in range(plist.get_nfilters()):
        try:
            load_filter(plist.get_filter(number)[0])
        except UnsupportedError as error:
            missing.append(str(error))
    return "; ".join(missing)


def _check(nbytes: int, limit_bytes: int, reason: str) -> None:
    if nbytes > limit_bytes:
        raise UnsupportedError(
            f"{reason}, and {nbytes} bytes are too many to keep in the store itself (inline_limit_bytes={limit_bytes})"
        )


def _chunk_slices(metadata: ArrayMetadata, number: int) -> tuple[slice, ...]:
    """The elements of a chunk that lie within the array."""
    grid_shape = metadata.chunk_grid.grid_shape
    place = np.unravel_index(number, grid_shape) if grid_shape else ()
    return tuple(
        slice(int(i) * c, min((int(i) + 1) * c, n))
        for i, c, n in zip(place, metadata.chunk_shape, metadata.shape, strict=True)
    )


def _fitted(values: Any, metadata: ArrayMetadata, where: tuple[slice, ...]) -> NDArray[Any]:
    """``values`` in the array's dtype; an unlimited dimension that the dataset does not fill is filled up."""
    array: NDArray[Any] = np.asarray(values)
    if array.dtype != metadata.dtype:
        array = array.astype(metadata.dtype)
    wanted = tuple(part.stop - part.start for part in where)
    if array.shape == wanted:
        return array
    fill = np.zeros((), metadata.dtype) if metadata.fill_value is None else metadata.fill_value
    filled: NDArray[Any] = np.full(wanted, fill, dtype=metadata.dtype)
    filled[tuple(slice(0, n) for n in array.shape)] = array
    return filled
