"""vz_beam: archives of scientific files as one virtual Zarr store, written by Apache Beam transforms.

Names are loaded when they are first used: ``import vz_beam`` loads neither Beam nor any format library.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "ChunkEntry": "manifests",
    "ChunkManifest": "manifests",
    "CombineManifests": "transforms",
    "ConcatDim": "patterns",
    "FilePattern": "patterns",
    "DMRPPParser": "parsers.dmrpp",
    "FITSParser": "parsers.fits",
    "GRIBParser": "parsers.grib",
    "HDF4Parser": "parsers.hdf4",
    "HDFParser": "parsers.hdf5",
    "Index": "patterns",
    "IcechunkParser": "parsers.icechunk",
    "KerchunkJSONParser": "parsers.kerchunk_json",
    "KerchunkParquetParser": "parsers.kerchunk_parquet",
    "ManifestArray": "manifests",
    "ManifestGroup": "manifests",
    "ManifestStore": "storage.manifest_store",
    "MergeDim": "patterns",
    "NetCDF3Parser": "parsers.netcdf3",
    "TIFFParser": "parsers.tiff",
    "ZarrParser": "parsers.zarr",
    "ZippedZarrParser": "parsers.zipped_zarr",
    "OpenWithVirtualizarr": "transforms",
    "StoreSummary": "writers.store_summary",
    "VerifyReferences": "transforms",
    "WriteReferences": "transforms",
    "build": "transforms",
    "convert_store": "datasets",
    "from_virtualizarr": "datasets",
    "local_runner": "transforms",
    "open_virtual_dataset": "datasets",
    "open_virtual_datatree": "datasets",
    "open_virtual_mfdataset": "datasets",
    "open_virtual_mfdatatree": "datasets",
    "pattern_from_file_sequence": "patterns",
    "plan_build": "transforms",
    "watch": "transforms",
    "pattern_from_glob": "storage.glob_pattern",
    "to_virtualizarr": "datasets",
    "verify_store": "datasets",
}
"""The folder or module of each public name."""

__all__ = [
    "ChunkEntry",
    "ChunkManifest",
    "CombineManifests",
    "ConcatDim",
    "DMRPPParser",
    "FITSParser",
    "FilePattern",
    "GRIBParser",
    "HDF4Parser",
    "HDFParser",
    "IcechunkParser",
    "Index",
    "KerchunkJSONParser",
    "KerchunkParquetParser",
    "ManifestArray",
    "ManifestGroup",
    "ManifestStore",
    "MergeDim",
    "NetCDF3Parser",
    "OpenWithVirtualizarr",
    "StoreSummary",
    "TIFFParser",
    "VerifyReferences",
    "WriteReferences",
    "ZarrParser",
    "ZippedZarrParser",
    "build",
    "convert_store",
    "from_virtualizarr",
    "local_runner",
    "open_virtual_dataset",
    "open_virtual_datatree",
    "open_virtual_mfdataset",
    "open_virtual_mfdatatree",
    "pattern_from_file_sequence",
    "pattern_from_glob",
    "plan_build",
    "to_virtualizarr",
    "verify_store",
    "watch",
]

if TYPE_CHECKING:  # for type checkers and editors, which do not call __getattr__
    from vz_beam.datasets import (
        convert_store,
        from_virtualizarr,
        open_virtual_dataset,
        open_virtual_datatree,
        open_virtual_mfdataset,
        open_virtual_mfdatatree,
        to_virtualizarr,
        verify_store,
    )
    from vz_beam.manifests import ChunkEntry, ChunkManifest, ManifestArray, ManifestGroup
    from vz_beam.parsers.dmrpp import DMRPPParser
    from vz_beam.parsers.fits import FITSParser
    from vz_beam.parsers.grib import GRIBParser
    from vz_beam.parsers.hdf4 import HDF4Parser
    from vz_beam.parsers.hdf5 import HDFParser
    from vz_beam.parsers.icechunk import IcechunkParser
    from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
    from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
    from vz_beam.parsers.netcdf3 import NetCDF3Parser
    from vz_beam.parsers.tiff import TIFFParser
    from vz_beam.parsers.zarr import ZarrParser
    from vz_beam.parsers.zipped_zarr import ZippedZarrParser
    from vz_beam.patterns import ConcatDim, FilePattern, Index, MergeDim, pattern_from_file_sequence
    from vz_beam.storage.glob_pattern import pattern_from_glob
    from vz_beam.storage.manifest_store import ManifestStore
    from vz_beam.transforms import (
        CombineManifests,
        OpenWithVirtualizarr,
        VerifyReferences,
        WriteReferences,
        build,
        local_runner,
        plan_build,
        watch,
    )
    from vz_beam.writers.store_summary import StoreSummary


def _offer_accessors() -> None:
    """Give datasets and trees of xarray ``vz``, where xarray is loaded, without loading what is behind it."""
    xarray = sys.modules.get("xarray")
    for kind, name, register, accessor in (
        ("Dataset", "vz", "register_dataset_accessor", "VirtualDatasetAccessor"),
        ("DataTree", "vz", "register_datatree_accessor", "VirtualDataTreeAccessor"),
        ("Dataset", "virtualize", "register_dataset_accessor", "deprecated_dataset_accessor"),
        ("DataTree", "virtualize", "register_datatree_accessor", "deprecated_datatree_accessor"),
    ):
        if hasattr(xarray, register) and not hasattr(getattr(xarray, kind), name):
            getattr(xarray, register)(name)(partial(_accessor, accessor))


def _accessor(name: str, data: Any) -> Any:
    return getattr(importlib.import_module("vz_beam.datasets.accessor"), name)(data)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        if name.startswith("_") or importlib.util.find_spec(f"vz_beam.{name}") is None:
            raise AttributeError(f"module 'vz_beam' has no attribute {name!r}")
        return importlib.import_module(f"vz_beam.{name}")
    _offer_accessors()
    value = getattr(importlib.import_module(f"vz_beam.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


_offer_accessors()
