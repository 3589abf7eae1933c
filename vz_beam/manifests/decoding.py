"""Which codecs decode alike: levels and block sizes matter to the writer only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vz_beam.manifests.metadata import Codec

HDF5_FILTER = "vz_beam.hdf5_filter"
"""The codec of HDF5's filters, in Zarr v2 and v3; its values are those of the filter that has this number:"""
SZIP = 4
LZ4 = 32004
BITSHUFFLE = 32008
BLOSC2 = 32026

_SAME_NAMES = {
    "numcodecs.gzip": "gzip",
    "numcodecs.zstd": "zstd",
    "numcodecs.blosc": "blosc",
    "numcodecs.crc32c": "crc32c",
}
"""Two names of one stream of bytes."""
_SELF_DESCRIBING = frozenset(
    ["gzip", "zstd", "blosc", "crc32c", "numcodecs.zlib", "numcodecs.bz2", "numcodecs.fletcher32", "numcodecs.lz4"]
)
"""Codecs whose bytes say all that decoding needs."""
_LZMA = "numcodecs.lzma"
_SHUFFLE = "numcodecs.shuffle"
_SZIP_DECODING = 0x20 | 0x10
"""The options of szip that decoding asks for: prediction from the neighbour, and the order of bytes."""
_BLOSC2_ENCODING = slice(4, 7)
"""The values of Blosc2 that its chunks say themselves: level, shuffle and compressor."""


def decoding_of(codecs: Iterable[Codec]) -> tuple[Codec, ...]:
    """The codecs with only what decoding depends on; steps that change nothing are left out.

    >>> decoding_of([Codec("numcodecs.shuffle", {"elementsize": 1}), Codec("numcodecs.zlib", {"level": 4})])
    (Codec(name='numcodecs.zlib', configuration={}),)
    """
    return tuple(_decoding(codec) for codec in codecs if not _changes_nothing(codec))


def decodes_alike(one: Iterable[Codec], other: Iterable[Codec]) -> bool:
    """Whether bytes encoded by one pipeline can be decoded by the other."""
    return decoding_of(one) == decoding_of(other)


def _decoding(codec: Codec) -> Codec:
    name = _SAME_NAMES.get(codec.name, codec.name)
    if name in _SELF_DESCRIBING:
        return Codec(name)
    configuration = dict(codec.configuration)
    if name == _LZMA:
        configuration.pop("preset", None)
    elif name == HDF5_FILTER:
        configuration["values"] = _decoding_values(configuration["filter"], list(configuration.get("values", ())))
    return Codec(name, configuration)


def _decoding_values(identifier: int, values: list[Any]) -> list[Any]:
    """The values of an HDF5 filter as far as decoding asks for them."""
    if identifier == LZ4:
        return []  # the block size stands in the chunk
    if identifier == BITSHUFFLE:
        size, block, compressor = (*values[2:5], *(0, 0, 0)[max(len(values) - 2, 0) :])[:3]
        return [size, 0 if compressor else block, compressor]  # compressed chunks say their block size
    if identifier == BLOSC2:
        values[_BLOSC2_ENCODING] = [0] * len(values[_BLOSC2_ENCODING])
    elif identifier == SZIP and values:
        values[0] &= _SZIP_DECODING
    return values


def _changes_nothing(codec: Codec) -> bool:
    return codec.name == _SHUFFLE and codec.configuration.get("elementsize") == 1
