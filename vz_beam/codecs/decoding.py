"""What a reader needs to decode; and which codecs decode alike, from where all steps may ask it."""

from __future__ import annotations

from collections.abc import Iterable

from vz_beam.codecs.filter_names import HDF5_FILTER, IN_HDF5PLUGIN
from vz_beam.manifests.decoding import decodes_alike, decoding_of
from vz_beam.manifests.metadata import Codec

__all__ = ["decodes_alike", "decoding_of", "required_packages"]

_IN_ZARR = frozenset(["bytes", "vlen-utf8", "vlen-bytes", "gzip", "zstd", "blosc", "crc32c", "transpose"])
_OWNERS = {"numcodecs": "", "vz_beam": "vz_beam", "imagecodecs": "imagecodecs"}
"""First part of a codec's name to the package that a reader must import beyond zarr and numcodecs."""

_DECODERS = {
    "vz_beam.fits_tile": ("astropy",),
    "vz_beam.grib": ("eccodes",),
    "vz_beam.tiff": ("imagecodecs", "tifffile"),
}
"""Packages by which codecs of ours decode."""


def required_packages(codecs: Iterable[Codec]) -> tuple[str, ...]:
    """The packages that a reader needs beyond zarr and numcodecs, sorted.

    >>> required_packages([Codec("numcodecs.zlib"), Codec("vz_beam.lzf", {"nbytes": 8})])
    ('vz_beam',)
    """
    codecs = tuple(codecs)
    packages = {_owner(codec.name) for codec in codecs if codec.name not in _IN_ZARR}
    packages |= {package for codec in codecs for package in _DECODERS.get(codec.name, ())}
    if any(codec.name == HDF5_FILTER and codec.configuration["filter"] in IN_HDF5PLUGIN for codec in codecs):
        packages.add("hdf5plugin")
    return tuple(sorted(packages - {""}))


def _owner(name: str) -> str:
    first, _, rest = name.partition(".")
    if first == "numcodecs" and rest.startswith("imagecodecs_"):
        return "imagecodecs"
    if first.startswith("imagecodecs_"):
        return "imagecodecs"
    return _OWNERS.get(first, first)
