"""Vgroups, Vdatas and number types: what the directory's elements say.

Source: HDF4 Specification, chapters 6 (Vgroups, Vdatas) and 9 (number types).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from vz_beam.errors import UnsupportedError
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf4.directory import Directory, Element

VGROUP, VDATA_HEADER, VDATA = 1965, 1962, 1963
_LITTLE, _NATIVE = 0x4000, 0x1000
_TYPES = {
    3: "u1",
    4: "S1",
    5: "f4",
    6: "f8",
    20: "i1",
    21: "u1",
    22: "i2",
    23: "u2",
    24: "i4",
    25: "u4",
    26: "i8",
    27: "u8",
}
"""numpy's types by HDF4's numbers: unsigned and signed characters, floats, integers."""
_TEXTS = (3, 4)


@dataclass(frozen=True, slots=True)
class Vgroup:
    """A Vgroup: its members by tag and number."""

    ref: int
    name: str
    kind: str
    members: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Vdata:
    """A table: ``fields`` are (name, type number, order, offset in a record)."""

    ref: int
    name: str
    kind: str
    records: int
    record_nbytes: int
    fields: tuple[tuple[str, int, int, int], ...]


class _Bytes:
    """Reads numbers and texts one after another."""

    def __init__(self, directory: Directory, data: bytes, what: str) -> None:
        self._directory = directory
        self._data = data
        self._place = 0
        self._what = what

    def numbers(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(f">{form}")
        if self._place + size > len(self._data):
            raise self._directory.damaged(f"{self._what} ends too early")
        values = struct.unpack_from(f">{form}", self._data, self._place)
        self._place += size
        return values

    def text(self) -> str:
        (length,) = self.numbers("H")
        if self._place + length > len(self._data):
            raise self._directory.damaged(f"{self._what} ends too early")
        data = self._data[self._place : self._place + length]
        self._place += length
        return text_of(data.split(b"\0")[0])


def read_vgroup(directory: Directory, element: Element) -> Vgroup:
    """A Vgroup.

    Raises:
        FormatError: it is damaged.
    """
    reader = _Bytes(directory, directory.data(element), f"Vgroup {element.ref}")
    (count,) = reader.numbers("H")
    tags, refs = reader.numbers(f"{count}H"), reader.numbers(f"{count}H")
    name, kind = reader.text(), reader.text()
    return Vgroup(element.ref, name, kind, tuple(zip(tags, refs, strict=True)))


def read_vdata(directory: Directory, element: Element) -> Vdata:
    """The header of a Vdata.

    Raises:
        FormatError: it is damaged.
    """
    reader = _Bytes(directory, directory.data(element), f"Vdata {element.ref}")
    _, records, size, count = reader.numbers("HiHH")
    types, _, offsets, orders = (reader.numbers(f"{count}H") for _ in range(4))
    names = [reader.text() for _ in range(count)]
    name, kind = reader.text(), reader.text()
    return Vdata(element.ref, name, kind, records, size, tuple(zip(names, types, orders, offsets, strict=True)))


def number_type(number: int) -> tuple[np.dtype[Any], bool]:
    """Numpy's type, native, and whether the bytes are little-endian.

    Raises:
        UnsupportedError: a type that numpy does not have.
    """
    plain = number & 0xFFF
    if plain not in _TYPES or number & _NATIVE:
        raise UnsupportedError(f"its values have the number type {number}, which is none of numpy's")
    return np.dtype(_TYPES[plain]), bool(number & _LITTLE)


def attribute_value(directory: Directory, table: Vdata) -> Any:
    """The value of an attribute: a text, a number, or a list of numbers."""
    element = directory.get(VDATA, table.ref)
    if element is None or not table.fields:
        return ""
    _, number, order, _ = table.fields[0]
    dtype, is_little = number_type(number)
    data = directory.data(element)
    count = max(0, order) * max(0, table.records)
    if len(data) < count * dtype.itemsize:
        raise directory.damaged(f"attribute {table.name!r} has {len(data):,} bytes, and should have more")
    if number & 0xFFF in _TEXTS and (dtype.kind == "S" or order > 1):
        return text_of(data[:count].rstrip(b"\0"))
    values = np.frombuffer(data, dtype.newbyteorder("<" if is_little else ">"), count)
    return values[0].item() if count == 1 else values.tolist()
