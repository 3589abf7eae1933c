"""TIFF files: the parser itself.

Source: TIFF 6.0; BigTIFF, http://bigtiff.org; OGC GeoTIFF 1.1, https://docs.ogc.org/is/19-008r4/19-008r4.html.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")


@dataclass(frozen=True, slots=True)
class TIFFParser(FileParser):
    """The images of a TIFF file as manifests.

    The first image is the variable ``image``. Images of the same size, type and compression that follow it are one
    array with it, along the dimension ``page``; others are ``image_2`` and so on. Reduced images (overviews) are in the
    groups ``overview_1`` and so on, largest first, and transparency masks are ``mask``. Strips or tiles are the chunks.
    A GeoTIFF has the coordinates ``x`` and ``y`` of its pixels' centres, and ``spatial_ref`` for the rest.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are all others.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
    """

    name: ClassVar[str] = "tiff"
    suffixes: ClassVar[tuple[str, ...]] = (".tif", ".tiff", ".gtiff", ".tf8", ".btf")
    title: ClassVar[str] = "TIFF, GeoTIFF, COG"
    reads: ClassVar[str] = (
        "classic and BigTIFF, strips and tiles, planes, predictors, all compressions that tifffile decodes, sparse "
        "tiles, overviews as groups, masks, several images; `x`, `y` and CRS of GeoTIFF, nodata, scale and offset"
    )

    def matches(self, head: bytes) -> bool:
        """Whether a file begins as TIFF does."""
        return head.startswith(_MAGIC)

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The images and attributes of ``source``.

        Raises:
            UnsupportedError: images that cannot be decoded.
            FormatError: a file that is damaged or no TIFF file.
            InputError: a group that is not there, or tifffile and imagecodecs are not installed.
        """
        reading = importlib.import_module("vz_beam.parsers.tiff.reading")  # needs numpy and tifffile, this module none
        found = reading.read_images(source, self.wants())
        group = found.nested(source.url, self.group, is_skipping=self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


PARSER = TIFFParser()
