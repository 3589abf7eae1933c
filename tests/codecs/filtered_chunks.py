"""Chunks that libhdf5 filtered itself, for the tests of the codecs that undo it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from numpy.typing import NDArray

from vz_beam.codecs.hdf5_filter import decode_filtered


@dataclass(frozen=True)
class FilteredChunk:
    """One chunk that went through one filter, and the bytes that h5py reads from it."""

    identifier: int
    values: tuple[int, ...]
    data: bytes
    expected: bytes

    @property
    def nbytes(self) -> int:
        """Size of the decoded chunk, bytes."""
        return len(self.expected)

    def decoded(self, data: bytes | None = None) -> bytes:
        """What the codec makes of it, or of ``data`` in its place."""
        stored = self.data if data is None else data
        return decode_filtered(self.identifier, self.values, self.nbytes, stored).tobytes()


def filtered(values: NDArray[Any], **options: Any) -> FilteredChunk:
    """``values`` as one chunk of a dataset that h5py makes with ``options``."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("v", data=values, chunks=values.shape, **options)
    with h5py.File(buffer) as file:  # h5py keeps what it wrote, and lossy filters change it
        return _chunk(file["v"].id, np.ascontiguousarray(file["v"][...]).tobytes())


def nbit_filtered(tid: h5t.TypeID, values: NDArray[Any]) -> FilteredChunk:
    """``values`` of the file type ``tid`` as one chunk through nbit; expected are the bytes of that type."""
    with h5py.File(io.BytesIO(), "w") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk(values.shape)
        plist.set_filter(5)
        did = h5d.create(file.id, b"v", tid, h5s.create_simple(values.shape), plist)
        did.write(h5s.ALL, h5s.ALL, values)
        h5py.h5f.flush(file.id)
        raw: NDArray[np.uint8] = np.zeros(len(values) * tid.get_size(), np.uint8)
        opaque = raw.view(f"V{tid.get_size()}")
        did.read(h5s.ALL, h5s.ALL, opaque, mtype=tid)
        return _chunk(did, raw.tobytes())


def _chunk(did: h5d.DatasetID, expected: bytes) -> FilteredChunk:
    mask, data = did.read_direct_chunk((0,) * did.rank)
    assert mask == 0, "the filter skipped the chunk"
    identifier, _, values, _ = did.get_create_plist().get_filter(0)
    return FilteredChunk(identifier, tuple(values), bytes(data), expected)


SMOOTH = (np.cumsum(np.random.default_rng(0).integers(-3, 4, 64 * 128)) + 1000).reshape(64, 128)

OPTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "szip_nn": ("i4", {"compression": "szip"}),
    "szip_ec": ("i2", {"compression": "szip", "compression_opts": ("ec", 16)}),
    "scaleoffset_integers": ("i4", {"scaleoffset": 0}),
    "scaleoffset_floats": ("f4", {"scaleoffset": 2}),
    "lz4": ("i4", dict(hdf5plugin.LZ4())),
    "bitshuffle": ("i4", dict(hdf5plugin.Bitshuffle(cname="none"))),
    "bitshuffle_lz4": ("i4", dict(hdf5plugin.Bitshuffle(cname="lz4"))),
    "bitshuffle_zstd": ("i4", dict(hdf5plugin.Bitshuffle(cname="zstd"))),
    "blosc2": ("i4", dict(hdf5plugin.Blosc2())),
    "zfp_exact": ("f8", dict(hdf5plugin.Zfp(reversible=True))),
    "zfp_rate": ("f4", dict(hdf5plugin.Zfp(rate=8))),
    "fcidecomp": ("u2", dict(hdf5plugin.FciDecomp())),
    "htj2k": ("u2", dict(hdf5plugin.Htj2k())),
    "sz": ("f4", dict(hdf5plugin.SZ(absolute=0.1))),
    "sz3": ("f4", dict(hdf5plugin.SZ3(absolute=0.1))),
    "sperr": ("f4", dict(hdf5plugin.Sperr(rate=8))),
}
ENDS_THE_PROCESS = frozenset(["sz", "sz3", "sperr"])
"""Filters whose decoders do not survive damage, in h5py either."""


def example(name: str) -> FilteredChunk:
    """The chunk of one of the ``OPTIONS``."""
    dtype, options = OPTIONS[name]
    return filtered(SMOOTH.astype(dtype), **options)
