"""What a virtual array is: chunk grids, chunk manifests, manifest arrays and groups. No input or output."""

from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_entry import ChunkEntry
from vz_beam.manifests.chunk_grid import ChunkGrid
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.chunk_selection import SubChunkIndexingError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.rechunking import rechunked
from vz_beam.manifests.reindexing import reindex_array

__all__ = [
    "ArrayMetadata",
    "ChunkEntry",
    "ChunkGrid",
    "ChunkManifest",
    "Codec",
    "ManifestArray",
    "ManifestGroup",
    "SubChunkIndexingError",
    "rechunked",
    "reindex_array",
]
