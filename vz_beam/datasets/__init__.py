"""The xarray face: files opened as virtual datasets, and what can be done with these."""

from vz_beam.datasets.accessor import VirtualDatasetAccessor
from vz_beam.datasets.converting import convert_store
from vz_beam.datasets.opening import open_virtual_dataset, open_virtual_datatree
from vz_beam.datasets.opening_many import open_virtual_mfdataset, open_virtual_mfdatatree
from vz_beam.datasets.verification import verify_store
from vz_beam.datasets.virtualizarr import from_virtualizarr, to_virtualizarr

__all__ = [
    "VirtualDatasetAccessor",
    "convert_store",
    "from_virtualizarr",
    "open_virtual_dataset",
    "open_virtual_datatree",
    "open_virtual_mfdataset",
    "open_virtual_mfdatatree",
    "to_virtualizarr",
    "verify_store",
]
