"""The encoded chunk that stands where a chunk is missing and the format cannot say what it reads as."""

from __future__ import annotations

import math
from typing import Any

import numcodecs
import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v2 import array_filters, shown_fill, shows_storage_fill, stored_dtype

MAX_FILL_CHUNK_BYTES = 16 * 2**20
"""Encoded size above which a fill chunk is refused: it stands in the store for every missing chunk of the array."""
MAX_DECODED_BYTES = 2**30
"""Decoded size above which a fill chunk is not built: it would take more memory than a worker may have."""


def fill_chunk(metadata: ArrayMetadata, path: str) -> bytes | None:
    """One encoded chunk full of the storage fill; ``None`` where a missing chunk reads as that anyway.

    Zarr v2 readers show the CF fill, or 0, for a missing chunk, while the source says the storage fill.

    Raises:
        UnsupportedError: the chunk is too large to stand in the store, or its codec cannot encode.
    """
    if shows_storage_fill(metadata):
        return None
    decoded_nbytes = metadata.chunk_nbytes
    if decoded_nbytes > (MAX_DECODED_BYTES if metadata.codecs else MAX_FILL_CHUNK_BYTES):
        raise _too_large(metadata, path, decoded_nbytes)
    data: Any = _full(metadata)
    for configuration in array_filters(metadata):
        try:
            data = numcodecs.get_codec(configuration).encode(data)
        except (ValueError, NotImplementedError, TypeError) as error:
            raise UnsupportedError(
                f"variable {path!r}: chunks that were never written read as {metadata.fill_value!r} in the source and as "
                f"{shown_fill(metadata)!r} in the store, and no chunk of that value can be made with codec "
                f"{configuration['id']!r} ({error}). Way out: drop the variable (drop_variables=[{path!r}])"
            ) from error
    encoded = data.tobytes() if isinstance(data, np.ndarray) else bytes(data)
    if len(encoded) > MAX_FILL_CHUNK_BYTES:
        raise _too_large(metadata, path, len(encoded))
    return encoded


def _full(metadata: ArrayMetadata) -> NDArray[Any]:
    if metadata.dtype.kind in "OT":
        return np.full(math.prod(metadata.chunk_shape), metadata.fill_value, object)
    return np.full(metadata.chunk_shape, metadata.fill_value, stored_dtype(metadata))


def _too_large(metadata: ArrayMetadata, path: str, nbytes: int) -> UnsupportedError:
    return UnsupportedError(
        f"variable {path!r}: chunks of shape {metadata.chunk_shape} that were never written read as "
        f"{metadata.fill_value!r} in the source and as {shown_fill(metadata)!r} in the store, and a chunk of that value "
        f"takes {nbytes:,} bytes, more than the {MAX_FILL_CHUNK_BYTES:,} that may be inlined. "
        f"Way out: drop the variable (drop_variables=[{path!r}]) or load it (loadable_variables=[{path!r}])"
    )
