"""Every byte read or written: sources, sinks, listing, and the Zarr store that reads through manifests.

Names load when they are first used, so that reading bytes does not wait for zarr.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vz_beam.storage.block_cache import BlockCache
    from vz_beam.storage.byte_sink import ByteSink, open_sink
    from vz_beam.storage.byte_source import ByteSource, open_source
    from vz_beam.storage.glob_pattern import pattern_from_glob
    from vz_beam.storage.identity import Identity
    from vz_beam.storage.listing import list_files
    from vz_beam.storage.manifest_store import ManifestStore
    from vz_beam.storage.registry import PrefixRegistry, Registry
    from vz_beam.storage.request_log import RequestLog
    from vz_beam.storage.source_file import SourceFile
    from vz_beam.storage.urls import canonical_url

_MODULES = {
    "BlockCache": "block_cache",
    "ByteSink": "byte_sink",
    "ByteSource": "byte_source",
    "Identity": "identity",
    "ManifestStore": "manifest_store",
    "PrefixRegistry": "registry",
    "Registry": "registry",
    "RequestLog": "request_log",
    "SourceFile": "source_file",
    "canonical_url": "urls",
    "list_files": "listing",
    "open_sink": "byte_sink",
    "open_source": "byte_source",
    "pattern_from_glob": "glob_pattern",
}

__all__ = [
    "BlockCache",
    "ByteSink",
    "ByteSource",
    "Identity",
    "ManifestStore",
    "PrefixRegistry",
    "Registry",
    "RequestLog",
    "SourceFile",
    "canonical_url",
    "list_files",
    "open_sink",
    "open_source",
    "pattern_from_glob",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
