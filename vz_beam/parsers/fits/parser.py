"""FITS files: the parser itself.

Source: FITS standard 4.0, https://fits.gsfc.nasa.gov/fits_standard.html.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource


@dataclass(frozen=True, slots=True)
class FITSParser(FileParser):
    """The images and tables of a FITS file as manifests, with the values that astropy gives.

    An image is a variable that is named as its HDU (``PRIMARY``, ``SCI``, ``SCI_2``), with the keywords of its header
    as attributes, those of WCS among them. Its axes are ``x`` (NAXIS1), ``y``, ``z``, ``axis_4`` and so on. A table is
    a group, and its columns are variables along ``row``.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are all others.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "fits"
    suffixes: ClassVar[tuple[str, ...]] = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fts.gz", ".fits.fz")
    title: ClassVar[str] = "FITS"
    reads: ClassVar[str] = (
        "images with BSCALE, BZERO and BLANK, unsigned integers, WCS keywords; tables, binary and in text; tiles "
        "compressed by RICE, GZIP, PLIO and HCOMPRESS; columns of variable length, random groups and tiles with scales "
        "of their own are refused by name, files that are gzip-ed as a whole too"
    )

    def matches(self, head: bytes) -> bool:
        """Whether a file begins as FITS does."""
        return head.startswith(b"SIMPLE  =")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The images, tables and attributes of ``source``.

        Raises:
            UnsupportedError: what references cannot express; a file that is compressed as a whole.
            FormatError: a file that is damaged or no FITS file.
            InputError: a group that is not there, or astropy is not installed.
        """
        reading = importlib.import_module("vz_beam.parsers.fits.reading")  # needs numpy and astropy, this module none
        found = reading.read_file(source, self.wants())
        group = found.nested(source.url, self.group, is_skipping=self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


PARSER = FITSParser()
