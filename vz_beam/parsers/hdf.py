"""``HDFParser`` under the module name that VirtualiZarr's users import it by; the format's own folder is ``hdf5``."""

from vz_beam.parsers.hdf5.parser import HDFParser

__all__ = ["HDFParser"]
