"""Chunks decoded by the filters of libhdf5."""

from __future__ import annotations

import ctypes
import functools
import importlib
import itertools
from collections.abc import Sequence

import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5z
from numpy.typing import NDArray

from vz_beam.codecs.filter_names import ALSO_IN_HDF5PLUGIN, FILTER_NAMES, IN_HDF5PLUGIN
from vz_beam.codecs.hdf5_image import DATASET, MAX_NBYTES, chunk_image
from vz_beam.errors import FormatError, UnsupportedError

_INCREMENT_BYTES = 2**16
"""Memory of the in-memory file grows by so much at once, bytes; it never grows."""
_FILE_NUMBERS = itertools.count()
"""HDF5 tells files in memory apart by their names, and threads decode at once."""
_GUARD = 0xF17E
"""Number of the filter that looks at sizes. From 32768 on, numbers belong to nobody and stand in no file."""


def decode_by_library(identifier: int, values: Sequence[int], data: bytes, nbytes: int) -> NDArray[np.uint8]:
    """What libhdf5 makes of a chunk that went through one filter, uint8[nbytes].

    Raises:
        FormatError: not a chunk of so many bytes.
        UnsupportedError: libhdf5 here has no such filter.
    """
    if not 0 < nbytes <= MAX_NBYTES:
        raise FormatError(f"a chunk of {nbytes} bytes cannot be decoded by libhdf5: from 1 to {MAX_NBYTES} can")
    load_filter(identifier)
    _register_guard()
    # Filters stand in encoding order: the guard is the last to see the decoded bytes.
    image = chunk_image([(_GUARD, (nbytes,)), (identifier, values)], data, nbytes)
    decoded: NDArray[np.uint8] = np.empty(nbytes, np.uint8)
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(block_size=_INCREMENT_BYTES, backing_store=False)
    access.set_file_image(image)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    try:
        file = h5f.open(b"vz_beam.chunk.%d" % next(_FILE_NUMBERS), h5f.ACC_RDONLY, access)
        try:
            h5d.open(file, DATASET).read(h5s.ALL, h5s.ALL, decoded)
        finally:
            file.close()
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        name = FILTER_NAMES.get(identifier, f"filter {identifier}")
        raise FormatError(f"{len(data)} bytes are no {name} chunk of {nbytes} bytes: {error}") from error
    return decoded


@functools.cache
def load_filter(identifier: int) -> None:
    """Let libhdf5 have the filter: from the package hdf5plugin where h5py lacks it.

    Raises:
        UnsupportedError: it is in neither; the message names what to install.
    """
    if h5z.filter_avail(identifier):
        return
    known = FILTER_NAMES.get(identifier)
    name = f"{known} (HDF5 filter {identifier})" if known else f"HDF5 filter {identifier}"
    if identifier not in IN_HDF5PLUGIN and identifier not in ALSO_IN_HDF5PLUGIN:
        raise UnsupportedError(f"h5py here has no {name}")
    try:
        importlib.import_module("hdf5plugin")  # registers its filters
    except ImportError as error:
        raise UnsupportedError(
            f"the package hdf5plugin, which decodes {name}, is not installed here. Way out: pip install hdf5plugin"
        ) from error
    if not h5z.filter_avail(identifier):
        raise UnsupportedError(f"hdf5plugin here has no {name}. Way out: install a newer one")


# libhdf5 does not look at how many bytes a filter gives: from a chunk that decodes to fewer it would hand out memory
# that nobody wrote (measured with Blosc2 and LZ4, HDF5 2.0). So one more filter looks, and changes nothing.
_Function = ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.c_uint,
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_uint),
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_size_t),
    ctypes.POINTER(ctypes.c_void_p),
)


class _FilterClass(ctypes.Structure):
    """``H5Z_class2_t`` of HDF5 1.8 and later."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("id", ctypes.c_int),
        ("encoder_present", ctypes.c_uint),
        ("decoder_present", ctypes.c_uint),
        ("name", ctypes.c_char_p),
        ("can_apply", ctypes.c_void_p),
        ("set_local", ctypes.c_void_p),
        ("filter", _Function),
    )


def _same_size(_flags: int, count: int, values: Sequence[int], nbytes: int, _size: object, _buffer: object) -> int:
    return nbytes if count == 1 and values[0] == nbytes else 0  # 0 is failure


_GUARD_CLASS = _FilterClass(1, _GUARD, 1, 1, b"vz_beam: size as expected", None, None, _Function(_same_size))


@functools.cache
def _register_guard() -> None:
    h5z.register_filter(ctypes.addressof(_GUARD_CLASS))
