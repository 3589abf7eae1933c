"""The HDF5 filter pipeline as codecs.

Source: HDF5 file format specification 3.0, section IV.A.2.l, "The Data Storage - Filter Pipeline Message";
identifiers from the HDF Group's list of registered filter plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from h5py import h5p

from vz_beam.codecs.filter_names import BITSHUFFLE, FILTER_NAMES, HDF5_FILTER, IN_HDF5PLUGIN, NBIT, SHUFFLE
from vz_beam.codecs.filter_values import check_values
from vz_beam.errors import FormatError
from vz_beam.manifests.metadata import Codec

_BLOSC_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_BLOSC_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_FLETCHER32 = 3
_BEST_LEVEL = 9
"""The highest level of zlib and bzip2, which refuse higher ones; decoding needs none."""
_LZF = 32000
_QUANTISERS = frozenset([32022, 32023])
"""BitGroom and Granular BitRound round numbers when they are written, and do nothing when they are read."""
_UNDECODED = {
    305: "LZO",
    32002: "MAFISC",
    32003: "Snappy",
    32006: "CBF",
    32007: "JPEG-XR",
    32009: "SPDP",
    32011: "CCSDS-123",
    32012: "JPEG-LS",
    32014: "fpzip",
    32016: "B3D",
    32019: "JPEG",
    32020: "VBZ",
    32021: "FAPEC",
    32025: "Delta-Rice",
    32027: "FLAC",
    32029: "TERSE/PROLIX",
    32030: "FFMPEG",
}
"""Filters that neither zarr, numcodecs nor vz_beam decodes, by the names that people know."""


@dataclass(frozen=True, slots=True)
class FilterPipeline:
    """The filters of one dataset in encoding order.

    ``steps[i]`` stands for filter ``i``, bit ``i`` of a chunk's filter mask: its codec, ``None`` where decoding
    changes nothing, or a text that names it where it has no codec. ``damage`` says which filter has values that no
    chunk of this size can have: libhdf5 may crash on it.
    """

    steps: tuple[Codec | str | None, ...] = ()
    damage: str = ""

    @property
    def undecodable(self) -> str:
        """The names of the filters that have no codec, or nothing."""
        return ", ".join(step for step in self.steps if isinstance(step, str))

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The codecs of a chunk that went through all filters; none where one of the filters has none."""
        return () if self.undecodable else self.applied(0)

    def applied(self, mask: int) -> tuple[Codec, ...]:
        """The codecs of a chunk with the filter mask ``mask``."""
        return tuple(step for bit, step in enumerate(self.steps) if isinstance(step, Codec) and not mask >> bit & 1)

    def without_unused(self, skipped: int) -> FilterPipeline:
        """The pipeline without the undecodable filters among ``skipped``, a mask of what every chunk skips.

        HDF5 skips an optional filter that is not there where the file is written.
        """
        steps = (None if isinstance(step, str) and skipped >> bit & 1 else step for bit, step in enumerate(self.steps))
        return replace(self, steps=tuple(steps))


def filter_pipeline(plist: h5p.PropDCID, chunk_nbytes: int, itemsize: int) -> FilterPipeline:
    """The filters of a dataset creation property list.

    Args:
        plist: of the dataset.
        chunk_nbytes: size of a decoded chunk, bytes.
        itemsize: size of an element, bytes.
    """
    filters = []
    for number in range(plist.get_nfilters()):
        identifier, _, values, name = plist.get_filter(number)
        filters.append((identifier, tuple(values), (name or b"").decode("latin-1")))
    return pipeline_of(filters, chunk_nbytes, itemsize)


