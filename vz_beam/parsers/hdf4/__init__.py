"""HDF4 files: scientific data sets, HDF-EOS2 among them."""

from vz_beam.parsers.hdf4.parser import PARSER, HDF4Parser

__all__ = ["PARSER", "HDF4Parser"]
