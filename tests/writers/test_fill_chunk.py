from typing import Any

import numpy as np
import pytest

from vz_beam.codecs.pipeline import decode_chunk
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.writers.fill_chunk import fill_chunk

ZLIB = Codec("numcodecs.zlib", {"level": 4})


def test_no_chunk_is_made_where_a_missing_one_reads_right() -> None:
    for dtype, fill, attributes in (
        ("i2", np.int16(0), {}),
        ("i2", None, {}),
        ("i2", None, {"_FillValue": -999}),
        ("i2", np.int16(-999), {"_FillValue": -999}),
        ("f4", np.float32("nan"), {"_FillValue": float("nan")}),
        ("f4", np.float32(-0.0), {}),
        ("S1", np.bytes_(b""), {}),
        ("M8[s]", np.datetime64("NaT", "s"), {}),
        ([("a", "i4"), ("b", "f8")], np.zeros((), [("a", "i4"), ("b", "f8")])[()], {}),
    ):
        assert fill_chunk(_metadata(dtype, fill, attributes), "v") is None


@pytest.mark.parametrize(
    ("dtype", "fill", "attributes"),
    [
        ("i2", np.int16(0), {"_FillValue": -999}),
        ("i2", np.int16(-32767), {}),
        ("f4", np.float32("nan"), {}),
        ("f8", np.float64(0), {"_FillValue": float("nan")}),
        ("?", np.True_, {}),
        ("c8", np.complex64(1j), {}),
        ("S1", np.bytes_(b"-"), {}),
        ([("a", "i4"), ("b", "S2")], np.zeros((), [("a", "i4"), ("b", "S2")])[()], {}),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_the_chunk_decodes_to_the_storage_fill(dtype: Any, fill: Any, attributes: dict[str, Any], order: str) -> None:
    metadata = _metadata(dtype, fill, attributes, byte_order=order, codecs=(ZLIB,))
    encoded = fill_chunk(metadata, "v")
    assert encoded is not None
    np.testing.assert_array_equal(decode_chunk(metadata, encoded), np.full((3,), fill, dtype))


def test_a_huge_chunk_that_compresses_is_inlined_and_one_that_does_not_is_refused_by_name() -> None:
    shape = (20_000_000,)
    encoded = fill_chunk(_metadata("i1", np.int8(1), {}, shape, codecs=(ZLIB,)), "v")
    assert encoded is not None
    assert len(encoded) < 100_000
    with pytest.raises(UnsupportedError, match=r"'group/v'.*20,000,000 bytes.*drop_variables=\['group/v'\]"):
        fill_chunk(_metadata("i1", np.int8(1), {}, shape), "group/v")
    with pytest.raises(UnsupportedError, match="may be inlined"):
        fill_chunk(_metadata("i1", np.int8(1), {}, (2**31,), codecs=(ZLIB,)), "v")


def test_a_codec_that_cannot_encode_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"vz_beam\.unheard"):
        fill_chunk(_metadata("i2", np.int16(1), {}, codecs=(Codec("vz_beam.unheard"),)), "v")


def _metadata(
    dtype: Any, fill: Any, attributes: dict[str, Any], shape: tuple[int, ...] = (3,), **choices: Any
) -> ArrayMetadata:
    return ArrayMetadata(
        shape, np.dtype(dtype), shape, fill_value=fill, attributes=attributes, dimension_names=("x",), **choices
    )
