"""Filters that Zarr has no codec for, from files to values."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import xarray as xr
from h5py import h5d, h5p, h5s, h5t, h5z

import vz_beam
from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.codecs.decoding import required_packages
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import Codec

SMOOTH = np.arange(64 * 64, dtype="i4").reshape(64, 64) // 7
NOISE = np.random.default_rng(3).integers(-(2**31), 2**31, (64, 64), dtype="i4")
SHUFFLE = {"shuffle": True}
CHECKED = {"fletcher32": True}

FILTERS: Mapping[str, dict[str, Any]] = {
    "szip": {"compression": "szip"},
    "szip_ec": {"compression": "szip", "compression_opts": ("ec", 32)},
    "shuffle_szip": {"compression": "szip", **SHUFFLE},
    "szip_fletcher32": {"compression": "szip", **CHECKED},
    "scaleoffset": {"scaleoffset": 0},
    "scaleoffset_zlib": {"scaleoffset": 0, "compression": "gzip"},
    "scaleoffset_shuffle_zlib": {"scaleoffset": 0, "compression": "gzip", **SHUFFLE},
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4_blocks": dict(hdf5plugin.LZ4(nbytes=512)),
    "shuffle_lz4": {**hdf5plugin.LZ4(), **SHUFFLE},
    "shuffle_lz4_fletcher32": {**hdf5plugin.LZ4(), **SHUFFLE, **CHECKED},
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
    "bitshuffle_lz4": dict(hdf5plugin.Bitshuffle()),
    "bitshuffle_zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "bitshuffle_fletcher32": {**hdf5plugin.Bitshuffle(), **CHECKED},
    "blosc2": dict(hdf5plugin.Blosc2()),
    "shuffle_blosc2": {**hdf5plugin.Blosc2(), **SHUFFLE},
    "zfp": dict(hdf5plugin.Zfp(reversible=True)),
}
LOSSY: Mapping[str, tuple[str, dict[str, Any]]] = {
    "scaleoffset": ("f4", {"scaleoffset": 1}),
    "zfp_rate": ("f4", dict(hdf5plugin.Zfp(rate=9))),
    "zfp_accuracy": ("f8", dict(hdf5plugin.Zfp(accuracy=0.3))),
    "sz": ("f4", dict(hdf5plugin.SZ(absolute=0.2))),
    "sz3": ("f8", dict(hdf5plugin.SZ3(absolute=0.2))),
    "sperr": ("f4", dict(hdf5plugin.Sperr(rate=9))),
    "fcidecomp": ("u2", dict(hdf5plugin.FciDecomp())),
    "htj2k": ("u1", dict(hdf5plugin.Htj2k())),
}


@pytest.mark.parametrize("values", [SMOOTH, NOISE, np.concatenate([SMOOTH, NOISE])], ids=["smooth", "noise", "both"])
@pytest.mark.parametrize("name", FILTERS)
def test_chunks_decode_to_the_values(hdf5: Hdf5File, name: str, values: np.ndarray) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=values, chunks=(24, 40), **FILTERS[name])
    manifest = hdf5.checked().arrays["v"].manifest
    if values is SMOOTH:
        assert (manifest.location_ids == 0).all()


@pytest.mark.parametrize("name", LOSSY)
def test_chunks_of_lossy_filters_decode_to_what_h5py_reads(hdf5: Hdf5File, name: str) -> None:
    dtype, options = LOSSY[name]
    with hdf5.write() as file:
        file.create_dataset("v", data=(SMOOTH % 250).astype(dtype), chunks=(32, 64), **options)
    assert (hdf5.checked().arrays["v"].manifest.location_ids == 0).all()


TYPES = ["i1", "u1", "<i2", ">i2", ">u2", "<u4", ">i4", "<i8", ">u8", "<f4", ">f4", "<f8", ">f8"]
LOSSLESS = ["szip", "lz4", "bitshuffle_lz4", "bitshuffle", "blosc2", "shuffle_lz4"]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_byte_order_decodes(hdf5: Hdf5File, dtype: str) -> None:
    values = (np.arange(33 * 34).reshape(33, 34) // 9).astype(dtype)
    with hdf5.write() as file:
        for name in [*LOSSLESS, "scaleoffset"]:
            options = FILTERS[name] if name != "scaleoffset" or dtype[-2] != "f" else {"scaleoffset": 2}
            file.create_dataset(name, data=values, chunks=(20, 34), **options)
    arrays = hdf5.checked().arrays
    assert {name for name, array in arrays.items() if not (array.manifest.location_ids == 0).all()} == set()


@pytest.mark.parametrize("name", ["shuffle_lz4", "scaleoffset_zlib", "shuffle_szip", "shuffle_blosc2"])
@pytest.mark.parametrize("mask", [1, 2, 3])
def test_chunks_that_skip_some_filters_have_their_values(hdf5: Hdf5File, name: str, mask: int) -> None:
    values = SMOOTH[:32]
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (64, 64), "i4", chunks=(32, 64), **FILTERS[name])
        dataset[:32] = values
        # The same values as a chunk that went through the others alone.
        keep = [bit for bit in range(2) if not mask >> bit & 1]
        plist = dataset.id.get_create_plist()
        alone = h5p.create(h5p.DATASET_CREATE)
        alone.set_chunk((32, 64))
        for bit in keep:
            identifier, flags, client, _ = plist.get_filter(bit)
            alone.set_filter(identifier, flags, client)
        other = h5d.create(file.id, b"other", h5t.STD_I32LE, h5s.create_simple((32, 64)), alone)
        other.write(h5s.ALL, h5s.ALL, values)
        file.flush()
        skipped, data = other.read_direct_chunk((0, 0))
        assert skipped == 0
        dataset.id.write_direct_chunk((32, 0), data, filter_mask=mask)
        del file["other"]
    assert hdf5.checked().arrays["v"].manifest.location_ids.ravel().tolist() == [0, -2]


def by_hand(file: h5py.File, filters: list[tuple[int, tuple[int, ...]]], count: int = 8, chunk: int = 4) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((chunk,))
    for identifier, values in filters:
        plist.set_filter(identifier, h5z.FLAG_OPTIONAL, values)
    did = h5d.create(file.id, b"v", h5t.STD_I32LE, h5s.create_simple((count,)), plist)
    did.write(h5s.ALL, h5s.ALL, np.arange(count, dtype="i4"))


@pytest.mark.parametrize(
    ("filters", "is_reference"),
    [
        ([(h5z.FILTER_DEFLATE, (4,)), (h5z.FILTER_DEFLATE, (4,))], True),
        ([(h5z.FILTER_DEFLATE, (4,)), (h5z.FILTER_SHUFFLE, ())], True),
        ([(h5z.FILTER_FLETCHER32, ()), (h5z.FILTER_SHUFFLE, ()), (h5z.FILTER_DEFLATE, (4,))], True),
        ([(h5z.FILTER_FLETCHER32, ()), (32004, ()), (h5z.FILTER_FLETCHER32, ())], True),
        ([(h5z.FILTER_DEFLATE, (4,)), (h5z.FILTER_FLETCHER32, ()), (h5z.FILTER_DEFLATE, (4,))], True),
        ([(h5z.FILTER_NBIT, ()), (h5z.FILTER_DEFLATE, (4,))], True),
        ([(h5z.FILTER_NBIT, ()), (h5z.FILTER_LZF, ())], True),
        ([(h5z.FILTER_SCALEOFFSET, (2, 0)), (h5z.FILTER_FLETCHER32, ())], True),
        ([(h5z.FILTER_DEFLATE, (4,)), (32004, ())], False),
        ([(h5z.FILTER_DEFLATE, (4,)), (h5z.FILTER_SCALEOFFSET, (2, 0))], False),
    ],
    ids=lambda case: "_".join(str(identifier) for identifier, _ in case) if isinstance(case, list) else None,
)
def test_filters_in_unusual_order_give_the_values_too(
    hdf5: Hdf5File, filters: list[tuple[int, tuple[int, ...]]], is_reference: bool
) -> None:
    with hdf5.write() as file:
        by_hand(file, filters, 4000, 1000)
    found = hdf5.checked().arrays["v"].manifest.location_ids
    assert (found == (0 if is_reference else -2)).all()


def test_a_shuffle_that_leaves_bytes_over_is_a_reference_too(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        by_hand(file, [(h5z.FILTER_FLETCHER32, ()), (h5z.FILTER_SHUFFLE, ())], 14, 7)
        assert file["v"].id.get_create_plist().get_filter(1)[2] == (4,)
    array = hdf5.checked().arrays["v"]
    assert (array.manifest.location_ids == 0).all()
    with hdf5.write() as file:
        by_hand(file, [(h5z.FILTER_DEFLATE, (1,)), (h5z.FILTER_SHUFFLE, ())], 14, 7)
    array = hdf5.checked().arrays["v"]
    assert array.metadata.codecs[1] == Codec("vz_beam.hdf5_filter", {"filter": 2, "values": [4], "nbytes": None})


def test_numbers_of_fewer_bits_than_their_type_are_inlined_from_nbit_as_h5py_converts_them(hdf5: Hdf5File) -> None:
    tid = h5t.STD_I32BE.copy()
    tid.set_precision(20)
    values = np.arange(-20, 20, dtype="i4") * 1000
    with hdf5.write() as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((16,))
        plist.set_filter(h5z.FILTER_NBIT)
        did = h5d.create(file.id, b"v", tid, h5s.create_simple((40,)), plist)
        did.write(h5s.ALL, h5s.ALL, values)
    array = hdf5.checked().arrays["v"]
    assert len(array.manifest.inlined) == 3


def renumbered(hdf5: Hdf5File, new: int, mask: int) -> None:
    """A file of two chunks of raw values under the filter ``new``."""
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (4,), "f4", chunks=(2,), **hdf5plugin.LZ4())
        values = np.array([1, 2, 3, 4], "f4")
        dataset.id.write_direct_chunk((0,), values[:2].tobytes(), filter_mask=mask)
        dataset.id.write_direct_chunk((2,), values[2:].tobytes(), filter_mask=mask)
        name = dataset.id.get_create_plist().get_filter(0)[3]
    data = hdf5.path.read_bytes()
    place = data.index(name) - 8  # number, length of the name, flags, number of values
    assert data[place : place + 2] == (32004).to_bytes(2, "little")
    hdf5.path.write_bytes(data[:place] + new.to_bytes(2, "little") + data[place + 2 :])


@pytest.mark.parametrize("identifier", [32022, 32023])
def test_quantised_values_are_references_without_a_codec(hdf5: Hdf5File, identifier: int) -> None:
    renumbered(hdf5, identifier, 0)
    array = hdf5.parse().arrays["v"]
    assert array.metadata.codecs == ()
    assert (array.manifest.location_ids == 0).all()
    assert vz_beam.open_virtual_dataset(str(hdf5.path), loadable_variables=["v"])["v"].values.tolist() == [1, 2, 3, 4]


def test_an_unknown_filter_that_every_chunk_skips_does_not_matter(hdf5: Hdf5File) -> None:
    renumbered(hdf5, 32020, 1)
    array = hdf5.checked().arrays["v"]
    assert array.metadata.codecs == ()
    assert (array.manifest.location_ids == 0).all()


@pytest.mark.parametrize(
    ("identifier", "text"),
    [(32020, r"VBZ \(HDF5 filter 32020\)"), (305, r"LZO \(HDF5 filter 305\)"), (499, r"HDF5 filter 499\)")],
)
def test_unknown_filters_are_refused_by_name_and_number(hdf5: Hdf5File, identifier: int, text: str) -> None:
    renumbered(hdf5, identifier, 0)
    with pytest.raises(UnsupportedError, match=f"/v: it is compressed by .*{text}, which no Zarr reader decodes"):
        hdf5.parse()


def test_readers_are_told_of_hdf5plugin_where_chunks_need_it(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for name in ("szip", "lz4", "bitshuffle_zstd", "blosc2", "zfp"):
            file.create_dataset(name, data=SMOOTH, chunks=(32, 64), **FILTERS[name])
    packages = {name: required_packages(array.metadata.codecs) for name, array in hdf5.parse().arrays.items()}
    assert packages == {
        "szip": ("vz_beam",),
        "lz4": ("vz_beam",),
        "bitshuffle_zstd": ("vz_beam",),
        "blosc2": ("hdf5plugin", "vz_beam"),
        "zfp": ("hdf5plugin", "vz_beam"),
    }


PARSE_WITHOUT_PLUGIN = """
import sys
sys.modules["hdf5plugin"] = None
from vz_beam import open_virtual_dataset
open_virtual_dataset(sys.argv[1]).vz.to_kerchunk(sys.argv[2], format="json")
"""


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_kerchunk_store_is_the_same_without_hdf5plugin_and_opens_in_xarray(hdf5: Hdf5File, form: str) -> None:
    values = np.concatenate([SMOOTH, NOISE])
    with hdf5.write() as file:
        for name, options in FILTERS.items():
            file.create_dataset(name, data=values, chunks=(64, 64), **options)
    store = hdf5.path.with_name(f"store.{form}")
    vz_beam.open_virtual_dataset(str(hdf5.path)).vz.to_kerchunk(str(store), format=form)
    with xr.open_dataset(str(store), engine="kerchunk") as dataset, h5py.File(hdf5.path) as file:
        for name in FILTERS:
            np.testing.assert_array_equal(dataset[name].values, file[name][()], name)
    if form == "json":
        other = hdf5.path.with_name("without.json")
        command = [sys.executable, "-W", "ignore", "-c", PARSE_WITHOUT_PLUGIN, str(hdf5.path), str(other)]
        subprocess.run(command, check=True)
        assert other.read_bytes() == store.read_bytes()


INLINE_WITHOUT_PLUGIN = """
import sys
sys.modules["hdf5plugin"] = None
import vz_beam
try:
    vz_beam.HDFParser()(sys.argv[1])
except vz_beam.errors.UnsupportedError as error:
    print(error)
"""


def test_what_only_libhdf5_can_convert_is_refused_without_hdf5plugin_and_inlined_with_it(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=SMOOTH, chunks=(32, 64), scaleoffset=0, **hdf5plugin.LZ4())
    command = [sys.executable, "-W", "ignore", "-c", INLINE_WITHOUT_PLUGIN, str(hdf5.path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "the package hdf5plugin, which decodes LZ4 (HDF5 filter 32004), is not installed here" in refused
    command[4] = INLINE_WITHOUT_PLUGIN.replace('sys.modules["hdf5plugin"] = None', "")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
