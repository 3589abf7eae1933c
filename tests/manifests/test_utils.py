"""Metadata as parsers written for VirtualiZarr make it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr.codecs

from vz_beam.errors import UnsupportedError
from vz_beam.manifests import ChunkManifest, Codec, ManifestArray
from vz_beam.manifests.manifest import join
from vz_beam.manifests.utils import ceildiv, copy_and_replace_metadata, create_v3_array_metadata, manifest_chunk_shape
from vz_beam.manifests.zarr_v3 import to_v3


def made(data_type: Any = "i4", **fields: Any) -> Any:
    return create_v3_array_metadata(shape=(4, 6), data_type=data_type, chunk_shape=(2, 3), **fields)


def test_no_fill_value_stays_none() -> None:
    assert made().fill_value is None
    assert made(fill_value=0).fill_value == 0
    assert np.isnan(made(np.dtype("f4"), fill_value="NaN").fill_value)
    assert np.isnan(made(np.dtype("f4"), fill_value=np.nan).fill_value)


@pytest.mark.parametrize(
    ("dtype", "order"), [(">i4", "big"), ("<i4", "little"), ("i1", None), ("S3", None), (">M8[s]", "big")]
)
def test_the_byte_order_lives_in_the_codec(dtype: str, order: str | None) -> None:
    metadata = made(np.dtype(dtype))
    assert metadata.byte_order == order
    assert metadata.dtype == np.dtype(dtype).newbyteorder("=")


def test_codecs_keep_their_order_within_their_kind() -> None:
    zlib, shuffle = {"name": "numcodecs.zlib", "configuration": {"level": 4}}, {"name": "numcodecs.shuffle"}
    delta = {"name": "numcodecs.delta", "configuration": {"dtype": "<i4"}}
    metadata = made(codecs=[zlib, shuffle, delta])
    assert [codec.name for codec in metadata.codecs] == ["numcodecs.delta", "numcodecs.zlib", "numcodecs.shuffle"]
    assert [codec["name"] for codec in to_v3(metadata)["codecs"]][1] == "bytes"
    given = made(codecs=[zarr.codecs.BytesCodec(endian="big"), zarr.codecs.GzipCodec(level=1)])
    assert given.byte_order == "big"
    assert given.codecs == (Codec("gzip", {"level": 1}),)
    assert made(np.dtypes.StringDType()).serializer == Codec("vlen-utf8")
    assert made(zarr.dtype.Float64()).dtype == np.dtype("f8")
    with pytest.raises(UnsupportedError, match="each make bytes"):
        made(codecs=["bytes", "vlen-utf8"])


def test_structs_of_mixed_byte_orders_are_refused() -> None:
    assert made(np.dtype([("a", "<i4"), ("b", "i1")])).byte_order == "little"
    with pytest.raises(UnsupportedError, match="mixes byte orders"):
        made(np.dtype([("a", "<i4"), ("b", ">f8")]))


def test_metadata_makes_an_array() -> None:
    metadata = made(dimension_names=["t", "x"], attributes={"units": "K"})
    array = ManifestArray(metadata=metadata, chunkmanifest=ChunkManifest({}, shape=(2, 2)))
    assert array.to_virtual_variable().attrs == {"units": "K"}
    assert manifest_chunk_shape(metadata) == (2, 3)
    new = copy_and_replace_metadata(metadata, new_shape=(8, 6), new_chunks=(4, 3), new_attributes={})
    assert (new.shape, new.chunk_shape, new.dimension_names, new.attributes) == ((8, 6), (4, 3), ("t", "x"), {})
    assert copy_and_replace_metadata(metadata, new_dimension_names=None).dimension_names is None
    assert (ceildiv(7, 2), join((0, 1)), join(())) == (4, "0.1", "c")
