from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pytest
import zarr
from h5py import h5t
from hypothesis import example as also
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.filtered_chunks import ENDS_THE_PROCESS, OPTIONS, SMOOTH, example, filtered, nbit_filtered
from vz_beam.codecs.hdf5_filter import Hdf5FilterV2, decode_filtered, encode_filtered
from vz_beam.codecs.hdf5_filter_v3 import Hdf5FilterV3
from vz_beam.errors import FormatError, UnsupportedError

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
TWO_THIRDS = {"filter": 32026, "values": [1, 0, 4, 8, 5, 1, 0, 1, 2], "nbytes": 8}


@pytest.mark.parametrize("name", OPTIONS)
def test_chunks_decode_to_what_h5py_reads(name: str) -> None:
    chunk = example(name)
    assert chunk.decoded() == chunk.expected


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [*INTEGERS, "f4", "f8"])
@pytest.mark.parametrize("opts", [("nn", 8), ("nn", 32), ("ec", 2), ("ec", 32)], ids=str)
def test_szip_decodes_for_all_types_and_options(dtype: str, order: str, opts: tuple[str, int]) -> None:
    values = (np.arange(40 * 33).reshape(40, 33) // 50 % 100).astype(order + dtype)
    chunk = filtered(values, compression="szip", compression_opts=opts)
    assert chunk.decoded() == chunk.expected == values.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("dtype", "factor"), [*((dtype, 0) for dtype in INTEGERS), ("f4", 3), ("f8", 1), ("i2", 5)])
def test_scaleoffset_decodes_for_all_types(dtype: str, factor: int, order: str) -> None:
    values = (np.arange(77) % 23 + 3).astype(order + dtype)
    chunk = filtered(values, scaleoffset=factor, fillvalue=3)
    assert chunk.decoded() == chunk.expected


@pytest.mark.parametrize("values", [np.full(9, -7, "i4"), np.array([-(2**31), 2**31 - 1], "i4")], ids=["one", "all"])
def test_scaleoffset_decodes_numbers_of_no_bits_and_of_all_bits(values: np.ndarray) -> None:
    chunk = filtered(values, scaleoffset=0)
    assert chunk.decoded() == chunk.expected == values.tobytes()


def reduced(base: h5t.TypeIntegerID, precision: int, offset: int) -> h5t.TypeIntegerID:
    tid = base.copy()
    tid.set_precision(precision)
    tid.set_offset(offset)
    return tid


def compound() -> h5t.TypeCompoundID:
    tid = h5t.create(h5t.COMPOUND, 12)
    tid.insert(b"a", 0, reduced(h5t.STD_I32LE, 17, 3))
    tid.insert(b"b", 4, h5t.array_create(reduced(h5t.STD_U16BE, 9, 0), (2,)))
    tid.insert(b"c", 8, h5t.IEEE_F32LE)
    return tid


NUMBERS = np.arange(-50, 51, dtype="i8")
COMPOUND = np.array(
    [(number, (abs(number), 3), number / 3) for number in range(-20, 20)],
    [("a", "i4"), ("b", "u2", 2), ("c", "f4")],
)


@pytest.mark.parametrize(
    ("tid", "values"),
    [
        (reduced(h5t.STD_I32LE, 17, 3), NUMBERS),
        (reduced(h5t.STD_I32BE, 17, 3), NUMBERS),
        (reduced(h5t.STD_U16LE, 12, 0), np.abs(NUMBERS)),
        (reduced(h5t.STD_I64BE, 33, 31), NUMBERS),
        (h5t.STD_I16LE, NUMBERS),
        (compound(), COMPOUND),
    ],
    ids=["little", "big", "unsigned", "wide", "nothing_to_do", "compound"],
)
def test_nbit_decodes_to_the_bytes_of_the_type_in_the_file(tid: h5t.TypeID, values: np.ndarray) -> None:
    chunk = nbit_filtered(tid, values)
    assert chunk.decoded() == chunk.expected
    with pytest.raises(FormatError, match="nbit"):
        chunk.decoded(chunk.data[: len(chunk.data) // 2])


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ENDS_THE_PROCESS])
def test_a_chunk_of_another_size_is_refused(name: str) -> None:
    chunk = example(name)
    for nbytes in (chunk.nbytes // 2, chunk.nbytes * 2):
        with pytest.raises(FormatError):
            decode_filtered(chunk.identifier, chunk.values, nbytes, chunk.data)


DAMAGE = """
import sys
import numpy as np
from tests.codecs.filtered_chunks import example
from vz_beam.errors import FormatError
chunk = example(sys.argv[1])
counts = {"error": 0, "wrong": 0, "right": 0}
for seed in range(100):
    random = np.random.default_rng(seed)
    data = bytearray(chunk.data)
    if seed % 4 == 0:
        del data[random.integers(0, len(data)):]
    elif seed % 4 == 3:
        data = bytearray(random.bytes(int(random.integers(1, len(data)))))
    else:
        for place in random.integers(0, 24 if seed % 4 == 1 else len(data), 3):
            data[place] = random.integers(0, 256)
    try:
        decoded = chunk.decoded(bytes(data))
    except FormatError:
        counts["error"] += 1
    else:
        assert len(decoded) == chunk.nbytes
        counts["right" if decoded == chunk.expected else "wrong"] += 1
print("counts", *counts.values())
"""


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ENDS_THE_PROCESS])
def test_damaged_chunks_give_an_error_or_wrong_values_and_do_not_crash(name: str) -> None:
    command = [sys.executable, "-c", DAMAGE, name]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "counts" in run.stdout


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ENDS_THE_PROCESS and name[:3] != "zfp"])
def test_a_chunk_of_no_bytes_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        example(name).decoded(b"")


