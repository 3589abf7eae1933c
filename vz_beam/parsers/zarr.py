"""Zarr stores that are folders or prefixes: the parser itself.

Source: https://zarr-specs.readthedocs.io, Zarr v2 and v3.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.errors import FormatError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import FolderSource


@dataclass(frozen=True, slots=True)
class ZarrParser(FileParser):
    """Zarr stores of versions 2 and 3 as manifests: each chunk is a file of its own, or a part of a shard.

    The folder is listed once, which tells the sizes of all chunks. Chunks inside shards are references where the index
    of a shard can be read, which is a request for each; else whole shards are.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are all others.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr", ".zarr2", ".zarr3")
    title: ClassVar[str] = "Zarr"
    reads: ClassVar[str] = (
        "versions 2 and 3, both encodings of keys, consolidated or not, groups, order F, missing chunks; chunks inside "
        "shards; chunk manifests, as vz_beam writes them; other stores on servers of http, which cannot be listed, are "
        "refused"
    )

    def matches(self, head: bytes) -> bool:
        """Whether the document that marks a folder is one of Zarr."""
        if not head.lstrip().startswith(b"{") or b'"record_size"' in head or b"zarr_" not in head:
            return False
        try:
            document = json.loads(head)
        except ValueError:
            return False
        return isinstance(document, dict) and ("zarr_format" in document or "zarr_consolidated_format" in document)

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The arrays, groups and attributes of the folder ``source``.

        Raises:
            UnsupportedError: arrays that references cannot express.
            FormatError: no Zarr store, or a damaged one.
            InputError: a group that is not there, or a folder that cannot be listed.
        """
        if not source.size():
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        if not isinstance(source, FolderSource):
            raise FormatError(f"{source.url} is a file, and a Zarr store is a folder. Way out: name the folder")
        reading = importlib.import_module("vz_beam.parsers.zarr_stores.reading")
        choices = importlib.import_module("vz_beam.parsers.kerchunk.store_group").choices_of(
            self.group, (self.skip_variables, self.drop_variables), self.unsupported
        )
        group = reading.read_folder(source, choices)
        assert isinstance(group, ManifestGroup)
        return group


PARSER = ZarrParser()
