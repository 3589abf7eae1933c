"""The HDF5 filter pipeline as codecs.

Source: HDF5 file format specification 3.0, section IV.A.2.l, "The Data Storage - Filter Pipeline Message";
identifiers from the HDF Group's list of registered filter plugins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from h5py import h5p

from vz_beam.manifests.metadata import Codec

_BLOSC_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_BLOSC_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_SHUFFLE = 2
_FLETCHER32 = 3
_LZF = 32000
_UNREADABLE = {
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32017: "SZ",
    32022: "BitGroom",
    32023: "Granular BitRound",
    32024: "SZ3",
    32026: "Blosc2",
}
"""Filters that neither zarr, numcodecs nor vz_beam decodes, by the names that people know."""


@dataclass(frozen=True, slots=True)
class FilterPipeline:
    """The filters of one dataset in encoding order.

    ``codecs[i]`` stands for filter ``i``, bit ``i`` of a chunk's filter mask; ``undecodable`` names the
    filters that have no codec (then ``codecs`` is empty), or is empty.
    """

    codecs: tuple[Codec, ...] = ()
    undecodable: str = ""


def filter_pipeline(plist: h5p.PropDCID, chunk_nbytes: int, itemsize: int) -> FilterPipeline:
    """The filters of a dataset creation property list.

    Args:
        plist: of the dataset.
        chunk_nbytes: size of a decoded chunk, bytes.
        itemsize: size of an element, bytes.
    """
    codecs: list[Codec] = []
    unknown: list[str] = []
    input_nbytes: int | None = chunk_nbytes  # of the next filter; unknown behind a compressor
    for number in range(plist.get_nfilters()):
        identifier, _, values, name = plist.get_filter(number)
        make = _CODECS.get(identifier)
        if make is None:
            known = _UNREADABLE.get(identifier) or (name or b"").decode("latin-1").strip("\0 ") or "unnamed"
            unknown.append(f"{known} (HDF5 filter {identifier})")
            continue
        codec = make(tuple(values), input_nbytes or 0, itemsize)
        if identifier == _SHUFFLE:
            element_nbytes = codec.configuration["elementsize"]
            # HDF5 leaves bytes behind the last whole element where they are; numcodecs refuses them.
            if element_nbytes > 1 and (input_nbytes is None or input_nbytes % element_nbytes):
                unknown.append(f"shuffle of {element_nbytes}-byte elements behind another filter")
        elif identifier == _FLETCHER32:
            input_nbytes = None if input_nbytes is None else input_nbytes + 4  # the checksum is appended
        elif identifier == _LZF and input_nbytes is None:
            unknown.append("LZF behind another compressor")
        else:
            input_nbytes = None
        codecs.append(codec)
    return FilterPipeline((), ", ".join(unknown)) if unknown else FilterPipeline(tuple(codecs))


def _zlib(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.zlib", {"level": values[0] if values else 1})


def _shuffle(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.shuffle", {"elementsize": values[0] if values else itemsize})


def _fletcher32(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.fletcher32")


def _bz2(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.bz2", {"level": values[0] if values else 9})


def _zstd(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("zstd", {"level": values[0] if values else 3, "checksum": False})


def _lzf(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    # values: revision of the filter, version of LZF, size of a chunk
    return Codec("vz_beam.lzf", {"nbytes": input_nbytes})


def _blosc(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    # values: revision of the filter, format of Blosc, typesize, chunk bytes, level, shuffle, compressor; the last
    # three may be absent. Decoding needs none of them: a Blosc buffer describes itself.
    level, shuffle, compressor = (*values[4:7], *(5, 1, 0)[max(len(values) - 4, 0) :])
    return Codec(
        "blosc",
        {
            "typesize": max(values[2], 1) if len(values) > 2 else itemsize,
            "cname": _BLOSC_COMPRESSORS[compressor] if compressor < len(_BLOSC_COMPRESSORS) else "zstd",
            "clevel": min(level, 9),
            "shuffle": _BLOSC_SHUFFLES[shuffle] if shuffle < len(_BLOSC_SHUFFLES) else "noshuffle",
            "blocksize": 0,
        },
    )


_CODECS: dict[int, Callable[[tuple[int, ...], int, int], Codec]] = {
    1: _zlib,
    _SHUFFLE: _shuffle,
    _FLETCHER32: _fletcher32,
    307: _bz2,
    _LZF: _lzf,
    32001: _blosc,
    32015: _zstd,
}
