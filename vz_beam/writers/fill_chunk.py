"""The encoded chunk that stands where a chunk is missing and the format cannot say what it reads as."""

from __future__ import annotations

from vz_beam.codecs.full_chunk import full_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.cf_fill import shown_fill
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v2 import shows_storage_fill


def fill_chunk(metadata: ArrayMetadata, path: str) -> bytes | None:
    """One encoded chunk full of the storage fill; ``None`` where a missing chunk reads as that anyway.

    Zarr v2 readers show the CF fill, or 0, for a missing chunk, while the source says the storage fill.

    Raises:
        UnsupportedError: the chunk is too large to stand in the store, or its codec cannot encode.
    """
    if shows_storage_fill(metadata):
        return None
    try:
        return full_chunk(metadata)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"variable {path!r}: chunks that were never written read as {metadata.fill_value!r} in the source and as "
            f"{shown_fill(metadata)!r} in the store, and {error}. "
            f"Way out: drop the variable (drop_variables=[{path!r}]) or load it (loadable_variables=[{path!r}])"
        ) from error
