from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from vz_beam.codecs import lzf_v3  # noqa: F401  # zarr knows the codec from then on
from vz_beam.codecs.pipeline import decode_chunk, encode_chunk
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.storage.manifest_store import ManifestStore

SHUFFLE = Codec("numcodecs.shuffle", {"elementsize": 4})
PIPELINES = {
    "none": (),
    "zlib": (SHUFFLE, Codec("numcodecs.zlib", {"level": 4}), Codec("numcodecs.fletcher32")),
    "bz2": (Codec("numcodecs.bz2", {"level": 9}),),
    "zstd": (Codec("zstd", {"level": 3, "checksum": False}),),
    "blosc": (Codec("blosc", {"typesize": 4, "cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0}),),
    "lzf": (SHUFFLE, Codec("vz_beam.lzf", {"nbytes": 24})),
}


def read_by_zarr(metadata: ArrayMetadata, chunk: bytes) -> NDArray[Any]:
    manifest = ChunkManifest.from_inlined(metadata.chunk_grid.grid_shape, {0: chunk})
    store = ManifestStore(ManifestGroup({"v": ManifestArray(metadata, manifest)}))
    array = zarr.open_array(store, path="v", mode="r")
    return np.asarray(array[...])


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("name", PIPELINES)
def test_encoded_chunks_are_what_zarr_decodes(name: str, order: str) -> None:
    metadata = ArrayMetadata((2, 3), np.dtype("f4"), (2, 3), order, None, PIPELINES[name])
    values = np.arange(6, dtype="f4").reshape(2, 3)
    chunk = encode_chunk(metadata, values)
    assert read_by_zarr(metadata, chunk).tolist() == values.tolist()
    decoded = decode_chunk(metadata, chunk)
    assert (decoded.dtype, decoded.tolist()) == (np.dtype("f4"), values.tolist())


@pytest.mark.parametrize(("fill", "padding"), [(np.int16(-1), -1), (None, 0)])
def test_a_chunk_at_the_edge_is_padded_with_the_fill(fill: Any, padding: int) -> None:
    metadata = ArrayMetadata((2, 3), np.dtype("i2"), (2, 4), fill_value=fill)
    chunk = encode_chunk(metadata, np.arange(3, dtype="i2").reshape(1, 3))
    assert decode_chunk(metadata, chunk).tolist() == [[0, 1, 2, padding], [padding] * 4]


def test_strings_are_encoded_as_zarr_decodes_them() -> None:
    strings = np.dtypes.StringDType()
    metadata = ArrayMetadata((3,), strings, (4,), None, Codec("vlen-utf8"), fill_value="")
    chunk = encode_chunk(metadata, np.array(["a", "", "größer"], strings))
    assert decode_chunk(metadata, chunk).tolist() == ["a", "", "größer", ""]
    assert read_by_zarr(metadata, chunk).tolist() == ["a", "", "größer"]


def test_compounds_are_packed() -> None:
    dtype = np.dtype([("a", "i2"), ("b", "f8")])
    metadata = ArrayMetadata((2,), dtype, (2,))
    values = np.array([(1, 2.5), (3, -1)], dtype)
    assert decode_chunk(metadata, encode_chunk(metadata, values)).tolist() == values.tolist()


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_chunks_may_hold_their_axes_in_another_order(order: tuple[int, int]) -> None:
    codecs = (Codec("transpose", {"order": list(order)}), Codec("gzip", {"level": 1}))
    metadata = ArrayMetadata((2, 3), np.dtype("i4"), (2, 3), codecs=codecs)
    values = np.arange(6, dtype="i4").reshape(2, 3)
    chunk = encode_chunk(metadata, values)
    assert gzip.decompress(chunk) == values.transpose(order).tobytes()
    assert decode_chunk(metadata, chunk).tolist() == read_by_zarr(metadata, chunk).tolist() == values.tolist()


def test_decoded_values_can_be_changed() -> None:
    metadata = ArrayMetadata((2,), np.dtype("i4"), (2,))
    decode_chunk(metadata, bytes(8))[0] = 1


@pytest.mark.parametrize(
    "metadata",
    [
        ArrayMetadata((2,), np.dtype("i4"), (2,), codecs=(Codec("numcodecs.delta", {"dtype": "<i4"}),)),
        ArrayMetadata((2,), np.dtype("i4"), (2,), serializer=Codec("sharding_indexed")),
    ],
    ids=["delta", "sharding"],
)
def test_codecs_that_act_on_arrays_are_refused(metadata: ArrayMetadata) -> None:
    with pytest.raises(UnsupportedError, match="can be neither decoded nor encoded"):
        encode_chunk(metadata, np.zeros(2, "i4"))


def test_chunks_of_texts_that_claim_another_number_of_them_are_refused() -> None:
    metadata = ArrayMetadata((3,), np.dtypes.StringDType(), (3,), None, Codec("vlen-utf8"), fill_value="")
    chunk = encode_chunk(metadata, np.array(["a", "b", "c"], np.dtypes.StringDType()))
    for count in (0, 2, 4, 2**31 - 1, 2**32 - 1):
        with pytest.raises(FormatError, match="does not hold the 3"):
            decode_chunk(metadata, count.to_bytes(4, "little") + chunk[4:])


@pytest.mark.parametrize("order", ["little", "big"])
def test_numbers_that_are_no_characters_are_refused(order: str) -> None:
    metadata = ArrayMetadata((2,), np.dtype("U2"), (2,), order)
    chunk = encode_chunk(metadata, np.array(["ab", "\U0010ffff"]))
    assert decode_chunk(metadata, chunk).tolist() == ["ab", "\U0010ffff"]
    with pytest.raises(FormatError, match="no characters"):
        decode_chunk(metadata, (0x110000).to_bytes(4, order) + chunk[4:])  # type: ignore[arg-type]  # one of the two
