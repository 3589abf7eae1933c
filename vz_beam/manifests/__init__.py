"""What a virtual array is: chunk grids, chunk manifests, manifest arrays and groups. No input or output.

``ManifestStore`` can be had from here because VirtualiZarr's users look for it here; it reads, and lies in ``storage``.

Names are loaded when they are first used, and with them how xarray reindexes and loads virtual arrays: modules of this
package that are imported by themselves load no xarray, which takes longer than to look at the first bytes of a file.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors, which do not call __getattr__
    from vz_beam.manifests.array import ManifestArray
    from vz_beam.manifests.chunk_entry import ChunkEntry
    from vz_beam.manifests.chunk_grid import ChunkGrid
    from vz_beam.manifests.chunk_manifest import ChunkManifest
    from vz_beam.manifests.chunk_selection import SubChunkIndexingError
    from vz_beam.manifests.group import ManifestGroup
    from vz_beam.manifests.metadata import ArrayMetadata, Codec
    from vz_beam.manifests.rechunking import rechunked
    from vz_beam.manifests.reindexing import reindex_array
    from vz_beam.manifests.store import ManifestStore

_HOMES = {
    "ArrayMetadata": "metadata",
    "ChunkEntry": "chunk_entry",
    "ChunkGrid": "chunk_grid",
    "ChunkManifest": "chunk_manifest",
    "Codec": "metadata",
    "ManifestArray": "array",
    "ManifestGroup": "group",
    "ManifestStore": "store",
    "SubChunkIndexingError": "chunk_selection",
    "rechunked": "rechunking",
    "reindex_array": "reindexing",
}

__all__ = [
    "ArrayMetadata",
    "ChunkEntry",
    "ChunkGrid",
    "ChunkManifest",
    "Codec",
    "ManifestArray",
    "ManifestGroup",
    "ManifestStore",
    "SubChunkIndexingError",
    "rechunked",
    "reindex_array",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vz_beam.manifests' has no attribute {name!r}")
    for hook in ("reindexing", "loading"):
        importlib.import_module(f"vz_beam.manifests.{hook}")
    value = getattr(importlib.import_module(f"vz_beam.manifests.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
