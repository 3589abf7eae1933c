from __future__ import annotations

import os
import subprocess
import sys
import zlib
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import Codec
from vz_beam.parsers.hdf5.arrays import DatasetStorage, otherwise_encoded
from vz_beam.parsers.hdf5.filters import FilterPipeline
from vz_beam.parsers.hdf5.layout import stored_chunks
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks

SMOOTH = np.arange(64 * 64, dtype="i4").reshape(64, 64) // 7
NOISE = np.random.default_rng(3).integers(-(2**31), 2**31, (64, 64), dtype="i4")

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "zlib": {"compression": "gzip"},
    "zlib_shuffle": {"compression": "gzip", "compression_opts": 9, "shuffle": True},
    "zlib_shuffle_fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher32": {"fletcher32": True},
    "shuffle": {"shuffle": True},
    "lzf": {"compression": "lzf"},
    "lzf_shuffle": {"compression": "lzf", "shuffle": True},
    "zstd": dict(hdf5plugin.Zstd(clevel=5)),
    "zstd_shuffle": {**hdf5plugin.Zstd(), "shuffle": True},
    "bzip2": dict(hdf5plugin.BZip2()),
}


@pytest.mark.parametrize("values", [SMOOTH, NOISE], ids=["smooth", "noise"])
@pytest.mark.parametrize("name", FILTERS)
def test_filtered_chunks_decode_to_the_values(hdf5: Hdf5File, name: str, values: np.ndarray) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=values, chunks=(20, 64), **FILTERS[name])
    hdf5.checked()


# netCDF4 brings an HDF5 library of its own, and names plugins made for that one in the environment (HDF5_PLUGIN_PATH).
# Its Blosc plugin reads for h5py, and does not write.
WRITE_BLOSC = """
import sys, h5py, hdf5plugin, numpy as np
from hdf5plugin import Blosc
smooth, noise = np.load(sys.argv[2]), np.load(sys.argv[3])
with h5py.File(sys.argv[1], "w") as file:
    for name, options in {
        "lz4": Blosc(cname="lz4", shuffle=Blosc.SHUFFLE),
        "zstd": Blosc(cname="zstd", shuffle=Blosc.BITSHUFFLE),
        "zlib": Blosc(cname="zlib", clevel=9, shuffle=Blosc.NOSHUFFLE),
    }.items():
        file.create_dataset(name, data=smooth, chunks=(20, 64), **options)
    file.create_dataset("mixed", data=np.concatenate([smooth, noise]), chunks=(64, 64), **Blosc())
"""


def test_blosc_chunks_decode_to_the_values_and_incompressible_ones_are_inlined(hdf5: Hdf5File) -> None:
    paths = [hdf5.path.with_name(name) for name in ("smooth.npy", "noise.npy")]
    for path, values in zip(paths, (SMOOTH, NOISE), strict=True):
        np.save(path, values)
    without_plugins = {name: value for name, value in os.environ.items() if name != "HDF5_PLUGIN_PATH"}
    command = [sys.executable, "-c", WRITE_BLOSC, str(hdf5.path), *map(str, paths)]
    subprocess.run(command, check=True, env=without_plugins)
    group = hdf5.checked()
    assert group.arrays["mixed"].manifest.location_ids.ravel().tolist() == [0, -2]
    assert [group.arrays[name].metadata.codecs[0].configuration["cname"] for name in ("lz4", "zstd", "zlib")] == [
        "lz4",
        "zstd",
        "zlib",
    ]


def test_codecs_stand_in_encoding_order_under_the_names_of_zarr(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=SMOOTH, compression="gzip", compression_opts=3, shuffle=True, fletcher32=True)
        file.create_dataset("w", data=SMOOTH, chunks=(8, 8), compression="lzf")
    group = hdf5.parse()
    assert group.arrays["v"].metadata.codecs == (
        Codec("numcodecs.shuffle", {"elementsize": 4}),
        Codec("numcodecs.zlib", {"level": 3}),
        Codec("numcodecs.fletcher32"),
    )
    assert group.arrays["w"].metadata.codecs == (Codec("vz_beam.lzf", {"nbytes": 256}),)


def by_hand(file: h5py.File, filters: list[tuple[int, tuple[int, ...]]]) -> h5d.DatasetID:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((4,))
    for identifier, values in filters:
        plist.set_filter(identifier, h5z.FLAG_OPTIONAL, values)
    space = h5s.create_simple((8,))
    return h5d.create(file.id, b"v", h5t.STD_I32LE, space, plist)


