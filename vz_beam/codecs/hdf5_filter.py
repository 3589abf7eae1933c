"""HDF5 filters that neither zarr nor numcodecs knows, as one codec: szip, nbit, scaleoffset, LZ4, bitshuffle, ...

Source: HDF5 file format specification 3.0, section IV.A.2.l, "The Data Storage - Filter Pipeline Message": a filter is
its number and its values, which are the codec's configuration as they stand in the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy
from numpy.typing import NDArray

from vz_beam.codecs.bit_blocks import decode_bitshuffle, decode_lz4, decode_shuffle, encode_shuffle
from vz_beam.codecs.filter_names import BITSHUFFLE, FILTER_NAMES, HDF5_FILTER, LZ4, SHUFFLE, SZIP
from vz_beam.codecs.filter_values import checked_chunk, has_partial_blocks
from vz_beam.codecs.hdf5_library import decode_by_library
from vz_beam.errors import FormatError, UnsupportedError

_DEFLATED = b"vz_beam deflated" + bytes.fromhex("d3917f06e24ba85c")
"""Stands before a zlib stream of what a filter would have been given. No chunk of a filter begins so by chance."""
_LEVEL = 1
"""Of zlib. Such chunks are fill, or what a filter could not make smaller."""


def decode_filtered(identifier: int, values: Sequence[int], nbytes: int | None, data: bytes) -> NDArray[np.uint8]:
    """The bytes that went into an HDF5 filter, uint8[nbytes].

    Of each filter 400 damaged chunks were tried (one or ten bytes changed, truncated, noise): they gave an error, or
    wrong values, since these filters keep no checksum. But the decoders of SZ, SZ3 and SPERR ended the process with
    many of them, as they do where h5py reads such a chunk.

    Args:
        identifier: HDF5's number of the filter.
        values: the filter's client data.
        nbytes: size of the decoded chunk, bytes; ``None`` where it is not known, which only shuffle can do with.
        data: the chunk as it is stored.

    Raises:
        FormatError: not a chunk of that filter and size.
        UnsupportedError: no decoder here; the message names the package to install.
    """
    if identifier == SHUFFLE:  # any bytes are a shuffled chunk, so none can stand for something else
        return decode_shuffle(data, values)
    if data.startswith(_DEFLATED):
        return _inflated(data, nbytes)
    if nbytes is None:
        raise FormatError(f"a chunk of HDF5 filter {identifier} cannot be decoded without its decoded size")
    if identifier == LZ4:
        return decode_lz4(data, nbytes)
    if identifier == BITSHUFFLE:
        return decode_bitshuffle(data, values, nbytes)
    if identifier not in FILTER_NAMES:
        raise UnsupportedError(f"HDF5 filter {identifier} is not known; these are: {sorted(FILTER_NAMES)}")
    checked = checked_chunk(identifier, values, data, nbytes)
    if identifier == SZIP and has_partial_blocks(values):
        # Where such a stream ends early, libaec leaves memory that nobody wrote, and says nothing (measured). Ones are
        # blocks that are not compressed, up to the end; but they can be wrong behind a stream that is whole.
        try:
            return decode_by_library(identifier, values, checked + b"\xff" * (nbytes * 3 // 2 + 64), nbytes)
        except FormatError:
            pass
    return decode_by_library(identifier, values, checked, nbytes)


def encode_filtered(identifier: int, values: Sequence[int], data: bytes) -> bytes:
    """``data`` as :func:`decode_filtered` decodes it.

    Only shuffle is encoded as the filter would: lossy ones would change values, szip leaves alone what it cannot make
    smaller, and several are not there without their package.
    """
    if identifier == SHUFFLE:
        return encode_shuffle(data, values)
    return _DEFLATED + zlib.compress(data, _LEVEL)


def _inflated(data: bytes, nbytes: int | None) -> NDArray[np.uint8]:
    try:
        inflated = zlib.decompress(memoryview(data)[len(_DEFLATED) :])
    except zlib.error as error:
        raise FormatError(f"a chunk that vz_beam deflated does not inflate: {error}") from error
    if nbytes is not None and len(inflated) != nbytes:
        raise FormatError(f"a chunk that vz_beam deflated inflates to {len(inflated)} bytes, not {nbytes}")
    return np.frombuffer(inflated, np.uint8).copy()  # so that the values can be changed


class Hdf5FilterV2(Codec):  # type: ignore[misc]  # numcodecs is not annotated
    """The codec for Zarr v2 and Kerchunk.

    Args:
        filter: HDF5's number of the filter.
        values: its client data.
        nbytes: size of a decoded chunk, bytes; ``None`` where it is not known.
    """

    codec_id = HDF5_FILTER

    def __init__(self, filter: int, values: Sequence[int] = (), nbytes: int | None = None) -> None:
        self.filter = int(filter)
        self.values = [int(value) for value in values]
        self.nbytes = None if nbytes is None else int(nbytes)

    def encode(self, buf: Any) -> bytes:
        """``buf`` as this codec decodes it, without the filter."""
        return encode_filtered(self.filter, self.values, bytes(ensure_bytes(buf)))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """What went into the filter, written into ``out`` where it is given."""
        decoded = decode_filtered(self.filter, self.values, self.nbytes, bytes(ensure_bytes(buf)))
        return ndarray_copy(decoded, out)
