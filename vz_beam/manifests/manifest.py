"""The chunk manifest under the module name that VirtualiZarr's parsers import it by."""

from vz_beam.manifests.chunk_entry import ChunkEntry
from vz_beam.manifests.chunk_entry import chunk_key as join
from vz_beam.manifests.chunk_manifest import ChunkManifest

__all__ = ["ChunkEntry", "ChunkManifest", "join"]
