"""Types that h5py and netCDF4 write only when they are asked to, with values, storage fills and attributes."""

from __future__ import annotations

from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
from h5py import h5a, h5d, h5p, h5s, h5t

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import UnsupportedError


def create(file: h5py.File, tid: h5t.TypeID, values: Any = None, fill: Any = None) -> h5d.DatasetID:
    """``v`` of 4 elements in 2 chunks; ``values`` are written as they are stored."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((2,))
    if fill is not None:
        plist.set_fill_value(fill)
    did = h5d.create(file.id, b"v", tid, h5s.create_simple((4,)), plist)
    if values is not None:
        did.write(h5s.ALL, h5s.ALL, values, tid)
    return did


def bits(base: h5t.TypeID, precision: int, offset: int = 0) -> h5t.TypeID:
    tid = base.copy()
    tid.set_precision(precision)
    tid.set_offset(offset)
    return tid


def bfloat16() -> h5t.TypeID:
    tid = h5t.IEEE_F32LE.copy()
    tid.set_fields(15, 7, 8, 0, 7)
    tid.set_size(2)
    tid.set_ebias(127)
    return tid


@pytest.mark.parametrize("name", ["STD_B8LE", "STD_B16LE", "STD_B16BE", "STD_B32LE", "STD_B32BE", "STD_B64BE"])
def test_bit_fields_are_references_to_unsigned_integers(hdf5: Hdf5File, name: str) -> None:
    tid = getattr(h5t, name)
    dtype = np.dtype(f"u{tid.get_size()}").newbyteorder(">" if name.endswith("BE") else "<")
    with hdf5.write() as file:
        create(file, tid, np.array([1, 2, 3, 200], dtype))
    assert hdf5.checked().arrays["v"].manifest.location_ids.tolist() == [0, 0]


@pytest.mark.parametrize("name", ["COMPLEX_IEEE_F32LE", "COMPLEX_IEEE_F64BE"])
def test_the_complex_type_of_hdf5_itself_is_a_reference(hdf5: Hdf5File, name: str) -> None:
    tid = getattr(h5t, name, None)
    if tid is None:
        pytest.skip("complex types came with HDF5 2.0")
    with hdf5.write() as file:
        values = np.array([1 + 2j, 3j, 4, -1]).astype("<c8" if name.endswith("LE") else ">c16")
        create(file, tid, values)
    assert hdf5.checked().arrays["v"].manifest.nrefs == 2


FILLED: dict[str, tuple[Any, Any]] = {
    "truth": (np.dtype(bool), True),
    "enumeration": (h5py.enum_dtype({"a": 1, "b": 300}, "i2"), 300),
    "big-endian enumeration": (h5py.enum_dtype({"a": 1, "b": 300}, ">i2"), 300),
    "opaque": (np.dtype("V4"), np.void(b"abcd")),
    "half": (np.dtype("f2"), 1.5),
    "big-endian complex": (np.dtype(">c16"), 1.5 + 2j),
    "compound": ([("a", "i2"), ("b", "f8"), ("s", "S3")], (3, 2.5, b"ab")),
    "big-endian compound": ([("a", ">i2"), ("b", ">f8")], (3, 2.5)),
    "nested compound": ([("a", "i2"), ("n", [("x", "f4"), ("y", "i8")])], (3, (2.5, 9))),
    "padded compound": (np.dtype([("a", "i1"), ("b", "f8")], align=True), (3, 2.5)),
    "compound of odd members": ([("t", bool), ("c", "c8"), ("o", "V2"), ("größe", "f2")], (True, 1j, b"ab", 0.5)),
    "compound of an enumeration": ([("e", h5py.enum_dtype({"q": 5, "z": 7}))], (7,)),
}


@pytest.mark.parametrize("name", FILLED)
def test_unwritten_values_of_any_type_are_its_storage_fill(hdf5: Hdf5File, name: str) -> None:
    dtype = np.dtype(FILLED[name][0])
    fill = np.array(FILLED[name][1], dtype)[()]
    with hdf5.write() as file:
        dataset = file.create_dataset("v", (4,), dtype=dtype, chunks=(2,), fillvalue=fill)
        dataset[0] = np.zeros((), dtype)[()]
    assert hdf5.checked().arrays["v"].manifest.nrefs == 1


@pytest.mark.parametrize(
    ("tid", "fill"),
    [(bfloat16(), np.array(2.5, "f4")), (bits(h5t.STD_I32LE, 12, 4), np.array(-7, "i4"))],
    ids=["bfloat16", "12 bits"],
)
def test_unwritten_values_that_libhdf5_converts_are_their_storage_fill(
    hdf5: Hdf5File, tid: h5t.TypeID, fill: Any
) -> None:
    with hdf5.write() as file:
        h5py.Dataset(create(file, tid, fill=fill))[:2] = [1, -2]
    assert hdf5.checked().arrays["v"].metadata.fill_value == fill


@pytest.mark.parametrize("inner", ["c8", ">i2", "S3", "?", [("a", "i2"), ("b", "f4")], [("a", ">i2"), ("b", ">f4")]])
def test_arrays_of_any_type_make_extra_axes(hdf5: Hdf5File, inner: Any) -> None:
    dtype = np.dtype((inner, (2, 3)))
    assert dtype.subdtype is not None
    values = np.zeros((4, 2, 3), dtype.subdtype[0])
    for number, where in enumerate(np.ndindex(4, 2, 3)):
        values[where] = (number, number) if values.dtype.names else number % 2
    with hdf5.write() as file:
        create(file, h5t.py_create(dtype), values)
    assert hdf5.checked().arrays["v"].shape == (4, 2, 3)


@pytest.mark.parametrize("padding", [h5t.STR_NULLTERM, h5t.STR_NULLPAD, h5t.STR_SPACEPAD])
def test_fixed_utf8_decodes_whatever_pads_it(hdf5: Hdf5File, padding: int) -> None:
    tid = h5t.C_S1.copy()
    tid.set_size(6)
    tid.set_cset(h5t.CSET_UTF8)
    tid.set_strpad(padding)
    texts = ["ä", "größ", "", "abcde"]
    pad = b" " if padding == h5t.STR_SPACEPAD else b"\0"
    with hdf5.write() as file:
        create(file, tid, np.array([text.encode().ljust(6, pad) for text in texts], "V6"))
    hdf5.checked()


def test_committed_types_are_those_they_name(hdf5: Hdf5File) -> None:
    compound = np.dtype([("a", "i4"), ("b", "S3")])
    types: dict[str, tuple[np.dtype[Any], Any]] = {
        "number": (np.dtype(">i4"), [1, 2]),
        "text": (h5py.string_dtype(), ["a", "b"]),
        "enumeration": (h5py.enum_dtype({"q": 1}), [1, 1]),
        "compound": (compound, np.array([(1, b"x"), (2, b"yz")], compound)),
    }
    with hdf5.write() as file:
        for name, (dtype, values) in types.items():
            file[f"types/{name}"] = dtype
            file.create_dataset(name, data=values, dtype=file[f"types/{name}"])
            file[name].attrs.create("a", np.array(values[0], dtype), dtype=file[f"types/{name}"])
    group = hdf5.checked()
    assert group.arrays.keys() == types.keys()
    attributes = {name: array.metadata.attributes["a"] for name, array in group.arrays.items()}
    assert attributes == {"number": 1, "text": "a", "enumeration": 1, "compound": [1, "x"]}


@pytest.mark.parametrize(
    ("tid", "reason"),
    [
        (h5t.UNIX_D32LE, "time type"),
        (h5t.STD_REF_DSETREG, "references to objects or regions"),
        (h5t.IEEE_F128LE, "numpy has no type"),
        (h5t.NATIVE_LDOUBLE, "floating-point numbers of 128 bits"),
        (h5t.array_create(h5t.py_create(h5py.string_dtype(), logical=True), (2,)), "arrays of variable-length strings"),
    ],
)
def test_a_type_without_zarr_type_is_refused_alone(hdf5: Hdf5File, tid: h5t.TypeID, reason: str) -> None:
    with hdf5.write() as file:
        create(file, tid)
        file["good"] = np.arange(3)
    with pytest.raises(UnsupportedError, match=f"/v: .*{reason}"):
        hdf5.parse()
    assert list(hdf5.checked(unsupported="skip").arrays) == ["good"]


def test_types_of_netcdf_have_their_values(hdf5: Hdf5File) -> None:
    compound = np.dtype([("a", "i4"), ("b", "f8")], align=True)
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("x", 3)
        file.createDimension("letters", 4)
        cloud = file.createEnumType("u1", "cloud", {"clear": 0, "cloudy": 1, "missing": 255})
        file.createVariable("enumeration", cloud, ("x",), fill_value=255, chunksizes=(2,))[:1] = [1]
        pair = file.createCompoundType(compound, "pair")
        file.createVariable("compound", pair, ("x",))[:] = np.array([(1, 2), (3, 4), (5, 6)], compound)
        file.createVariable("letters_of", "S1", ("x", "letters"))[:] = np.array([list("abcd")] * 3, "S1")
        file.createVariable("long", "u8", ("x",), fill_value=2**64 - 1, chunksizes=(2,))[:1] = [2**63]
        file.createVariable("big", ">f4", ("x",), endian="big")[:] = [1, 2, 3]
        file.createVariable("scalar", "f8", ())[...] = 4.5
        file.createVariable("never", "f4", ("x",))
    group = hdf5.checked()
    assert len(group.arrays) == 7
    assert group.arrays["enumeration"].metadata.attributes["flag_meanings"] == "clear cloudy missing"


def attribute(
    loc: h5py.Dataset, name: str, tid: h5t.TypeID, value: Any = None, memory: h5t.TypeID | None = None
) -> None:
    created = h5a.create(loc.id, name.encode(), tid, h5s.create(h5s.SCALAR))
    if value is not None:
        created.write(value, memory)


def test_attributes_of_odd_types_are_what_json_can_say(hdf5: Hdf5File) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(2, dtype="i4"), np.arange(3, dtype="i4")]
    text = h5py.string_dtype()
    expected = {
        "bits": 5,
        "12 bits": -5,
        "bfloat16": 2.5,
        "24 bits": None,
        "128 bits": None,
        "time": None,
        "ragged": [[0, 1], [0, 1, 2]],
        "enumeration": [1, 0],
        "nested": [1, [2.0, 3]],
        "member that is an array": [1, [2.0, 3.0]],
        "member that is text": [1, "ü"],
        "array": [[0, 1, 2], [3, 4, 5]],
        "opaque": "61620063",
        "date": "2000-01-01",
        "huge": list(range(20000)),
        "long text": "x" * 100_000,
        "large": [2**63, 2**64 - 1],
    }
    with hdf5.write(libver="latest", track_order=True) as file:
        dataset = file.create_dataset("v", data=1, track_order=True)
        attrs = dataset.attrs
        attribute(dataset, "bits", h5t.STD_B32BE, np.array(5, ">u4"), h5t.STD_B32BE)
        attribute(dataset, "12 bits", bits(h5t.STD_I32LE, 12, 4), np.array(-5, "i4"))
        attribute(dataset, "bfloat16", bfloat16(), np.array(2.5, "f4"))
        three = h5t.STD_I32LE.copy()
        three.set_size(3)
        attribute(dataset, "24 bits", three)
        attribute(dataset, "128 bits", h5t.IEEE_F128LE)
        attribute(dataset, "time", h5t.UNIX_D32LE)
        attrs.create("ragged", ragged, dtype=h5py.vlen_dtype("i4"))
        attrs.create("enumeration", np.array([1, 0]), dtype=h5py.enum_dtype({"a": 0, "b": 1}))
        attrs["nested"] = np.array((1, (2, 3)), [("a", "i4"), ("n", [("x", "f4"), ("y", ">i8")])])
        attrs["member that is an array"] = np.array((1, [2, 3]), [("a", "i4"), ("n", "f4", (2,))])
        attrs.create("member that is text", np.array([(1, "ü")], [("a", "i4"), ("b", text)]))
        attrs.create("array", np.arange(6).reshape(2, 3), shape=(2, 3), dtype=np.dtype(("i4", (3,))))
        attrs["opaque"] = np.void(b"ab\0c")
        date = h5py.opaque_dtype("M8[D]")
        attrs.create("date", np.datetime64("2000-01-01").astype(date), dtype=date)
        attrs["huge"] = np.arange(20000)
        attrs["long text"] = "x" * 100_000
        attrs["large"] = np.array([2**63, 2**64 - 1], "u8")
    found = hdf5.checked().arrays["v"].metadata.attributes
    assert list(found) == list(expected)
    assert found == expected


def test_compounds_with_gaps_within_compounds_have_their_values(hdf5: Hdf5File) -> None:
    inner = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    values = np.zeros(3, np.dtype([("first", "i2"), ("pair", inner)], align=True))
    values["first"], values["pair"]["a"], values["pair"]["b"] = [1, 2, 3], [4, 5, 6], [0.5, 1.5, 2.5]
    with hdf5.write() as file:
        file["v"] = values
    hdf5.checked()
