"""NetCDF classic files: the parser itself.

Source: NetCDF classic format specification,
https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.errors import InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource


@dataclass(frozen=True, slots=True)
class NetCDF3Parser(FileParser):
    """Files of the netCDF classic formats (CDF-1, CDF-2, CDF-5) as manifests.

    A variable without the record dimension is one chunk. Of the others each record is a chunk, or where a file has one
    such variable, whose records follow each other, all of them are. Characters stay characters (``S1``), as in the
    file; xarray joins them to text when it decodes.

    Args:
        group: ``None`` or ``"/"``: these files have no groups. The others are those of
            :class:`vz_beam.parsers.file_parser.FileParser`.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "netcdf3"
    suffixes: ClassVar[tuple[str, ...]] = (".nc3", ".nc5")
    title: ClassVar[str] = "netCDF-3"
    reads: ClassVar[str] = (
        "classic, 64-bit offset and CDF-5; each record of a variable is a chunk, or all are one where they follow "
        "each other; values beyond the end of the file are refused"
    )

    def matches(self, head: bytes) -> bool:
        """Whether a file begins with ``CDF`` and a version that there is."""
        return head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables and attributes of ``source``.

        Raises:
            UnsupportedError: variables that references cannot express.
            FormatError: a file that is damaged or no netCDF classic file; TruncatedFileError where it is too short.
            InputError: a group is asked for.
        """
        if (self.group or "").strip("/"):
            raise InputError(f"{source.url}: group={self.group!r}: a netCDF classic file has no groups")
        reading = importlib.import_module("vz_beam.parsers.netcdf3.reading")  # here, as other parsers do it
        group = reading.read_group(source, self.wants(), self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


PARSER = NetCDF3Parser()