def pipeline_of(
    filters: Iterable[tuple[int, tuple[int, ...], str]], chunk_nbytes: int, itemsize: int
) -> FilterPipeline:
    """The pipeline of filters that are told by (identifier, values, name), in encoding order.

    >>> [codec.name for codec in pipeline_of([(2, (4,), ""), (1, (6,), "")], 64, 4).codecs]
    ['numcodecs.shuffle', 'numcodecs.zlib']
    """
    steps: list[Codec | str | None] = []
    damage: list[str] = []
    input_nbytes: int | None = chunk_nbytes  # of the next filter; unknown behind a compressor
    for identifier, values, name in filters:
        if input_nbytes is not None:
            try:
                check_values(identifier, values, input_nbytes)
            except FormatError as error:
                damage.append(str(error))
        steps.append(_step(identifier, values, name, input_nbytes, itemsize))
        if identifier == _FLETCHER32:
            input_nbytes = None if input_nbytes is None else input_nbytes + 4  # the checksum is appended
        elif not _keeps_size(identifier, values):
            input_nbytes = None
    return FilterPipeline(tuple(steps), ", ".join(damage))


def keeps_size(codec: Codec) -> bool:
    """Whether a codec gives as many bytes as it gets, so that the size of a chunk does not tell if it was used."""
    if codec.name == HDF5_FILTER:
        return _keeps_size(codec.configuration["filter"], tuple(codec.configuration["values"]))
    return codec.name == "numcodecs.shuffle"


def may_crash(codec: Codec) -> bool:
    """Whether a codec had better not be given what may be no chunk of its own."""
    return codec.name == HDF5_FILTER and codec.configuration["filter"] in IN_HDF5PLUGIN


def _step(
    identifier: int, values: tuple[int, ...], name: str, input_nbytes: int | None, itemsize: int
) -> Codec | str | None:
    if identifier in _QUANTISERS:
        return None
    make = _CODECS.get(identifier)
    known = FILTER_NAMES.get(identifier) or _UNDECODED.get(identifier) or name.strip("\0 ") or "unnamed"
    if make is None and identifier not in FILTER_NAMES:
        return f"{known} (HDF5 filter {identifier})"
    if input_nbytes is None and (identifier == _LZF or identifier in FILTER_NAMES) and identifier != SHUFFLE:
        return f"{'LZF' if identifier == _LZF else known} behind another compressor"
    if identifier == SHUFFLE:
        return _shuffle(values, input_nbytes, itemsize)
    if make is not None:
        return make(values, input_nbytes or 0, itemsize)
    return Codec(HDF5_FILTER, {"filter": identifier, "values": list(values), "nbytes": input_nbytes})


def _keeps_size(identifier: int, values: tuple[int, ...]) -> bool:
    """Whether as many bytes come out of a filter as go in."""
    if identifier == NBIT:
        return len(values) > 1 and bool(values[1])
    if identifier == BITSHUFFLE:
        return len(values) < 5 or not values[4]
    return identifier == SHUFFLE or identifier in _QUANTISERS


def _shuffle(values: tuple[int, ...], input_nbytes: int | None, itemsize: int) -> Codec | str:
    size = values[0] if values else itemsize
    if size < 1:
        return "shuffle of elements of 0 bytes"
    # HDF5 leaves bytes behind the last whole element where they are; numcodecs refuses them.
    if size > 1 and (input_nbytes is None or input_nbytes % size):
        return Codec(HDF5_FILTER, {"filter": SHUFFLE, "values": [size], "nbytes": input_nbytes})
    return Codec("numcodecs.shuffle", {"elementsize": size})


def _zlib(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.zlib", {"level": min(values[0], _BEST_LEVEL) if values else 1})


def _fletcher32(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.fletcher32")


def _bz2(values: tuple[int, ...], input_nbytes: int, itemsize: int) -> Codec:
    return Codec("numcodecs.bz2", {"level": min(max(values[0], 1), _BEST_LEVEL) if values else _BEST_LEVEL})


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
    _FLETCHER32: _fletcher32,
    307: _bz2,
    _LZF: _lzf,
    32001: _blosc,
    32015: _zstd,
}
