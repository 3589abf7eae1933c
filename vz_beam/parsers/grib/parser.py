"""GRIB files: the parser itself.

Source: WMO Manual on Codes, FM 92 GRIB; https://confluence.ecmwf.int/display/ECC; cfgrib for how cubes are called.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource

_MAGIC = b"GRIB"
_BULLETIN_BYTES = 200
"""A file may begin with the header of a bulletin, as it came over the wire."""


@dataclass(frozen=True, slots=True)
class GRIBParser(FileParser):
    """The fields of a GRIB file as manifests, in the cubes that cfgrib makes of them.

    A message is a chunk. Fields of one parameter, kind of level, kind of step and grid are a variable, which is called
    as cfgrib calls it, over ``time``, ``step``, and those of ``number`` and the level (``isobaricInhPa``) that have
    several values; the others are scalar coordinates. Regular grids have one-dimensional ``latitude`` and
    ``longitude``, others two-dimensional ones over ``y`` and ``x``, or one-dimensional ones over ``values``, decoded
    from the messages' headers. Variables whose coordinates differ are in groups that are called after their kind of
    level; fields that are repeated are a variable of their own.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are all others.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "grib"
    suffixes: ClassVar[tuple[str, ...]] = (".grib", ".grib1", ".grib2", ".grb", ".grb1", ".grb2", ".gb2")
    title: ClassVar[str] = "GRIB 1 and 2"
    reads: ClassVar[str] = (
        "all packings and grids that ecCodes decodes, several fields in a message, bytes between messages; cubes and "
        "names as cfgrib's, in groups by kind of level where they differ; points without a value are NaN"
    )

    def matches(self, head: bytes) -> bool:
        """Whether a message begins at the start of a file, or behind a short header."""
        place = head.find(_MAGIC, 0, _BULLETIN_BYTES)
        return place >= 0 and head[place + 7 : place + 8] in (b"\x01", b"\x02")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables and coordinates of ``source``.

        Raises:
            UnsupportedError: fields that ecCodes does not know.
            FormatError: a file that is damaged or no GRIB file.
            InputError: a group that is not there, or eccodes is not installed.
        """
        reading = importlib.import_module("vz_beam.parsers.grib.reading")  # needs numpy and eccodes, this module none
        found = reading.read_fields(source, self.wants())
        group = found.nested(source.url, self.group, is_skipping=self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


PARSER = GRIBParser()
