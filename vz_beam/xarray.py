"""The functions that open files, under the module name that VirtualiZarr's users import them by."""

from vz_beam.datasets.opening import open_virtual_dataset, open_virtual_datatree
from vz_beam.datasets.opening_many import open_virtual_mfdataset, open_virtual_mfdatatree

__all__ = ["open_virtual_dataset", "open_virtual_datatree", "open_virtual_mfdataset", "open_virtual_mfdatatree"]
