from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.metadata import Codec
from vz_beam.manifests.zarr_v2 import to_v2
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import stored_values

PLAIN = ["i1", "u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", "?", "S5", "S1", "V4"]


def stored(hdf5: Hdf5File, **choices: Any) -> ManifestArray:
    return hdf5.checked(**choices).arrays["v"]


@pytest.mark.parametrize("dtype", PLAIN)
def test_types_that_numpy_has_are_references(hdf5: Hdf5File, dtype: str) -> None:
    values = np.frombuffer(np.arange(1, 97, dtype="u1").tobytes()[: np.dtype(dtype).itemsize * 6], dtype)
    values = np.array([True, False] * 3) if dtype == "?" else values
    with hdf5.write() as file:
        file["v"] = values
    array = stored(hdf5)
    assert (array.dtype, array.manifest.nrefs, len(array.manifest.locations)) == (np.dtype(dtype), 1, 1)


@pytest.mark.parametrize("dtype", [">i2", ">u8", ">f4", ">f8", ">c8"])
def test_big_endian_values_have_a_native_type_and_a_big_byte_order(hdf5: Hdf5File, dtype: str) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(6).astype(dtype)
    array = stored(hdf5)
    assert (array.dtype.isnative, array.metadata.byte_order) == (True, "big")
    assert to_v2(array.metadata)["dtype"] == dtype


@pytest.mark.parametrize("dtype", ["<M8[ns]", ">m8[s]", "<f4", ">i2", "S3", "i1"])
def test_opaque_values_have_the_type_that_their_tag_names(hdf5: Hdf5File, dtype: str) -> None:
    values = np.frombuffer(bytes(range(1, 49)), dtype)[:4]
    with hdf5.write() as file:
        file["v"] = values.astype(h5py.opaque_dtype(values.dtype))
    assert stored(hdf5).dtype == np.dtype(dtype).newbyteorder("=")


def test_single_bytes_have_no_byte_order(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(3, dtype="i1")
    assert stored(hdf5).metadata.byte_order is None


def test_the_names_of_an_enumeration_become_flags(hdf5: Hdf5File) -> None:
    dtype = h5py.enum_dtype({"cloudy": 2, "clear": 0, "very cloudy": 5}, basetype=">i2")
    with hdf5.write() as file:
        file.create_dataset("v", data=[0, 5, 2], dtype=dtype)
    attributes = stored(hdf5).metadata.attributes
    assert attributes == {"flag_values": [0, 2, 5], "flag_meanings": "clear cloudy very_cloudy"}


def test_compounds_of_plain_members_are_references(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.array([(1, 2.5, b"ab"), (3, -1.0, b"c")], dtype=[("a", "i2"), ("b", "f8"), ("c", "S2")])
    assert len(stored(hdf5).manifest.locations) == 1


@pytest.mark.parametrize("part", ["i2", "i4", "f2"])
def test_pairs_that_are_named_as_complex_parts_keep_their_own_type(hdf5: Hdf5File, part: str) -> None:
    tid = h5t.create(h5t.COMPOUND, 2 * np.dtype(part).itemsize)
    for number, name in enumerate((b"r", b"i")):
        tid.insert(name, number * np.dtype(part).itemsize, h5t.py_create(np.dtype(part)))
    values = np.array([(1, 2), (3, 4)], [("r", part), ("i", part)])
    with hdf5.write() as file:
        h5d.create(file.id, b"v", tid, h5s.create_simple((2,))).write(h5s.ALL, h5s.ALL, values, tid)
    array = hdf5.parse().arrays["v"]
    found = stored_values(ManifestStore(hdf5.parse()))["v"]
    assert (array.dtype.names, found.tolist()) == (("r", "i"), values.tolist())


PADDED = np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 24})


@pytest.mark.parametrize("dtype", [PADDED, np.dtype([("a", ">i2"), ("b", "<f4")]), np.dtype([("a", ">i2")])])
def test_compounds_that_no_struct_can_say_are_inlined(hdf5: Hdf5File, dtype: np.dtype[Any]) -> None:
    values = np.zeros(4, dtype)
    for name in values.dtype.names or ():
        values[name] = np.arange(4)
    with hdf5.write() as file:
        file.create_dataset("v", data=values, chunks=(3,), compression="gzip")
    array = stored(hdf5)
    assert (array.manifest.locations, len(array.manifest.inlined), array.metadata.codecs) == ((), 2, ())


def test_an_array_type_makes_extra_axes(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (2,), dtype=np.dtype(("f4", (3,))))
        dataset[...] = [[1, 2, 3], [4, 5, 6]]
    array = stored(hdf5)
    assert (array.shape, len(array.metadata.dimension_names or ())) == ((2, 3), 2)


