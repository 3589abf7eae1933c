from __future__ import annotations

import json
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.zarr_v2 import attributes_v2, to_v2
from vz_beam.manifests.zarr_v2_reading import from_v2, separator_v2
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import assert_same_values

DOCUMENT: dict[str, Any] = {
    "zarr_format": 2, "shape": [4, 6], "chunks": [2, 3], "dtype": "<i2", "compressor": None, "filters": None,
    "fill_value": None, "order": "C",
}  # fmt: skip


def made_by_zarr(dtype: str, **words: Any) -> tuple[dict[str, Any], dict[str, bytes], Any]:
    """Document, chunks by key, and values of an array that zarr wrote in Zarr v2."""
    store = MemoryStore()
    if "filters" in words:
        words["filters"] = [numcodecs.get_codec(dict(step)) for step in words["filters"]]
    array: Any = zarr.create_array(store, shape=(5, 6), chunks=(2, 3), dtype=dtype, zarr_format=2, **words)
    kind = np.dtype(dtype).kind
    values: Any = np.random.default_rng(3).integers(0, 2 if kind == "b" else 100, (5, 6))
    if kind in "SU":
        values = values.astype("U")
    array[:4] = values[:4].astype(dtype)
    stored = {key: value.to_bytes() for key, value in store._store_dict.items()}
    document = json.loads(stored.pop(".zarray"))
    return document, {key: value for key, value in stored.items() if not key.startswith(".")}, array[...]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "dtype",
    [
        "<i2",
        ">i4",
        "|u1",
        "|i1",
        "|b1",
        "<f4",
        ">f8",
        "<f2",
        "<c8",
        ">c16",
        "<u8",
        "|S3",
        "<U2",
        ">U2",
        "<M8[s]",
        "<m8[ns]",
    ],
)
def test_arrays_that_zarr_wrote_have_its_values(dtype: str, order: str) -> None:
    document, chunks, expected = made_by_zarr(dtype, order=order)
    assert_same_values(values_of(document, chunks), expected)


