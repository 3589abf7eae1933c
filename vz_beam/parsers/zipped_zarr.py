"""Zarr stores in a zip file: the parser itself.

Source: Zarr specifications as of :mod:`vz_beam.parsers.zarr`; .ZIP File Format Specification (APPNOTE 6.3).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.errors import FormatError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource

_DOCUMENTS = (b".zgroup", b".zarray", b".zattrs", b".zmetadata", b"zarr.json")


@dataclass(frozen=True, slots=True)
class ZippedZarrParser(FileParser):
    """Zarr stores in a zip file as manifests: chunks are members, which may be deflated.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are all others.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "zipped-zarr"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr.zip", ".zip")
    title: ClassVar[str] = "Zarr in zip files"
    reads: ClassVar[str] = "as Zarr, from members that are stored as they are, or all of an array deflated; ZIP64"

    def matches(self, head: bytes) -> bool:
        """Whether a zip file begins with members that Zarr stores have."""
        return head.startswith(b"PK\x03\x04") and any(name in head for name in _DOCUMENTS)

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The arrays, groups and attributes of the store in the file ``source``.

        Raises:
            UnsupportedError: arrays that references cannot express.
            FormatError: no zip file with a Zarr store, or a damaged one.
            InputError: a group that is not there.
        """
        if not source.size():
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        reading = importlib.import_module("vz_beam.parsers.zarr_stores.reading")
        keys = importlib.import_module("vz_beam.parsers.zarr_stores.keys").ZipKeys(source)
        choices = importlib.import_module("vz_beam.parsers.kerchunk.store_group").choices_of(
            self.group, (self.skip_variables, self.drop_variables), self.unsupported
        )
        group = reading.read_store(keys, choices)
        assert isinstance(group, ManifestGroup)
        return group


PARSER = ZippedZarrParser()