@pytest.mark.parametrize("values", [["a", "", "größer", "d"], "one"], ids=["array", "scalar"])
def test_strings_of_variable_length_are_inlined_as_one_chunk(hdf5: Hdf5File, values: Any) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=values, dtype=h5py.string_dtype())
    array = stored(hdf5)
    assert (array.metadata.serializer, list(array.manifest.inlined)) == (Codec("vlen-utf8"), [0])
    assert array.metadata.chunk_shape == array.shape


def test_strings_that_are_not_utf8_are_read_as_latin1(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=[b"\xe9t\xe9"], dtype=h5py.string_dtype("ascii"))
    assert b"\xc3\xa9t\xc3\xa9" in hdf5.parse().arrays["v"].manifest.inlined[0]


def test_too_many_strings_are_refused_with_the_limit(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", data=["abc"] * 100, dtype=h5py.string_dtype())
    with pytest.raises(UnsupportedError, match=r"/v: its strings .*inline_limit_bytes=300"):
        hdf5.parse(inline_limit_bytes=300)


def test_characters_of_netcdf_keep_their_string_dimension(hdf5: Hdf5File) -> None:
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("n", 2)
        file.createDimension("letters", 3)
        file.createVariable("v", "S1", ("n", "letters"))[:] = np.array([list("abc"), ["d", "", ""]], "S1")
    group = hdf5.parse()
    assert group.arrays["v"].metadata.dimension_names == ("n", "letters")
    assert (group.arrays["v"].dtype, group.arrays["v"].manifest.nrefs) == (np.dtype("S1"), 1)
    hdf5.checked()


@pytest.mark.parametrize("padding", [h5t.STR_NULLTERM, h5t.STR_SPACEPAD])
def test_padding_of_strings_is_no_part_of_the_values(hdf5: Hdf5File, padding: int) -> None:
    tid = h5t.C_S1.copy()
    tid.set_size(6)
    tid.set_strpad(padding)
    with hdf5.write() as file:
        did = h5d.create(file.id, b"v", tid, h5s.create_simple((2,)))
        did.write(h5s.ALL, h5s.ALL, np.array([b"ab\0zz ", b"cd    "], "V6"), tid)
    array = stored(hdf5)
    assert len(array.manifest.inlined) == 1


def test_fixed_utf8_is_a_reference(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        data = np.array(["ä".encode(), b"bc"], dtype=h5py.string_dtype("utf-8", 4))
        file.create_dataset("v", data=data, fillvalue=np.array(b"x", h5py.string_dtype("utf-8", 4)))
    array = stored(hdf5)
    assert (len(array.manifest.locations), array.metadata.fill_value) == (1, b"x")


def test_integers_that_do_not_use_all_bits_are_inlined(hdf5: Hdf5File) -> None:
    tid = h5t.STD_I32LE.copy()
    tid.set_precision(12)
    tid.set_offset(4)
    with hdf5.write() as file:
        did = h5d.create(file.id, b"v", tid, h5s.create_simple((4,)))
        did.write(h5s.ALL, h5s.ALL, np.array([1, -2, 2047, -2048], "i4"))
    assert len(stored(hdf5).manifest.inlined) == 1


def test_numbers_of_another_float_format_are_inlined(hdf5: Hdf5File) -> None:
    tid = h5t.IEEE_F32LE.copy()
    tid.set_fields(15, 7, 8, 0, 7)  # bfloat16
    tid.set_size(2)
    tid.set_ebias(127)
    with hdf5.write() as file:
        did = h5d.create(file.id, b"v", tid, h5s.create_simple((3,)))
        did.write(h5s.ALL, h5s.ALL, np.array([1, -2.5, 1e30], "f4"))
    assert len(stored(hdf5).manifest.inlined) == 1


UNSUPPORTED = {
    "variable-length arrays": h5py.vlen_dtype("i4"),
    "references to objects": h5py.ref_dtype,
    "128 bits": np.dtype(np.longdouble),
    "member 'b' of variable length": np.dtype([("a", "i4"), ("b", h5py.string_dtype())]),
    "member 'b' that is an array": np.dtype([("a", "i4"), ("b", "f4", (2,))]),
}


@pytest.mark.parametrize("reason", UNSUPPORTED)
def test_types_that_zarr_lacks_are_refused_by_name(hdf5: Hdf5File, reason: str) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (2,), dtype=UNSUPPORTED[reason])
    with pytest.raises(UnsupportedError, match=rf"/v: .*{reason}"):
        hdf5.parse()


@pytest.mark.parametrize(
    ("dtype", "fill"), [("i2", -999), (">f4", 1e20), ("S3", b"xy"), ("f8", np.nan), ("u8", 2**64 - 1)]
)
def test_the_storage_fill_is_a_scalar_of_the_native_type(hdf5: Hdf5File, dtype: str, fill: Any) -> None:
    with hdf5.write() as file:
        file.create_dataset("v", (2,), dtype=dtype, fillvalue=fill)
    metadata = stored(hdf5).metadata
    assert type(metadata.fill_value) is metadata.dtype.type
    np.testing.assert_equal(metadata.fill_value, np.array(fill, dtype)[()])
