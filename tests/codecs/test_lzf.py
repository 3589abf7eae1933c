from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.codecs.lzf import LzfV2, decode_lzf, encode_lzf
from vz_beam.codecs.lzf_v3 import LzfV3
from vz_beam.errors import FormatError


@given(st.binary(min_size=1, max_size=2000) | st.builds(lambda b, n: b * n, st.binary(min_size=1), st.integers(1, 99)))
def test_decoding_undoes_encoding(data: bytes) -> None:
    assert decode_lzf(encode_lzf(data), len(data)).tobytes() == data


@pytest.mark.parametrize("values", [np.arange(5000) // 3, np.random.default_rng(2).random(300)], ids=["even", "noise"])
def test_what_h5py_wrote_decodes(values: np.ndarray, tmp_path: os.PathLike[str]) -> None:
    with h5py.File(f"{os.fspath(tmp_path)}/a.h5", "w") as file:
        dataset = file.create_dataset("v", data=values, chunks=values.shape, compression="lzf")
        mask, data = dataset.id.read_direct_chunk((0,))
    if mask == 0:
        assert decode_lzf(data, values.nbytes).tobytes() == values.tobytes()
    else:
        assert bytes(data) == values.tobytes()


@pytest.mark.parametrize("data", [b"\x01ab", b"\x05ab", b"\xe0\x01", b"\x20\x00", b"", b"\xff"])
def test_bytes_that_are_no_stream_of_the_size_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="no LZF stream of 9 bytes"):
        decode_lzf(data, 9)


def test_threads_may_decode_at_once() -> None:
    chunks = [bytes([number]) * 5000 for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        encoded = list(pool.map(encode_lzf, chunks))
        decoded = list(pool.map(lambda data: decode_lzf(data, 5000).tobytes(), encoded))
    assert decoded == chunks


def test_the_v2_codec_round_trips_through_its_configuration() -> None:
    numcodecs.register_codec(LzfV2)
    codec = numcodecs.get_codec({"id": "vz_beam.lzf", "nbytes": 12})
    assert codec == LzfV2(12)
    assert codec.get_config() == {"id": "vz_beam.lzf", "nbytes": 12}
    values = np.arange(3, dtype="i4")
    out = np.empty(3, "i4")
    codec.decode(codec.encode(values), out=out)
    assert out.tolist() == [0, 1, 2]


def test_the_v3_codec_round_trips_through_its_document_and_a_store() -> None:
    codec = LzfV3(nbytes=48)
    assert LzfV3.from_dict(codec.to_dict()) == codec
    array = zarr.create_array({}, shape=(20,), chunks=(12,), dtype="i4", compressors=[codec], fill_value=0)
    array[:] = np.arange(20)
    assert np.asarray(array[:]).tolist() == list(range(20))


@pytest.mark.parametrize("document", [{"name": "lzf", "configuration": {"nbytes": 1}}, {"name": "vz_beam.lzf"}])
def test_a_document_of_something_else_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="does not describe the codec"):
        LzfV3.from_dict(document)
