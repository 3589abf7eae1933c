"""Attributes read from object headers are those that libhdf5 reads."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5a, h5o, h5s, h5t

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.parsers.hdf5.attribute_messages import attribute_reading
from vz_beam.parsers.hdf5.attributes import object_attributes
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.index_reading import Structure
from vz_beam.storage.byte_source import open_source

VALUES: dict[str, Any] = {
    "int": 5,
    "big": np.array([1, -2, 3], ">i2"),
    "unsigned": np.uint64(2**64 - 1),
    "float32": np.float32(0.1),
    "float64": np.array([[1.5, np.inf], [-0.0, 2.0]]),
    "half": np.float16(0.5),
    "bool": True,
    "complex": 1 + 2j,
    "fixed": np.bytes_("fixed"),
    "texts": np.array([b"a", b"bcd"], "S5"),
    "text": "of any length, \N{DEGREE SIGN}",
    "list": ["one", "", "three"],
    "none": h5py.Empty("f4"),
    "no text": h5py.Empty("S5"),
    "nothing": np.empty((0, 2), "f8"),
    "empty": "",
    "compound": np.array((1, 2.0), [("a", "i4"), ("b", "f8")]),
    "long": "x" * 5000,
}
PLAIN = VALUES.keys() - {"half", "bool", "complex", "compound"}


@pytest.mark.parametrize("libver", ["earliest", ("v108", "v108"), "latest"])
@pytest.mark.parametrize("count", [3, len(VALUES)])
@pytest.mark.parametrize("track_order", [False, True])
@pytest.mark.parametrize("userblock_size", [0, 512])
def test_both_ways_to_attributes_agree(
    hdf5: Hdf5File, libver: Any, count: int, track_order: bool, userblock_size: int
) -> None:
    values = dict(list(VALUES.items())[-count:])
    with hdf5.write(libver=libver, userblock_size=userblock_size) as file:
        target = file.create_dataset("v", data=np.arange(3), track_order=track_order)
        for name, value in values.items():
            target.attrs[name] = value
        del target.attrs[next(iter(values))]
        target.attrs["again"] = "at the end"
    source = open_source(str(hdf5.path))
    with OpenFile(source) as file:
        did = h5o.open(file.fid, b"v")
        messages = file.header_messages(h5o.get_info(did).addr)
        found, are_all = file.follow(attribute_reading(Structure(source.url, "/v"), messages, file.nbytes))
        by_header = object_attributes(did, "/v", file, messages).values
        by_library = object_attributes(did, "/v", file, ()).values
        del did
    source.close()
    assert repr(by_header) == repr(by_library)
    assert list(by_header) == list(by_library)
    assert len(by_header) == count
    assert are_all
    assert {a.name.decode() for a in found if a.plain is not None} == (PLAIN & values.keys() | {"again"}) - {
        next(iter(values))
    }


def test_text_that_ends_before_its_length_and_padded_text(hdf5: Hdf5File) -> None:
    texts = {h5t.STR_NULLTERM: b"ab\0cd", h5t.STR_NULLPAD: b"ab\0\0\0", h5t.STR_SPACEPAD: b"ab   "}
    with hdf5.write() as file:
        for padding, data in texts.items():
            kind = h5t.C_S1.copy()
            kind.set_size(5)
            kind.set_strpad(padding)
            attribute = h5a.create(file.id, f"a{padding}".encode(), kind, h5s.create(h5s.SCALAR))
            attribute.write(np.array(data, "V5"), kind)
    assert hdf5.parse().attributes == {f"a{padding}": "ab" for padding in texts}
