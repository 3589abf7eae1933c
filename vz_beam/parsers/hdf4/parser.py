"""HDF4 files: the parser itself.

Source: HDF4 Specification and Developer's Guide, https://support.hdfgroup.org/documentation/hdf4/latest/.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource


@dataclass(frozen=True, slots=True)
class HDF4Parser(FileParser):
    """The scientific data sets (SDS) of an HDF4 file as manifests.

    Variables have the names, dimensions and attributes that the SD interface shows; those of one name are told apart by
    the Vgroup that holds them. Vdatas and raster images are refused by name.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are all others.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "hdf4"
    suffixes: ClassVar[tuple[str, ...]] = (".hdf", ".hdf4", ".h4")
    title: ClassVar[str] = "HDF4, HDF-EOS2"
    reads: ClassVar[str] = (
        "data sets contiguous, chunked and in linked blocks; deflate, RLE, skipping Huffman and n-bit; names of "
        "dimensions, attributes, fill values, both byte orders; szip, vdatas and raster images are refused by name"
    )

    def matches(self, head: bytes) -> bool:
        """Whether a file begins as HDF4 does."""
        return head.startswith(b"\x0e\x03\x13\x01")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The data sets and attributes of ``source``.

        Raises:
            UnsupportedError: what references cannot express.
            FormatError: a file that is damaged or no HDF4 file; TruncatedFileError where it is too short.
            InputError: a group that is not there.
        """
        reading = importlib.import_module("vz_beam.parsers.hdf4.reading")  # here, as other parsers do it
        found = reading.read_file(source, self.wants())
        group = found.nested(source.url, self.group, is_skipping=self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


PARSER = HDF4Parser()
