"""Icechunk repositories of ours, read by icechunk, and all that is in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import icechunk

from tests.icechunk_stores import access_to
from vz_beam.manifests.chunk_manifest import INLINED, MISSING
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.zarr_v3 import to_v3
from vz_beam.parsers.icechunk import IcechunkParser
from vz_beam.storage.folder_source import open_file_or_folder


def opened(url: str | Path) -> icechunk.Repository:
    storage = icechunk.local_filesystem_storage(str(url))
    prefixes = icechunk.Repository.open(storage).config.virtual_chunk_containers or {}
    return icechunk.Repository.open(storage, authorize_virtual_chunk_access=access_to(prefixes))


def store_of(url: str | Path) -> icechunk.IcechunkStore:
    return opened(url).readonly_session("main").store


def contents(path: Path) -> dict[str, Any]:
    """Metadata and references of each array; chunks in the repository by their bytes, since their names differ."""
    return dict(_contents(IcechunkParser().parse(open_file_or_folder(path)), ""))


def _contents(group: ManifestGroup, path: str) -> Iterator[tuple[str, Any]]:
    yield f"{path}/", group.attributes
    for name, array in group.arrays.items():
        manifest = array.manifest
        chunks: list[Any] = []
        columns = (manifest.location_ids, manifest.offsets, manifest.lengths)
        for number, (place, offset, length) in enumerate(zip(*(c.ravel().tolist() for c in columns), strict=True)):
            if place == MISSING:
                chunks.append(None)
            elif place == INLINED:
                chunks.append(manifest.inlined[number])
            elif "/chunks/" in manifest.locations[place]:
                with open(manifest.locations[place].removeprefix("file://"), "rb") as file:
                    chunks.append(file.read())
            else:
                chunks.append((manifest.locations[place], offset, length))
        yield f"{path}/{name}", (to_v3(array.metadata), chunks)
    for name, member in group.groups.items():
        yield from _contents(member, f"{path}/{name}")
