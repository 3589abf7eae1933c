"""FITS files: images, tables, and images that are compressed in tiles."""

from vz_beam.parsers.fits.parser import PARSER, FITSParser

__all__ = ["PARSER", "FITSParser"]
