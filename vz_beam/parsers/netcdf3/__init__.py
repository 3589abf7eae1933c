"""The netCDF classic formats, CDF-1, CDF-2 and CDF-5: headers are read, never values."""

from vz_beam.parsers.netcdf3.parser import PARSER, NetCDF3Parser

__all__ = ["PARSER", "NetCDF3Parser"]