CODECS: dict[str, dict[str, Any]] = {
    "zlib": {"compressors": {"id": "zlib", "level": 3}},
    "gzip": {"compressors": {"id": "gzip", "level": 3}},
    "bz2": {"compressors": {"id": "bz2", "level": 3}},
    "zstd": {"compressors": {"id": "zstd", "level": 3}},
    "lz4": {"compressors": {"id": "lz4", "acceleration": 1}},
    "lzma": {"compressors": {"id": "lzma"}},
    "blosc": {"compressors": {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 0}},
    "blosc by size": {"compressors": {"id": "blosc", "cname": "lz4", "clevel": 3, "shuffle": -1}},
    "shuffle": {"filters": [{"id": "shuffle", "elementsize": 4}], "compressors": {"id": "zlib", "level": 1}},
    "delta": {"filters": [{"id": "delta", "dtype": ">f4"}], "compressors": {"id": "zlib", "level": 1}},
    "scaled": {
        "filters": [{"id": "fixedscaleoffset", "offset": 0, "scale": 10, "dtype": ">f4", "astype": "<i2"}],
        "compressors": None,
    },
    "checked": {"filters": [{"id": "fletcher32"}], "compressors": None},
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs_of_zarr_v2_decode_as_zarr_decodes_them(name: str) -> None:
    document, chunks, expected = made_by_zarr(">f4", **CODECS[name])
    assert_same_values(values_of(document, chunks), expected)


def values_of(document: dict[str, Any], chunks: dict[str, bytes]) -> Any:
    metadata = from_v2(document)
    grid = metadata.chunk_grid
    numbers = {
        int(np.ravel_multi_index(tuple(map(int, key.split("."))), grid.grid_shape)): data
        for key, data in chunks.items()
    }
    manifest = ChunkManifest.from_inlined(grid.grid_shape, numbers)
    root: Any = zarr.open_group(ManifestStore(ManifestGroup({"v": ManifestArray(metadata, manifest)})), mode="r")
    return np.asarray(root["v"][...])


def test_what_is_written_in_zarr_v2_is_read_back_the_same() -> None:
    zlib = Codec("numcodecs.zlib", {"level": 1})
    for metadata in (
        ArrayMetadata((4, 6), np.dtype("i2"), (2, 3), "little", None, (zlib,), dimension_names=("y", "x")),
        ArrayMetadata((4, 6), np.dtype("f8"), (2, 3), "big", None, (), dimension_names=("y", "x")),
        ArrayMetadata((4,), np.dtypes.StringDType(), (2,), None, Codec("vlen-utf8"), (zlib,), dimension_names=("y",)),
        ArrayMetadata((), np.dtype("f4"), (), "little", dimension_names=()),
        ArrayMetadata((0, 3), np.dtype("f4"), (1, 3), "little", dimension_names=("t", "x")),
        ArrayMetadata(
            (4,), np.dtype("i2"), (2,), "little", None, (), np.int16(-9), {"_FillValue": -9, "units": "K"}, ("x",)
        ),
        ArrayMetadata((4, 6), np.dtype("i2"), (2, 3), "little", None, (Codec("transpose", {"order": [1, 0]}),),
                      dimension_names=("y", "x")),
    ):  # fmt: skip
        again = from_v2(to_v2(metadata), attributes_v2(metadata))
        assert again == metadata, metadata


@pytest.mark.parametrize(
    ("dtype", "fill", "shown"),
    [
        ("<i2", -9, -9),
        ("<f4", "NaN", np.nan),
        ("<f4", "-Infinity", -np.inf),
        ("|b1", True, True),
        ("<u8", 2**64 - 1, 2**64 - 1),
    ],
)
def test_a_fill_value_is_that_of_missing_chunks_and_means_missing_data(dtype: str, fill: Any, shown: Any) -> None:
    metadata = from_v2({**DOCUMENT, "dtype": dtype, "fill_value": fill}, {"_FillValue": 1, "units": "K"})
    np.testing.assert_equal(np.asarray(metadata.fill_value)[()], np.asarray(shown, dtype)[()])
    np.testing.assert_equal(metadata.attributes["_FillValue"], shown)
    assert metadata.attributes["units"] == "K"


def test_no_fill_value_leaves_the_attribute_as_it_is() -> None:
    metadata = from_v2(DOCUMENT, {"_FillValue": 1})
    assert (metadata.fill_value, metadata.attributes) == (None, {"_FillValue": 1})


def test_dimension_names_are_no_attribute_and_may_be_absent() -> None:
    attributes = {"_ARRAY_DIMENSIONS": ["y", "x"], "units": "K"}
    metadata = from_v2(DOCUMENT, attributes)
    assert (metadata.dimension_names, metadata.attributes) == (("y", "x"), {"units": "K"})
    assert attributes == {"_ARRAY_DIMENSIONS": ["y", "x"], "units": "K"}
    assert from_v2(DOCUMENT).dimension_names is None


def test_chunks_that_other_writers_give_scalars_and_empty_dimensions_are_made_right() -> None:
    assert from_v2({**DOCUMENT, "shape": [], "chunks": [1]}).chunk_shape == ()
    assert from_v2({**DOCUMENT, "shape": [0, 3], "chunks": [0, 3]}).chunk_shape == (1, 3)
    with pytest.raises(FormatError, match="chunk shape"):
        from_v2({**DOCUMENT, "shape": [4, 3], "chunks": [0, 3]})


def test_structs_keep_their_fields_and_one_byte_order() -> None:
    assert from_v2({**DOCUMENT, "dtype": [["a", ">i2"], ["b", ">f8"]]}).byte_order == "big"
    with pytest.raises(UnsupportedError, match="mixes byte orders"):
        from_v2({**DOCUMENT, "dtype": [["a", "<i2"], ["b", ">f8"]]})


def test_a_filter_on_arrays_after_one_on_bytes_is_refused_with_both_names() -> None:
    filters = [{"id": "zlib"}, {"id": "delta", "dtype": "<i2"}]
    with pytest.raises(UnsupportedError, match=r"\['zlib', 'delta'\]"):
        from_v2({**DOCUMENT, "filters": filters})
    assert filters == [{"id": "zlib"}, {"id": "delta", "dtype": "<i2"}]


def test_what_an_array_document_lacks_is_named() -> None:
    for name in ("shape", "chunks", "dtype"):
        with pytest.raises(FormatError, match=f"lacks {name}"):
            from_v2({key: value for key, value in DOCUMENT.items() if key != name})
    odd: Any
    for odd in (None, [], "text"):
        with pytest.raises(FormatError):
            from_v2({**DOCUMENT, "dtype": odd})


def test_keys_have_dots_unless_the_document_says_slashes() -> None:
    assert (separator_v2(DOCUMENT), separator_v2({"dimension_separator": "/"})) == (".", "/")
    with pytest.raises(FormatError, match="dimension_separator is '_'"):
        separator_v2({"dimension_separator": "_"})
