"""One encoded chunk that holds nothing but the fill value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata

MAX_FULL_CHUNK_BYTES = 16 * 2**20
"""Encoded size above which it is refused: it stands in a store for many chunks."""
MAX_DECODED_BYTES = 2**30
"""Decoded size above which it is not built: it would take more memory than a worker may have."""


def full_chunk(metadata: ArrayMetadata) -> bytes:
    """A chunk of the array, all of whose elements are its fill value, as the codecs encode it.

    Raises:
        UnsupportedError: the chunk is too large to stand in a store, or its codec cannot encode.
    """
    decoded_nbytes = metadata.chunk_nbytes
    if decoded_nbytes > (MAX_DECODED_BYTES if metadata.codecs else MAX_FULL_CHUNK_BYTES):
        raise _too_large(metadata, decoded_nbytes)
    dtype = np.dtype(object) if metadata.dtype.kind in "OT" else metadata.dtype
    full: NDArray[Any] = np.full(metadata.chunk_shape, metadata.fill_value, dtype)
    try:
        encoded = encode_chunk(metadata, full)
    except (UnsupportedError, ValueError, TypeError, NotImplementedError) as error:
        raise UnsupportedError(f"no chunk of that value can be made ({error})") from error
    if len(encoded) > MAX_FULL_CHUNK_BYTES:
        raise _too_large(metadata, len(encoded))
    return encoded


def _too_large(metadata: ArrayMetadata, nbytes: int) -> UnsupportedError:
    return UnsupportedError(
        f"a chunk of that value, of shape {metadata.chunk_shape}, takes {nbytes:,} bytes, more than the "
        f"{MAX_FULL_CHUNK_BYTES:,} that may be inlined"
    )
