"""LZF as h5py writes it (HDF5 filter 32000), which neither zarr nor numcodecs knows; decoded by libhdf5 itself.

Source: LibLZF by M. Lehmann, whose stream h5py's filter stores without a header; the size of the decoded
chunk comes from the codec's configuration.
"""

from __future__ import annotations

import itertools
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t, h5z
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy
from numpy.typing import NDArray

from vz_beam.errors import FormatError

LZF_ID = "vz_beam.lzf"
"""The codec's name in Zarr v2 and v3."""
_INCREMENT_BYTES = 2**16
"""Memory of the in-memory file grows by so much at once, bytes."""
_FILE_NUMBERS = itertools.count()
"""HDF5 tells files in memory apart by their names, and threads decode at once."""
_SKIPPED = 1
"""Filter mask of a chunk that LZF could not make smaller, and that is stored as it is."""


def decode_lzf(data: bytes, nbytes: int) -> NDArray[np.uint8]:
    """The ``nbytes`` bytes that an LZF stream holds, uint8[nbytes].

    Raises:
        FormatError: not an LZF stream of so many bytes.
    """
    found = _decoded_nbytes(data)
    if found != nbytes:
        # libhdf5 does not look at that: it would give memory that nobody wrote.
        raise FormatError(f"{len(data)} bytes are no LZF stream of {nbytes} bytes: they decode to {found}")
    with _MemoryDataset(nbytes) as dataset:
        dataset.write_direct_chunk((0,), data)
        decoded: NDArray[np.uint8] = np.empty(nbytes, np.uint8)
        try:
            dataset.read(h5s.ALL, h5s.ALL, decoded)
        except (OSError, RuntimeError) as error:
            raise FormatError(f"{len(data)} bytes are no LZF stream of {nbytes} bytes: {error}") from error
    return decoded


def encode_lzf(data: bytes) -> bytes:
    """An LZF stream of ``data``; where LZF cannot make it smaller, a longer stream of literals.

    >>> bytes(decode_lzf(encode_lzf(b"abcd" * 99), 396)) == b"abcd" * 99
    True
    """
    if not data:
        raise FormatError("LZF has no stream of 0 bytes")
    with _MemoryDataset(len(data)) as dataset:
        dataset.write(h5s.ALL, h5s.ALL, np.frombuffer(data, np.uint8))
        h5f.flush(dataset)
        mask, encoded = dataset.read_direct_chunk((0,))
    return _literals(data) if mask & _SKIPPED else bytes(encoded)


def _decoded_nbytes(data: bytes) -> int:
    """How many bytes a stream decodes to; -1 where it ends within a step.

    A control byte below 32 stands before so many literals and one more; any other begins a copy, whose length less
    two is in its upper three bits, or where those are all set is their sum with the next byte.
    """
    position, end, nbytes = 0, len(data), 0
    while position < end:
        control = data[position]
        if control < 32:
            nbytes += control + 1
            position += control + 2
        elif control < 224:
            nbytes += (control >> 5) + 2
            position += 2
        else:
            nbytes += (data[position + 1] if position + 1 < end else 0) + 9
            position += 3
    return nbytes if position == end else -1


def _literals(data: bytes) -> bytes:
    """``data`` as runs of at most 32 literals, each behind its length less one."""
    runs = (data[start : start + 32] for start in range(0, len(data), 32))
    return b"".join(bytes((len(run) - 1,)) + run for run in runs)


class _MemoryDataset:
    """A dataset of one LZF chunk in a file that is only in memory."""

    def __init__(self, nbytes: int) -> None:
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_fapl_core(block_size=_INCREMENT_BYTES, backing_store=False)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        self._file = h5f.create(b"vz_beam.lzf.%d" % next(_FILE_NUMBERS), h5f.ACC_TRUNC, fapl=access)
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((nbytes,))
        plist.set_filter(h5z.FILTER_LZF, h5z.FLAG_OPTIONAL)
        self._dataset = h5d.create(self._file, b"chunk", h5t.STD_U8LE, h5s.create_simple((nbytes,)), plist)

    def __enter__(self) -> h5d.DatasetID:
        return self._dataset

    def __exit__(self, *_: object) -> None:
        self._file.close()


class LzfV2(Codec):  # type: ignore[misc]  # numcodecs is not annotated
    """The codec for Zarr v2 and Kerchunk.

    Args:
        nbytes: size of a decoded chunk, bytes, which the stream does not tell.
    """

    codec_id = LZF_ID

    def __init__(self, nbytes: int) -> None:
        self.nbytes = int(nbytes)

    def encode(self, buf: Any) -> bytes:
        """The LZF stream of ``buf``."""
        return encode_lzf(bytes(ensure_bytes(buf)))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The bytes of the LZF stream ``buf``, written into ``out`` where it is given."""
        return ndarray_copy(decode_lzf(bytes(ensure_bytes(buf)), self.nbytes), out)


assert h5py.h5z.filter_avail(h5z.FILTER_LZF), "every h5py is built with LZF"
