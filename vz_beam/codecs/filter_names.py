"""The HDF5 filters that :mod:`vz_beam.codecs.hdf5_filter` decodes, by number, and the one package some of them need.

Source: the HDF Group's list of registered filter plugins.
"""

from __future__ import annotations

from vz_beam.manifests.decoding import BITSHUFFLE, BLOSC2, HDF5_FILTER, LZ4, SZIP

__all__ = [
    "ALSO_IN_HDF5PLUGIN",
    "BITSHUFFLE",
    "BLOSC2",
    "DECODED_HERE",
    "FILTER_NAMES",
    "HDF5_FILTER",
    "HTJ2K",
    "IN_HDF5PLUGIN",
    "IN_LIBHDF5",
    "LZ4",
    "NBIT",
    "SCALEOFFSET",
    "SHUFFLE",
    "SZIP",
    "ZFP",
]

SHUFFLE = 2
NBIT = 5
SCALEOFFSET = 6
ZFP = 32013
HTJ2K = 32033

DECODED_HERE = {SHUFFLE: "shuffle", LZ4: "LZ4", BITSHUFFLE: "bitshuffle"}
"""By numpy and numcodecs. Damaged bitshuffle chunks crashed libhdf5 (28 of 400, hdf5plugin 7.1), and the codec
``numcodecs.shuffle`` refuses chunks that are no whole number of elements, which alone go through this one."""
IN_LIBHDF5 = {SZIP: "szip", NBIT: "nbit", SCALEOFFSET: "scaleoffset"}
"""By libhdf5 as h5py has it."""
IN_HDF5PLUGIN = {
    ZFP: "ZFP",
    32017: "SZ",
    32018: "FCIDECOMP",
    32024: "SZ3",
    BLOSC2: "Blosc2",
    32028: "SPERR",
    HTJ2K: "HTJ2K",
}
"""By libhdf5 once the package ``hdf5plugin`` has given it the filter."""
ALSO_IN_HDF5PLUGIN = frozenset([307, 32001, LZ4, BITSHUFFLE, 32015])
"""What h5py needs that package for, and a reader of a store does not: bzip2, Blosc, LZ4, bitshuffle, Zstandard."""
FILTER_NAMES = {**DECODED_HERE, **IN_LIBHDF5, **IN_HDF5PLUGIN}
