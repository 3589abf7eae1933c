"""TIFF and BigTIFF files, GeoTIFF and cloud-optimised ones among them."""

from vz_beam.parsers.tiff.parser import PARSER, TIFFParser

__all__ = ["PARSER", "TIFFParser"]
