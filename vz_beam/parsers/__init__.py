"""Bytes in, manifests out: one module, or folder, for each format. A module that defines ``PARSER`` is a parser.

The classes of these parsers can be had from here, by their names: ``vz_beam.parsers.HDFParser``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vz_beam.plugins import find_plugins

if TYPE_CHECKING:  # for type checkers and editors, which do not call __getattr__
    from vz_beam.parsers.dmrpp import DMRPPParser as DMRPPParser
    from vz_beam.parsers.fits import FITSParser as FITSParser
    from vz_beam.parsers.grib import GRIBParser as GRIBParser
    from vz_beam.parsers.hdf4 import HDF4Parser as HDF4Parser
    from vz_beam.parsers.hdf5 import HDFParser as HDFParser
    from vz_beam.parsers.icechunk import IcechunkParser as IcechunkParser
    from vz_beam.parsers.kerchunk_json import KerchunkJSONParser as KerchunkJSONParser
    from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser as KerchunkParquetParser
    from vz_beam.parsers.netcdf3 import NetCDF3Parser as NetCDF3Parser
    from vz_beam.parsers.tiff import TIFFParser as TIFFParser
    from vz_beam.parsers.zarr import ZarrParser as ZarrParser
    from vz_beam.parsers.zipped_zarr import ZippedZarrParser as ZippedZarrParser


def __getattr__(name: str) -> Any:
    if name.endswith("Parser") and name != "Parser":
        for parser in find_plugins(__name__, "PARSER", __name__).found.values():
            if type(parser).__name__ == name:
                return type(parser)
    if name in ("Parser", "ReaderFactory"):
        return getattr(importlib.import_module(f"{__name__}.typing"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
