"""The encoded chunk that stands where a chunk is missing and the format cannot say what it reads as."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v2 import shown_fill, shows_storage_fill

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
    dtype = np.dtype(object) if metadata.dtype.kind in "OT" else metadata.dtype
    full: NDArray[Any] = np.full(metadata.chunk_shape, metadata.fill_value, dtype)
    try:
        encoded = encode_chunk(metadata, full)
    except (UnsupportedError, ValueError, TypeError, NotImplementedError) as error:
        raise UnsupportedError(
            f"variable {path!r}: {_difference(metadata)}, and no chunk of that value can be made ({error}). "
            f"Way out: drop the variable (drop_variables=[{path!r}])"
        ) from error
    if len(encoded) > MAX_FILL_CHUNK_BYTES:
        raise _too_large(metadata, path, len(encoded))
    return encoded


def _difference(metadata: ArrayMetadata) -> str:
    stored, shown = metadata.fill_value, shown_fill(metadata)
    return f"chunks that were never written read as {stored!r} in the source and as {shown!r} in the store"


def _too_large(metadata: ArrayMetadata, path: str, nbytes: int) -> UnsupportedError:
    return UnsupportedError(
        f"variable {path!r}: {_difference(metadata)}, and a chunk of that value, of shape "
        f"{metadata.chunk_shape}, takes {nbytes:,} bytes, more than the {MAX_FILL_CHUNK_BYTES:,} that may be inlined. "
        f"Way out: drop the variable (drop_variables=[{path!r}]) or load it (loadable_variables=[{path!r}])"
    )
