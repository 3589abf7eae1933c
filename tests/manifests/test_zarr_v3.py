import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import MemoryStore

from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.fill_value import encode_fill
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.manifests.zarr_v3 import from_v3, group_v3, has_byte_order, to_v3

STRUCT = np.dtype([("a", "<i4"), ("b", [("x", "<f8"), ("s", "S3")])])
SCALARS: list[tuple[Any, Any]] = [
    ("?", True),
    ("i1", -3),
    ("u8", 2**64 - 1),
    ("f2", 0.5),
    ("f4", np.nan),
    ("f8", -np.inf),
    ("c8", 1j),
    ("S5", b"ab\xff"),
    ("U3", "é"),
    ("V4", b"abcd"),
    ("M8[10s]", np.datetime64("2000-01-01")),
    ("m8[ns]", np.timedelta64("NaT")),
    (STRUCT, (3, (1.5, b"a"))),
]


@pytest.mark.parametrize(("dtype", "value"), SCALARS)
def test_zarr_takes_the_document_and_says_the_same(dtype: Any, value: Any) -> None:
    metadata = _metadata(np.dtype(dtype), fill_value=np.array(value, dtype)[()])
    document = to_v3(metadata)
    parsed = ArrayV3Metadata.from_dict(document)
    said = parsed.to_dict()
    assert said["data_type"] == document["data_type"]
    assert json.dumps(said["fill_value"]) == json.dumps(document["fill_value"])
    for back in (from_v3(json.loads(json.dumps(document))), from_v3(parsed)):
        assert json.dumps(to_v3(back)) == json.dumps(document)
        assert (back.dtype, back.byte_order) == (metadata.dtype, metadata.byte_order)


def test_the_document_of_strings_is_read_back() -> None:
    metadata = ArrayMetadata((4,), np.dtypes.StringDType(), (2,), None, Codec("vlen-utf8"), fill_value="?")
    assert from_v3(to_v3(metadata)) == metadata
    assert from_v3(ArrayV3Metadata.from_dict(to_v3(metadata))) == metadata


def test_codecs_keep_their_order_around_the_step_to_bytes() -> None:
    codecs = (
        Codec("transpose", {"order": [1, 0]}),
        Codec("numcodecs.delta", {"dtype": "<i4"}),
        Codec("numcodecs.shuffle", {"elementsize": 4}),
        Codec("zstd", {"level": 1, "checksum": False}),
    )
    metadata = ArrayMetadata((4, 3), np.dtype("i4"), (2, 3), "big", codecs=codecs, fill_value=np.int32(0))
    document = to_v3(metadata)
    assert [codec["name"] for codec in document["codecs"]] == [
        "transpose",
        "numcodecs.delta",
        "bytes",
        "numcodecs.shuffle",
        "zstd",
    ]
    assert document["codecs"][2]["configuration"] == {"endian": "big"}
    assert from_v3(document) == metadata


@pytest.mark.parametrize(("dtype", "value"), SCALARS)
def test_zarr_shows_an_undefined_fill_as_the_default_of_the_type(dtype: Any, value: Any) -> None:
    document = to_v3(_metadata(np.dtype(dtype), fill_value=None))
    if dtype is STRUCT:
        return  # zarr 3.1 makes the text "0" of it, where zero bytes are the empty text
    default = ArrayV3Metadata.from_dict(document).dtype.default_scalar()
    assert document["fill_value"] == encode_fill(default, np.dtype(dtype))


@pytest.mark.parametrize(
    ("dtype", "fill"), [("f4", -9.0), ("f8", float("nan")), ("i2", -9), ("c8", [1.0, 2.0]), ("S1", "-"), ("U2", "a")]
)
def test_xarray_opens_an_array_whose_attributes_name_a_fill_value(dtype: str, fill: Any) -> None:
    metadata = _metadata(np.dtype(dtype), attributes={"_FillValue": fill, "units": "K"}, dimension_names=("x",))
    store = MemoryStore()
    group = zarr.open_group(store, mode="w", zarr_format=3)
    document = to_v3(metadata)
    group.create_array(
        "v", shape=(4,), chunks=(2,), dtype=dtype, attributes=document["attributes"], dimension_names=["x"]
    )
    with xr.open_zarr(store, consolidated=False, chunks=None, mask_and_scale=False) as dataset:
        assert dataset["v"].attrs["units"] == "K"
        shown = dataset["v"].attrs.get("_FillValue")
        expected = None if dtype[0] in "SU" else complex(*fill) if dtype == "c8" else fill
        assert shown == expected or (shown != shown and fill != fill)
    if dtype[0] not in "SU":
        np.testing.assert_array_equal(from_v3(document).attributes["_FillValue"], fill)


def test_numpy_values_among_attributes_become_plain() -> None:
    attributes = {"scale": np.float32(0.5), "flags": np.array([1, 2], "i1")}
    assert json.loads(json.dumps(group_v3(attributes)))["attributes"] == {"scale": 0.5, "flags": [1, 2]}


def test_dimension_names_may_be_absent_in_part() -> None:
    document = to_v3(ArrayMetadata((4, 3), np.dtype("i4"), (2, 3)))
    assert "dimension_names" not in document
    assert from_v3({**document, "dimension_names": [None, None]}).dimension_names is None
    assert from_v3({**document, "dimension_names": ["x", None]}).dimension_names == ("x", "dim_1")


@pytest.mark.parametrize(
    ("dtype", "byte_order"),
    [
        (np.dtype([("a", ">i4")]), None),
        (np.dtype([("a", "<i4")]), "big"),
        (np.dtype([("a", "<i4", (2,))]), None),
        (np.dtype([("a", "i1"), ("b", "<i4")], align=True), None),
        (np.dtype(object), None),
    ],
)
def test_types_without_a_name_are_refused(dtype: np.dtype[Any], byte_order: str | None) -> None:
    with pytest.raises(UnsupportedError):
        to_v3(ArrayMetadata((4,), dtype, (2,), byte_order))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"chunk_grid": {"name": "rectilinear"}}, UnsupportedError),
        ({"storage_transformers": [{"name": "x"}]}, UnsupportedError),
        ({"data_type": "float128x"}, UnsupportedError),
        ({"codecs": []}, FormatError),
        ({"codecs": [{"name": "transpose", "configuration": {"order": [0]}}]}, FormatError),
    ],
)
def test_documents_that_cannot_be_referenced_are_refused(change: dict[str, Any], error: type[Exception]) -> None:
    document = to_v3(_metadata(np.dtype("i4")))
    with pytest.raises(error):
        from_v3({**document, **change})
    with pytest.raises(FormatError, match="lacks shape"):
        from_v3({})


def _metadata(dtype: np.dtype[Any], **choices: Any) -> ArrayMetadata:
    return ArrayMetadata((4,), dtype, (2,), "little" if has_byte_order(dtype) else None, **choices)