@pytest.mark.parametrize(
    "filters",
    [
        [(h5z.FILTER_FLETCHER32, ()), (h5z.FILTER_SHUFFLE, (4,)), (h5z.FILTER_DEFLATE, (4,))],
        [(h5z.FILTER_FLETCHER32, ()), (h5z.FILTER_LZF, ())],
        [(h5z.FILTER_DEFLATE, (4,)), (h5z.FILTER_LZF, ())],
        [(h5z.FILTER_DEFLATE, (4,)), (h5z.FILTER_SHUFFLE, ())],
    ],
    ids=["checksum_shuffle_zlib", "checksum_lzf", "zlib_lzf", "zlib_shuffle"],
)
def test_filters_in_unusual_order_give_the_values_too(
    hdf5: Hdf5File, filters: list[tuple[int, tuple[int, ...]]]
) -> None:
    with hdf5.write() as file:
        by_hand(file, filters).write(h5s.ALL, h5s.ALL, np.arange(8, dtype="i4"))
    hdf5.checked()


def test_chunks_that_could_not_be_compressed_are_inlined_beside_references(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.concatenate([SMOOTH, NOISE]), chunks=(64, 64), compression="lzf")
    manifest = hdf5.checked().arrays["v"].manifest
    assert manifest.location_ids.ravel().tolist() == [0, -2]


def test_a_chunk_that_skipped_one_of_two_filters_has_its_values(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (4,), dtype="i4", chunks=(2,), compression="gzip", shuffle=True)
        dataset[:2] = [1, 2]
        data = zlib.compress(np.array([3, 4], "i4").tobytes())
        dataset.id.write_direct_chunk((2,), data, filter_mask=1)
    assert hdf5.checked().arrays["v"].manifest.location_ids.tolist() == [0, -2]


def test_a_skipped_shuffle_of_single_bytes_is_no_difference(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (4,), dtype="i1", chunks=(2,), compression="gzip", shuffle=True)
        dataset[:2] = [1, 2]
        data = zlib.compress(np.array([3, 4], "i1").tobytes())
        dataset.id.write_direct_chunk((2,), data, filter_mask=1)
    assert hdf5.checked().arrays["v"].manifest.location_ids.tolist() == [0, 0]


def test_chunks_that_all_skipped_the_filters_stay_references_when_too_large(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=NOISE, chunks=(32, 64), compression="lzf")
    array = hdf5.checked(inline_limit_bytes=1000).arrays["v"]
    assert array.metadata.codecs == ()
    assert array.manifest.location_ids.ravel().tolist() == [0, 0]


def test_too_many_bytes_of_mixed_chunks_are_refused_by_name(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=np.concatenate([SMOOTH, NOISE]), chunks=(64, 64), compression="lzf")
    with pytest.raises(UnsupportedError, match=r"/v: 1 of its chunks, chunk 1 first, skip filters.*16384 bytes"):
        hdf5.parse(inline_limit_bytes=1000)


def test_filters_without_a_codec_are_inlined_up_to_the_limit_else_refused(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        # The size of what LZ4 gets is not in the header.
        file.create_dataset("v", data=SMOOTH, chunks=(32, 64), scaleoffset=0, **hdf5plugin.LZ4())
    manifest = hdf5.checked().arrays["v"].manifest
    assert (manifest.locations, len(manifest.inlined)) == ((), 2)
    with pytest.raises(UnsupportedError, match="/v: it is compressed by LZ4 behind another compressor"):
        hdf5.parse(inline_limit_bytes=100)


def test_edge_chunks_that_no_filter_touched_are_found_without_a_mask(hdf5: Hdf5File) -> None:
    # h5py cannot ask HDF5 for unfiltered edge chunks, so their mask is hidden instead.
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (6,), dtype="i4", chunks=(4,), compression="gzip")
        dataset[:4] = range(4)
        dataset.id.write_direct_chunk((4,), np.array([4, 5, 0, 0], "i4").tobytes(), filter_mask=1)
    metadata = hdf5.parse().arrays["v"].metadata
    with h5py.File(hdf5.path) as file:
        did = file["v"].id
        storage = DatasetStorage(did, h5d.CHUNKED, FilterPipeline(metadata.codecs), metadata.chunk_grid)
        stored = stored_chunks(did, metadata.chunk_grid)
        hidden = StoredChunks(stored.numbers, stored.offsets, stored.lengths, np.zeros_like(stored.masks))
        assert otherwise_encoded(storage, metadata, hidden).tolist() == [False, True]


def test_an_array_datatype_with_filters_has_an_extra_axis(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        values = np.arange(30, dtype="f4").reshape(5, 2, 3)
        dataset = file.create_dataset("v", (5,), dtype=np.dtype(("f4", (2, 3))), chunks=(2,), compression="gzip")
        dataset[...] = values
    array = hdf5.checked().arrays["v"]
    assert (array.shape, array.manifest.grid_shape) == ((5, 2, 3), (3, 1, 1))
