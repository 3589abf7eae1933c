from __future__ import annotations

import pytest

from vz_beam.codecs.decoding import decodes_alike, decoding_of, required_packages
from vz_beam.manifests.metadata import Codec

BLOSC = {"typesize": 4, "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}


def hdf5_filter(identifier: int, *values: int) -> Codec:
    return Codec("vz_beam.hdf5_filter", {"filter": identifier, "values": list(values), "nbytes": 64})


SAME = [
    (Codec("numcodecs.zlib", {"level": 1}), Codec("numcodecs.zlib", {"level": 9})),
    (Codec("gzip", {"level": 1}), Codec("numcodecs.gzip", {"level": 6})),
    (Codec("numcodecs.bz2", {"level": 1}), Codec("numcodecs.bz2", {"level": 9})),
    (Codec("zstd", {"level": 1, "checksum": False}), Codec("zstd", {"level": 3, "checksum": True})),
    (Codec("blosc", BLOSC), Codec("blosc", {**BLOSC, "cname": "zstd", "typesize": 8, "clevel": 1})),
    (Codec("numcodecs.lzma", {"preset": 1}), Codec("numcodecs.lzma", {"preset": 9})),
    (hdf5_filter(4, 141, 8, 32, 64), hdf5_filter(4, 13, 8, 32, 64)),
    (hdf5_filter(32004, 1024), hdf5_filter(32004)),
    (hdf5_filter(32008, 0, 4, 4, 64, 2), hdf5_filter(32008, 0, 3, 4, 0, 2)),
    (hdf5_filter(32008, 0, 4, 4), hdf5_filter(32008, 0, 4, 4, 0, 0)),
    (hdf5_filter(32026, 1, 0, 4, 64, 5, 1, 0), hdf5_filter(32026, 1, 0, 4, 64, 9, 2, 5)),
]
OTHER = [
    (Codec("numcodecs.zlib", {"level": 1}), Codec("zstd", {"level": 1})),
    (Codec("numcodecs.shuffle", {"elementsize": 4}), Codec("numcodecs.shuffle", {"elementsize": 8})),
    (Codec("vz_beam.lzf", {"nbytes": 4}), Codec("vz_beam.lzf", {"nbytes": 8})),
    (Codec("numcodecs.lzma", {"format": 1}), Codec("numcodecs.lzma", {"format": 3})),
    (Codec("numcodecs.zlib"), Codec("gzip")),
    (hdf5_filter(4, 141, 8, 32, 64), hdf5_filter(4, 169, 8, 32, 64)),
    (hdf5_filter(4, 141, 8, 32, 64), hdf5_filter(4, 141, 16, 32, 64)),
    (hdf5_filter(6, 0, 2, 4), hdf5_filter(6, 0, 3, 4)),
    (hdf5_filter(32008, 0, 4, 4, 0, 2), hdf5_filter(32008, 0, 4, 4, 0, 3)),
    (hdf5_filter(32008, 0, 4, 4, 64, 0), hdf5_filter(32008, 0, 4, 4, 0, 0)),
    (hdf5_filter(32008, 0, 4, 4, 0, 2), hdf5_filter(32008, 0, 4, 8, 0, 2)),
    (hdf5_filter(32013, 1, 2), hdf5_filter(32013, 1, 3)),
    (hdf5_filter(32004), hdf5_filter(32026)),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=lambda codec: codec.name)
def test_what_only_the_writer_needs_does_not_count(one: Codec, other: Codec) -> None:
    assert decodes_alike((one,), (other,))


@pytest.mark.parametrize(("one", "other"), OTHER, ids=lambda codec: codec.name)
def test_what_decoding_needs_counts(one: Codec, other: Codec) -> None:
    assert not decodes_alike((one,), (other,))


def test_a_shuffle_of_single_bytes_is_no_step() -> None:
    assert decoding_of([Codec("numcodecs.shuffle", {"elementsize": 1})]) == ()


def test_order_counts() -> None:
    steps = (Codec("numcodecs.shuffle", {"elementsize": 4}), Codec("numcodecs.fletcher32"))
    assert not decodes_alike(steps, steps[::-1])


def test_packages_beyond_zarr_and_numcodecs_are_named() -> None:
    plain = [Codec("blosc", BLOSC), Codec("numcodecs.shuffle", {"elementsize": 4}), Codec("zstd"), Codec("vlen-utf8")]
    assert required_packages(plain) == ()
    others = [Codec("vz_beam.lzf", {"nbytes": 4}), Codec("imagecodecs_szip"), Codec("numcodecs.imagecodecs_lz4h5")]
    assert required_packages([*plain, *others]) == ("imagecodecs", "vz_beam")
    assert required_packages([hdf5_filter(4), hdf5_filter(32008)]) == ("vz_beam",)
    assert required_packages([hdf5_filter(32026)]) == ("hdf5plugin", "vz_beam")
