"""HDF5 datatypes as numpy dtypes and byte orders.

Source: HDF5 file format specification 3.0, section IV.A.2.d, "The Datatype Message".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from h5py import h5t

from vz_beam.errors import UnsupportedError

VARIABLE_STRING: np.dtype[Any] = np.dtypes.StringDType()
"""What variable-length strings become: Zarr v3 ``string``."""

_INTEGER_SIZES = (1, 2, 4, 8)
_IEEE = {
    2: (h5t.IEEE_F16LE, h5t.IEEE_F16BE),
    4: (h5t.IEEE_F32LE, h5t.IEEE_F32BE),
    8: (h5t.IEEE_F64LE, h5t.IEEE_F64BE),
}
"""Bytes to the only layouts of floating-point bits that numpy and Zarr share with HDF5."""


@dataclass(frozen=True, slots=True)
class StoredType:
    """What one element is.

    Args:
        dtype: native, packed; ``VARIABLE_STRING`` for variable-length strings.
        byte_order: of the stored bytes: ``"little"``, ``"big"``, or ``None`` where it has no meaning.
        inner_shape: the extra trailing axes of an array datatype.
        attributes: what the type itself says in CF words: the names of an enumeration.
        conversion: why the stored bytes are not those of ``dtype``, so that only libhdf5 can give the
            values; empty where they are.
    """

    dtype: np.dtype[Any]
    byte_order: str | None = None
    inner_shape: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    conversion: str = ""


def stored_type(tid: h5t.TypeID) -> StoredType:
    """The elements that ``tid`` describes.

    Raises:
        UnsupportedError: a type whose values no Zarr array can hold.
    """
    kind = tid.get_class()
    reader = _READERS.get(kind)
    if reader is None:
        raise UnsupportedError(f"values of {_CLASS_NAMES.get(kind, f'HDF5 type class {kind}')} have no Zarr type")
    try:
        return reader(tid)
    except (TypeError, ValueError, LookupError, NotImplementedError) as error:
        raise UnsupportedError(f"numpy has no type for its values ({error or type(error).__name__})") from error


def is_readable(dtype: np.dtype[Any]) -> bool:
    """Whether libhdf5 and h5py fill arrays of a type that h5py made without writing over their own memory.

    They do not where members of a compound lie over each other, because h5py chose a larger type for one of them; nor
    where a list is one of references to regions, which h5py takes for pointers (measured with h5py 3.16).
    """
    if dtype.subdtype is not None:
        return is_readable(dtype.subdtype[0])
    base = h5py.check_vlen_dtype(dtype)
    if isinstance(base, np.dtype):
        return h5py.check_ref_dtype(base) is not h5py.RegionReference and is_readable(base)
    end = 0
    members = [each[:2] for each in (dtype.fields or {}).values()]
    for member, offset in sorted(members, key=lambda each: each[1]):
        if offset < end or not is_readable(member):
            return False
        end = offset + member.itemsize
    return end <= dtype.itemsize


def _byte_order(tid: h5t.TypeID, size: int) -> str | None:
    if size == 1:
        return None
    return "big" if tid.get_order() == h5t.ORDER_BE else "little"


def _integer(tid: h5t.TypeID) -> StoredType:
    size = tid.get_size()
    if size not in _INTEGER_SIZES:
        raise UnsupportedError(f"integers of {size} bytes have no Zarr type")
    sign = "i" if tid.get_class() == h5t.INTEGER and tid.get_sign() == h5t.SGN_2 else "u"
    # h5py does not give the precision of bit fields: it stands behind the size, and the offset, of the message.
    bits = struct.unpack_from("<H", tid.encode(), 12)[0] if tid.get_class() == h5t.BITFIELD else tid.get_precision()
    conversion = "" if bits == 8 * size else f"its integers use {bits} of {8 * size} bits"
    return StoredType(np.dtype(f"{sign}{size}"), _byte_order(tid, size), conversion=conversion)


def _float(tid: h5t.TypeID) -> StoredType:
    size = tid.get_size()
    for layout, order in zip(_IEEE.get(size, ()), ("little", "big"), strict=False):
        if tid.equal(layout):
            return StoredType(np.dtype(f"f{size}"), order)
    # The smallest numpy type that holds every value, by h5py's reckoning.
    dtype = np.dtype(tid.dtype.str).newbyteorder("=")
    if dtype.itemsize not in _IEEE:
        raise UnsupportedError(f"floating-point numbers of {8 * size} bits ({dtype}) have no Zarr type")
    return StoredType(dtype, "little", conversion="its floating-point numbers are not IEEE 754 ones")


def _string(tid: h5t.TypeID) -> StoredType:
    if tid.is_variable_str():
        return StoredType(VARIABLE_STRING)
    size, padding = tid.get_size(), tid.get_strpad()
    conversion = ""
    if padding == h5t.STR_SPACEPAD:
        conversion = "its strings are padded with spaces that do not belong to the values"
    elif padding == h5t.STR_NULLTERM and size > 1:
        conversion = "its strings end at a null byte, behind which anything may stand"
    return StoredType(np.dtype(f"S{size}"), conversion=conversion)


def _enumeration(tid: h5t.TypeID) -> StoredType:
    inner = _integer(tid.get_super())
    if tid.dtype.kind == "b" and inner.dtype.itemsize == 1:  # h5py's own: FALSE = 0, TRUE = 1
        return StoredType(np.dtype(bool))
    members = [(tid.get_member_value(number), _member_name(tid, number)) for number in range(tid.get_nmembers())]
    members.sort()
    attributes = {
        "flag_values": [int(value) for value, _ in members],
        "flag_meanings": " ".join("_".join(name.split()) for _, name in members),
    }
    return StoredType(inner.dtype, inner.byte_order, attributes=attributes, conversion=inner.conversion)


def _member_name(tid: h5t.TypeID, number: int) -> str:
    raw = tid.get_member_name(number)
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _compound(tid: h5t.TypeID) -> StoredType:
    members: list[tuple[str, StoredType]] = []
    position, conversion = 0, ""
    for number in range(tid.get_nmembers()):
        name = _member_name(tid, number)
        member = tid.get_member_type(number)
        inner = stored_type(member)
        if inner.dtype == VARIABLE_STRING:
            raise UnsupportedError(f"its compound values have a member {name!r} of variable length")
        if inner.inner_shape:
            raise UnsupportedError(f"its compound values have a member {name!r} that is an array, as no Zarr struct")
        if member.dtype.itemsize != member.get_size():
            # h5py gives the member its new type at its old place, and libhdf5 writes over the others, or further
            raise UnsupportedError(f"its compound values have a member {name!r} that is another size in numpy")
        if tid.get_member_offset(number) != position:
            conversion = "its compound values have gaps between their members"
        conversion = conversion or inner.conversion
        position += member.get_size()
        members.append((name, inner))
    if position != tid.get_size():
        conversion = "its compound values have gaps between their members"
    orders = {inner.byte_order for _, inner in members} - {None}
    if len(orders) > 1:
        conversion = "the members of its compound values differ in byte order"
    order = next(iter(orders)) if len(orders) == 1 else ("little" if orders else None)
    if tid.dtype.kind == "c":  # two floats, named as h5py names the parts of a complex number
        return StoredType(np.dtype(f"c{tid.dtype.itemsize}"), order, conversion=conversion)
    if order == "big":
        conversion = conversion or "its compound values are big-endian, and Zarr v3 structs are little-endian"
    packed = np.dtype([(name, inner.dtype) for name, inner in members])
    return StoredType(packed, "little" if orders else order, conversion=conversion)


def _complex(tid: h5t.TypeID) -> StoredType:
    inner = _float(tid.get_super())
    size = 2 * inner.dtype.itemsize
    if size not in (8, 16):
        raise UnsupportedError(f"complex numbers of {8 * size} bits have no numpy type")
    return StoredType(np.dtype(f"c{size}"), inner.byte_order, conversion=inner.conversion)


def _opaque(tid: h5t.TypeID) -> StoredType:
    size, dtype = tid.get_size(), tid.dtype  # h5py tells numpy's type in a tag: that of datetimes, above all
    if dtype.itemsize != size or dtype.kind not in "mMiufcbS":
        return StoredType(np.dtype(f"V{size}"))
    order = {">": "big", "<": "little", "=": "little"}.get(dtype.byteorder)
    return StoredType(dtype.newbyteorder("="), order)


def _array(tid: h5t.TypeID) -> StoredType:
    inner = stored_type(tid.get_super())
    if inner.dtype == VARIABLE_STRING:
        raise UnsupportedError("its values are arrays of variable-length strings")
    shape = (*tid.get_array_dims(), *inner.inner_shape)
    return StoredType(inner.dtype, inner.byte_order, shape, inner.attributes, inner.conversion)


_READERS = {
    h5t.INTEGER: _integer,
    h5t.BITFIELD: _integer,
    h5t.FLOAT: _float,
    h5t.STRING: _string,
    h5t.ENUM: _enumeration,
    h5t.COMPOUND: _compound,
    h5t.OPAQUE: _opaque,
    h5t.ARRAY: _array,
}
if hasattr(h5t, "COMPLEX"):  # HDF5 2.0 and later
    _READERS[h5t.COMPLEX] = _complex

_CLASS_NAMES = {
    h5t.VLEN: "variable-length arrays (HDF5 class VLEN)",
    h5t.REFERENCE: "references to objects or regions (HDF5 class REFERENCE)",
    h5t.TIME: "HDF5's own time type (HDF5 class TIME)",
}
