"""Attributes as object headers keep them. Those of plain types are read here, five times as fast as through h5py.

Source: HDF5 file format specification 3.0, sections IV.A.2.b, "The Dataspace Message", IV.A.2.d, "The Datatype
Message", IV.A.2.m, "The Attribute Message", and IV.A.2.v, "The Attribute Info Message".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from h5py import h5t

from vz_beam.parsers.hdf5.btree_v2 import btree_v2_rows
from vz_beam.parsers.hdf5.fractal_heap import opened_heap
from vz_beam.parsers.hdf5.global_heap import HEAP_ID
from vz_beam.parsers.hdf5.index_reading import Reading, Structure, side_by_side
from vz_beam.parsers.hdf5.object_header import Message

_ATTRIBUTE, _ATTRIBUTE_INFO = 0x0C, 0x15
_SHARED = 0x02
"""The flag of a message that lies elsewhere."""
_BY_NAME = 8
"""The type of a B-tree of attributes by the hashes of their names."""
_NAME_RECORD = np.dtype([("id", "u1", (8,)), ("flags", "u1"), ("order", "<u4"), ("hash", "<u4")])
_NOWHERE = b"\xff" * 8
_INTEGER, _FLOAT, _STRING, _COMPOUND, _VARIABLE_LENGTH = 0, 1, 3, 6, 9
_BACK_LIST = b"REFERENCE_LIST"
_REFERENCE_NBYTES = 8
_OF_TEXT = 1
"""The kind of variable-length values that are strings."""
_REFERENCE = 7
_NULL_SPACE = 2
_FLOATS = {
    form.encode()[3:]: dtype
    for form, dtype in (
        (h5t.IEEE_F32LE, "<f4"),
        (h5t.IEEE_F32BE, ">f4"),
        (h5t.IEEE_F64LE, "<f8"),
        (h5t.IEEE_F64BE, ">f8"),
    )
}
"""The floating-point types that numpy has, by their encoding behind two bytes of H5Tencode and one of class."""


@dataclass(frozen=True, slots=True)
class PlainType:
    """A type whose bytes can be taken as they are.

    ``padding`` is that of strings of one length, ``None`` for others; ``in_heap`` says that the bytes are those of
    references to strings in the global heap, ``is_scales`` to lists of object references there, as dimension scales
    are attached. ``is_back_list`` says that they begin with an object reference, as scales list what they belong to.
    """

    dtype: np.dtype[Any]
    padding: int | None = None
    in_heap: bool = False
    is_scales: bool = False
    is_back_list: bool = False

    @property
    def is_value(self) -> bool:
        """Whether the bytes are, or lead to, what users see."""
        return not self.is_scales and not self.is_back_list


@dataclass(frozen=True, slots=True)
class HeaderAttribute:
    """One attribute; ``plain`` is ``None`` where only libhdf5 converts it, ``shape`` where it has no elements.

    ``data`` are its values as they are stored, and maybe what is behind them where it is not plain; ``raw_type`` is its
    datatype message, empty where that is shared. ``order`` is that of creation. Of one that ``is_elsewhere`` only the
    name is known.
    """

    name: bytes
    plain: PlainType | None = None
    shape: tuple[int, ...] | None = None
    data: bytes = b""
    raw_type: bytes = b""
    order: int = 0
    is_elsewhere: bool = False


def attribute_reading(
    structure: Structure, messages: Sequence[Message], file_nbytes: int
) -> Reading[tuple[list[HeaderAttribute], bool]]:
    """The attributes of an object, in the order of their creation where the file keeps that, else as libhdf5 has them.

    And whether those are all: only libhdf5 has those that are shared between objects, or huge.

    Raises:
        FormatError: damaged structures; struct.error, IndexError or ValueError for some of them.
    """
    found: list[HeaderAttribute] = []
    is_whole = bool(messages)
    for message in messages:
        if message.kind == _ATTRIBUTE and message.flags & _SHARED:
            is_whole = False
        elif message.kind == _ATTRIBUTE:
            found.append(replace(_attribute(message.body), order=message.order))
        elif message.kind == _ATTRIBUTE_INFO and not _has_no_heap(message.body):
            start, key = (4, "order") if message.body[1] & 1 else (2, "hash")  # libhdf5 goes by hashes then
            heap, names = struct.unpack_from("<QQ", message.body, start)
            tree = btree_v2_rows(structure, names, _name_record, file_nbytes)
            rows, opened = yield from side_by_side(tree, opened_heap(structure, heap))
            bodies = yield from opened.objects([bytes(row) for row in rows["id"]])
            for row, body in zip(rows, bodies, strict=True):
                if body is None or row["flags"] & _SHARED:
                    is_whole = False
                else:
                    found.append(replace(_attribute(body), order=int(row[key])))
    found.sort(key=lambda attribute: attribute.order)
    return found, is_whole


def heap_addresses(attribute: HeaderAttribute) -> set[int]:
    """The collections of the global heap in which the values of an attribute lie."""
    plain = attribute.plain
    if plain is None or not (plain.in_heap or plain.is_scales) or attribute.shape is None:
        return set()
    rows = np.frombuffer(attribute.data, plain.dtype)
    return set(rows["address"][rows["nbytes"] > 0].tolist())


def back_references(attribute: HeaderAttribute) -> list[int]:
    """The headers of the objects that a dimension scale lists: those along it."""
    plain = attribute.plain
    if plain is None or not plain.is_back_list:
        return []
    addresses: list[int] = np.frombuffer(attribute.data, plain.dtype)["address"].tolist()
    return addresses


def _name_record(kind: int, nbytes: int) -> np.dtype[Any] | None:
    return _NAME_RECORD if kind == _BY_NAME and nbytes == _NAME_RECORD.itemsize else None


def _has_no_heap(body: bytes) -> bool:
    start = 4 if body[1] & 1 else 2
    return body[start : start + 8] == _NOWHERE


def _attribute(body: bytes) -> HeaderAttribute:
    version, flags, name_nbytes, type_nbytes, space_nbytes = struct.unpack_from("<BBHHH", body)
    if version not in (1, 2, 3):
        raise ValueError(version)
    start = 9 if version == 3 else 8
    pieces = []
    for nbytes in (name_nbytes, type_nbytes, space_nbytes):
        pieces.append(body[start : start + nbytes])
        start += (nbytes + 7) // 8 * 8 if version == 1 else nbytes
    raw_name, raw_type, raw_space = pieces
    name = raw_name.partition(b"\0")[0]
    plain = None if version > 1 and flags else _plain_type(raw_type)
    if name == _BACK_LIST and plain is None and raw_type[0] & 0x0F == _COMPOUND:
        plain = _back_list_type(int.from_bytes(raw_type[4:8], "little"))
    if plain is None:
        return HeaderAttribute(name, data=body[start:], raw_type=b"" if version > 1 and flags & 1 else raw_type)
    shape = _shape(raw_space)
    nbytes = 0 if shape is None else math.prod(shape) * plain.dtype.itemsize
    data = body[start : start + nbytes]
    if len(data) < nbytes:
        raise ValueError(len(data))
    return HeaderAttribute(name, plain, shape, data)


def _shape(raw: bytes) -> tuple[int, ...] | None:
    """The lengths of a dataspace; ``None`` for the one that has no elements at all."""
    version, rank, _, kind = struct.unpack_from("<BBBB", raw)
    if version == 2 and kind == _NULL_SPACE:
        return None
    if version not in (1, 2):
        raise ValueError(version)
    return struct.unpack_from(f"<{rank}Q", raw, 8 if version == 1 else 4)


@lru_cache(maxsize=1024)
def _plain_type(raw: bytes) -> PlainType | None:
    """What an encoded datatype says. Files repeat a handful of them."""
    kind, bits, size = raw[0] & 0x0F, raw[1], int.from_bytes(raw[4:8], "little")
    if kind == _STRING and size:
        return PlainType(np.dtype(f"V{size}"), bits & 0x0F)
    if kind == _INTEGER and size in (1, 2, 4, 8) and raw[8:12] == struct.pack("<HH", 0, 8 * size):
        return PlainType(np.dtype(f"{'>' if bits & 1 else '<'}{'i' if bits & 8 else 'u'}{size}"))
    if kind == _VARIABLE_LENGTH and size == HEAP_ID.itemsize and bits & 0x0F == _OF_TEXT:
        return PlainType(HEAP_ID, in_heap=True)
    if kind == _VARIABLE_LENGTH and size == HEAP_ID.itemsize and not bits & 0x0F and _is_object_reference(raw[8:16]):
        return PlainType(HEAP_ID, is_scales=True)
    name = _FLOATS.get(raw[1:20])
    return None if name is None or kind != _FLOAT else PlainType(np.dtype(name))


def _back_list_type(size: int) -> PlainType | None:
    """Of the entries of ``REFERENCE_LIST``: an object reference, and the number of a dimension."""
    if size < _REFERENCE_NBYTES:
        return None
    return PlainType(np.dtype([("address", "<u8"), ("rest", f"V{size - _REFERENCE_NBYTES}")]), is_back_list=True)


def _is_object_reference(raw: bytes) -> bool:
    """Whether an encoded datatype is that of references by address, of 8 bytes."""
    return bool(raw) and raw[0] & 0x0F == _REFERENCE and raw[1:] == struct.pack("<BBBI", 0, 0, 0, 8)
