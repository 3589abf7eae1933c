"""HDF5 and netCDF-4 files, read by h5py: headers and chunk indexes, never chunks."""

from vz_beam.parsers.hdf5.parser import PARSER, HDFParser

__all__ = ["PARSER", "HDFParser"]