@given(st.binary(max_size=300), st.integers(0, 40))
@also(encode_filtered(32004, [], b"what stands before a chunk that is not LZ4"), 1)
@settings(max_examples=50)
def test_shuffled_bytes_behind_the_last_element_stay_where_they_were(data: bytes, size: int) -> None:
    if size < 1:
        with pytest.raises(FormatError, match="0-byte elements"):
            decode_filtered(2, [size], None, data)
        return
    whole = len(data) // size * size
    stored = np.frombuffer(data[:whole], np.uint8).reshape(-1, size).T.tobytes() + data[whole:]
    assert decode_filtered(2, [size], None, stored).tobytes() == data


def test_threads_may_decode_at_once() -> None:
    chunks = [example(name) for name in ("szip_nn", "scaleoffset_integers", "lz4", "bitshuffle_lz4", "blosc2")] * 20
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda chunk: chunk.decoded() == chunk.expected, chunks))


def test_reading_a_file_while_others_decode_does_not_deadlock(tmp_path: Any) -> None:
    chunk = example("scaleoffset_integers")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("v", data=SMOOTH, chunks=(8, 8), compression="gzip")
        with ThreadPoolExecutor(8) as pool:
            decoded = [pool.submit(chunk.decoded) for _ in range(100)]
            read = [pool.submit(dataset.__getitem__, ...) for _ in range(10)]
            assert all(future.result(60) == chunk.expected for future in decoded)
            assert all((future.result(60) == SMOOTH).all() for future in read)


@pytest.mark.parametrize("identifier", [2, 4, 32004, 32013, 32026])
@given(data=st.binary(max_size=500))
@settings(max_examples=20)
def test_encoding_is_undone_whichever_the_filter(identifier: int, data: bytes) -> None:
    assert decode_filtered(identifier, [4], len(data), encode_filtered(identifier, [4], data)).tobytes() == data


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: data[:30] + b"x" + data[31:]])
def test_a_damaged_chunk_of_our_own_encoding_is_refused(damage: Any) -> None:
    with pytest.raises(FormatError, match="does not inflate"):
        decode_filtered(4, [], 99, damage(encode_filtered(4, [], bytes(99))))
    with pytest.raises(FormatError, match="inflates to 99 bytes, not 98"):
        decode_filtered(4, [], 98, encode_filtered(4, [], bytes(99)))


def test_the_v2_codec_round_trips_through_its_configuration() -> None:
    numcodecs.register_codec(Hdf5FilterV2)
    codec = numcodecs.get_codec({"id": "vz_beam.hdf5_filter", **TWO_THIRDS})
    assert codec == Hdf5FilterV2(32026, TWO_THIRDS["values"], 8)  # type: ignore[arg-type]
    assert codec.get_config() == {"id": "vz_beam.hdf5_filter", **TWO_THIRDS}
    chunk = filtered(np.array([1, 2], "i4"), **hdf5plugin.LZ4())
    out = np.empty(2, "i4")
    Hdf5FilterV2(chunk.identifier, chunk.values, chunk.nbytes).decode(chunk.data, out=out)
    assert out.tolist() == [1, 2]


def test_the_v3_codec_round_trips_through_its_document_and_a_store() -> None:
    codec = Hdf5FilterV3(filter=32026, values=(1, 0, 4, 48), nbytes=48)
    assert Hdf5FilterV3.from_dict(codec.to_dict()) == codec
    array = zarr.create_array({}, shape=(20,), chunks=(12,), dtype="i4", compressors=[codec], fill_value=0)
    array[:] = np.arange(20)
    assert np.asarray(array[:]).tolist() == list(range(20))


@pytest.mark.parametrize(
    "document", [{"name": "szip", "configuration": {"filter": 4}}, {"name": "vz_beam.hdf5_filter"}]
)
def test_a_document_of_something_else_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="does not describe the codec"):
        Hdf5FilterV3.from_dict(document)


def test_unknown_filters_and_unknown_sizes_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="HDF5 filter 305 is not known"):
        decode_filtered(305, [], 8, bytes(8))
    with pytest.raises(FormatError, match="without its decoded size"):
        decode_filtered(4, [], None, bytes(8))
    with pytest.raises(FormatError, match="cannot be decoded by libhdf5"):
        decode_filtered(32026, [], 2**32, bytes(8))


WITHOUT_PLUGIN = """
import sys
sys.modules["hdf5plugin"] = None
from vz_beam.codecs.hdf5_filter import decode_filtered
from vz_beam.errors import UnsupportedError
try:
    decode_filtered(32026, (), 8, bytes(8))
except UnsupportedError as error:
    print(error)
"""


def test_where_hdf5plugin_is_not_installed_the_error_names_it() -> None:
    command = [sys.executable, "-c", WITHOUT_PLUGIN]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == (
        "the package hdf5plugin, which decodes Blosc2 (HDF5 filter 32026), is not installed here. "
        "Way out: pip install hdf5plugin\n"
    )
