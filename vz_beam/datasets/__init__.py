"""The xarray face: files opened as virtual datasets, and what can be done with these."""

from vz_beam.datasets.accessor import VirtualDatasetAccessor
from vz_beam.datasets.opening import open_virtual_dataset, open_virtual_datatree

__all__ = ["VirtualDatasetAccessor", "open_virtual_dataset", "open_virtual_datatree"]
