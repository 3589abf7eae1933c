import json
from typing import Any

import numpy as np
import pytest

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.cf_fill import cf_fill
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.zarr_v2 import attributes_v2, shows_storage_fill, to_v2


def test_all_codecs_are_filters_in_encoding_order() -> None:
    codecs = (
        Codec("numcodecs.delta", {"dtype": "<i4"}),
        Codec("numcodecs.shuffle", {"elementsize": 4}),
        Codec("blosc", {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}),
        Codec("zstd", {"level": 3, "checksum": False}),
        Codec("vz_beam.lzf", {"nbytes": 8}),
        Codec("numcodecs.fletcher32"),
    )
    document = to_v2(ArrayMetadata((4,), np.dtype("i4"), (2,), codecs=codecs))
    assert document["compressor"] is None
    assert document["filters"] == [
        {"id": "delta", "dtype": "<i4"},
        {"id": "shuffle", "elementsize": 4},
        {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 2, "blocksize": 0},
        {"id": "zstd", "level": 3, "checksum": False},
        {"id": "vz_beam.lzf", "nbytes": 8},
        {"id": "fletcher32"},
    ]


@pytest.mark.parametrize(
    ("dtype", "byte_order", "text"),
    [
        ("f4", "big", ">f4"),
        ("f4", "little", "<f4"),
        ("i1", "big", "|i1"),
        ("S3", None, "|S3"),
        ("U3", "big", ">U3"),
        ("M8[s]", "little", "<M8[s]"),
        ([("a", "<i4"), ("b", "<f8")], "big", [["a", ">i4"], ["b", ">f8"]]),
        ([("a", "<i4"), ("b", ">f8")], None, [["a", "<i4"], ["b", ">f8"]]),
    ],
)
def test_the_byte_order_is_in_the_type(dtype: Any, byte_order: str | None, text: Any) -> None:
    assert to_v2(ArrayMetadata((4,), np.dtype(dtype), (2,), byte_order))["dtype"] == text


def test_strings_are_objects_with_a_filter_of_their_own() -> None:
    zlib = Codec("numcodecs.zlib", {"level": 1})
    metadata = ArrayMetadata((4,), np.dtypes.StringDType(), (2,), None, Codec("vlen-utf8"), (zlib,), "")
    document = to_v2(metadata)
    assert (document["dtype"], document["fill_value"]) == ("|O", None)
    assert document["filters"] == [{"id": "vlen-utf8"}, {"id": "zlib", "level": 1}]


@pytest.mark.parametrize(
    ("dtype", "fill", "text"),
    [
        ("i2", None, None),
        ("i2", -999, -999),
        ("i2", -999.0, -999),
        ("i2", [-999], -999),
        ("i1", 255, -1),
        ("u1", -1, 255),
        ("i2", float("nan"), None),
        ("i2", 1e20, None),
        ("i2", "none", None),
        ("f4", 1e20, 1.0000000200408773e20),
        ("f4", float("nan"), "NaN"),
        ("f4", "NaN", "NaN"),
        ("f4", np.float32(5), 5.0),
        ("f4", "none", None),
        ("S1", "-", "LQ=="),
        ("S1", b"\xff", "/w=="),
        ("S1", "--", None),
        ("U3", "ab", "ab"),
        ("c8", [1, 2], [1.0, 2.0]),
        ([("a", "<i4")], 5, None),
    ],
)
def test_the_fill_value_is_the_attribute_and_never_the_storage_fill(dtype: Any, fill: Any, text: Any) -> None:
    attributes = {} if fill is None else {"_FillValue": fill}
    stored = np.ones((), dtype)[()]
    metadata = ArrayMetadata((4,), np.dtype(dtype), (2,), fill_value=stored, attributes=attributes)
    assert to_v2(metadata)["fill_value"] == text
    assert (cf_fill(metadata) is None) == (text is None)


def test_missing_value_is_no_fill_value() -> None:
    metadata = ArrayMetadata((4,), np.dtype("i2"), (2,), attributes={"missing_value": -1})
    assert to_v2(metadata)["fill_value"] is None


def test_a_missing_chunk_reads_as_the_storage_fill_or_it_does_not() -> None:
    def shows(fill: Any, **attributes: Any) -> bool:
        return shows_storage_fill(ArrayMetadata((4,), np.dtype("f4"), (2,), fill_value=fill, attributes=attributes))

    assert shows(None, _FillValue=-9.0)
    assert shows(np.float32(0))
    assert shows(np.float32("nan"), _FillValue=float("nan"))
    assert shows(1e20, _FillValue=np.float32(1e20))
    assert not shows(np.float32(0), _FillValue=-9.0)
    assert not shows(np.float32("nan"))


def test_numbers_among_attributes_stay_numbers() -> None:
    attributes = {"valid_max": float("inf"), "_FillValue": float("nan"), "flags": np.array([1, 2], "i1"), "units": "K"}
    metadata = ArrayMetadata((4, 2), np.dtype("f4"), (2, 2), attributes=attributes, dimension_names=("y", "x"))
    said = json.loads(json.dumps(attributes_v2(metadata)))
    assert said["valid_max"] == float("inf")
    assert np.isnan(said["_FillValue"])
    assert (said["flags"], said["units"], said["_ARRAY_DIMENSIONS"]) == ([1, 2], "K", ["y", "x"])


def test_dimensions_without_names_get_names_that_fit_together() -> None:
    assert attributes_v2(ArrayMetadata((), np.dtype("f4"), ()))["_ARRAY_DIMENSIONS"] == []
    unnamed = ArrayMetadata((4, 4), np.dtype("f4"), (2, 2))
    assert attributes_v2(unnamed)["_ARRAY_DIMENSIONS"] == ["phony_dim_0_4", "phony_dim_1_4"]


@pytest.mark.parametrize(
    ("dtype", "choices", "words"),
    [
        ("i2", {"codecs": (Codec("crc32c"),)}, "crc32c"),
        ("i2", {"codecs": (Codec("transpose", {"order": [0]}),)}, "transpose"),
        ("i2", {"serializer": Codec("sharding_indexed", {"chunk_shape": [1]})}, "sharding_indexed"),
        ("O", {}, "without a serializer"),
        ([("a", "i4", (2,))], {}, "field 'a' is an array"),
        ([("a", [("b", "i4")])], {}, "within a struct"),
    ],
)
def test_what_zarr_v2_cannot_say_is_refused_by_name(dtype: Any, choices: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'g/v'.*{words}.*Way out"):
        to_v2(ArrayMetadata((4,), np.dtype(dtype), (2,), **choices), "g/v")
