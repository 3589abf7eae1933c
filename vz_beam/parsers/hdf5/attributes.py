"""The attributes of one HDF5 object: those that users see, and those by which netCDF-4 keeps its dimensions.

Source: HDF5 Dimension Scale Specification 1.4; netCDF-4 file format, "Reserved attribute names".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import h5py
import numpy as np
from h5py import h5, h5a, h5g, h5i, h5r, h5s, h5t
from h5py.h5d import DatasetID
from h5py.h5f import FileID
from numpy.typing import NDArray

from vz_beam.errors import FormatError

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
"""How the ``NAME`` of a dimension scale begins that stands for a dimension only."""
_READ_LAST = frozenset([b"_NCProperties", b"_nc3_strict", b"REFERENCE_LIST", b"_Netcdf4Coordinates"])
"""Hidden names: the first two always, the others are read only where they are not what they usually are."""
_SCALES = h5py.vlen_dtype(h5py.ref_dtype)
_SCALES_TYPE = h5t.py_create(_SCALES)
_IEEE = (h5t.IEEE_F32LE, h5t.IEEE_F32BE, h5t.IEEE_F64LE, h5t.IEEE_F64BE)
_LARGEST_NBYTES = 2**26
"""An attribute above 64 MiB is damage: HDF5 headers hold 64 KiB, dense storage is for a few more."""


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What the attributes of one group or dataset say.

    Args:
        values: visible attributes in the order of their creation, as JSON can say them.
        is_scale: whether the object is a dimension scale.
        is_dimension_only: whether netCDF keeps a dimension here, not a variable.
        dimension_list: the scales of each dimension, by reference; ``None`` where there are none.
        dimension_id: netCDF's number of the dimension that this scale is.
        coordinate_ids: numbers of the dimensions of a variable, in order.
    """

    values: dict[str, Any] = field(default_factory=dict)
    is_scale: bool = False
    is_dimension_only: bool = False
    dimension_list: tuple[tuple[h5r.Reference, ...], ...] | None = None
    dimension_id: int | None = None
    coordinate_ids: tuple[int, ...] | None = None


def object_attributes(loc: DatasetID | h5g.GroupID, fid: FileID) -> ObjectAttributes:
    """All attributes of ``loc``, an object of the file ``fid``."""
    names: list[bytes] = []
    h5a.iterate(loc, names.append, index_type=h5.INDEX_CRT_ORDER)
    values: dict[str, Any] = {}
    dimension_list: tuple[tuple[h5r.Reference, ...], ...] | None = None
    for raw_name in names:
        if raw_name in _READ_LAST:
            continue
        attribute = h5a.open(loc, raw_name)
        if raw_name == b"DIMENSION_LIST":
            dimension_list = _scale_references(attribute)
            if dimension_list is not None:
                continue
        values[text_of(raw_name)] = attribute_value(attribute, fid)
    is_scale = values.get("CLASS") == "DIMENSION_SCALE"
    if not is_scale and b"REFERENCE_LIST" in names:
        values["REFERENCE_LIST"] = attribute_value(h5a.open(loc, b"REFERENCE_LIST"), fid)
    coordinate_ids: tuple[int, ...] | None = None
    if dimension_list is None and b"_Netcdf4Coordinates" in names:
        numbers = attribute_value(h5a.open(loc, b"_Netcdf4Coordinates"), fid)
        coordinate_ids = tuple(np.atleast_1d(numbers).tolist())
    is_dimension_only = False
    if is_scale:
        del values["CLASS"]
        scale_name = values.pop("NAME", None)
        is_dimension_only = isinstance(scale_name, str) and scale_name.startswith(_NOT_A_VARIABLE)
    dimension_id = values.pop("_Netcdf4Dimid", None)
    return ObjectAttributes(
        values=values,
        is_scale=is_scale,
        is_dimension_only=is_dimension_only,
        dimension_list=dimension_list,
        dimension_id=dimension_id if isinstance(dimension_id, int) else None,
        coordinate_ids=coordinate_ids,
    )


def attribute_value(attribute: h5a.AttrID, fid: FileID) -> Any:
    """The value as JSON can say it: one element is a scalar, as in netCDF; an empty dataspace is ``None``."""
    tid = attribute.get_type()
    kind = _value_kind(tid.encode())
    stored_nbytes = _stored_nbytes(attribute)
    if kind.dtype is not None and stored_nbytes == kind.dtype.itemsize:
        # The common case, three times as fast as through h5py's own types: one element, no conversion.
        one: NDArray[Any] = np.empty((), kind.dtype)
        attribute.read(one, tid)
        return one.item() if kind.padding is None else _fixed_text(one.tobytes(), kind.padding)
    if stored_nbytes > _LARGEST_NBYTES:
        raise FormatError(f"attribute {text_of(attribute.name)!r} claims to hold {stored_nbytes} bytes")
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return None
    if kind.dtype is not None and kind.padding is not None:
        texts: NDArray[Any] = np.empty(space.get_simple_extent_dims(), kind.dtype)
        attribute.read(texts, tid)
        return _collapsed([_fixed_text(bytes(item), kind.padding) for item in texts.ravel()], texts.shape)
    array = _raw_array(attribute)
    if array is None:
        return None
    convert = _converter(fid)
    return _collapsed([convert(item) for item in array.ravel()], array.shape)


def text_of(data: bytes | str) -> str:
    """Bytes as text: UTF-8, or Latin-1 where they are not."""
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


@dataclass(frozen=True, slots=True)
class _ValueKind:
    """How the bytes of an attribute's elements can be taken as they are; no dtype where they cannot."""

    dtype: np.dtype[Any] | None
    padding: int | None


@lru_cache(maxsize=1024)
def _value_kind(encoded: bytes) -> _ValueKind:
    """What an encoded HDF5 datatype says. Files repeat a handful of them."""
    tid = h5t.decode(encoded)
    kind, size = tid.get_class(), tid.get_size()
    if kind == h5t.STRING and not tid.is_variable_str():
        return _ValueKind(np.dtype(f"V{size}"), tid.get_strpad())
    if kind == h5t.INTEGER and size in (1, 2, 4, 8) and tid.get_precision() == 8 * size:
        code = "i" if tid.get_sign() == h5t.SGN_2 else "u"
    elif kind == h5t.FLOAT and any(tid.equal(layout) for layout in _IEEE):
        code = "f"
    else:
        return _ValueKind(None, None)
    return _ValueKind(np.dtype(f"{'>' if tid.get_order() == h5t.ORDER_BE else '<'}{code}{size}"), None)


def _fixed_text(data: bytes, padding: int) -> str:
    if padding == h5t.STR_NULLTERM:
        data = data.partition(b"\0")[0]
    elif padding == h5t.STR_SPACEPAD:
        data = data.rstrip(b" ")
    return text_of(data.rstrip(b"\0"))


def _stored_nbytes(attribute: h5a.AttrID) -> int:
    try:
        return int(attribute.get_storage_size())
    except RuntimeError:  # how h5py takes the answer 0, of an attribute without elements
        return 0


def _raw_array(attribute: h5a.AttrID) -> NDArray[Any] | None:
    """The attribute through h5py's types, array datatypes unfolded; ``None`` for types that h5py does not know.

    A type that nobody can show is no reason to refuse the file.
    """
    shape = attribute.shape
    try:
        dtype = attribute.dtype
        memory_type = h5t.py_create(dtype)
    except (TypeError, ValueError, LookupError, NotImplementedError):
        return None
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape = (*shape, *inner)
    array: NDArray[Any] = np.zeros(shape, dtype=dtype)
    try:
        attribute.read(array, memory_type)
    except NotImplementedError:
        return None
    except (OSError, TypeError) as error:
        if "conversion path" in str(error):
            return None
        raise
    return array


def _scale_references(attribute: h5a.AttrID) -> tuple[tuple[h5r.Reference, ...], ...] | None:
    """The scales of each dimension, by reference; ``None`` where the attribute is something else."""
    tid = attribute.get_type()
    if tid.get_class() != h5t.VLEN:
        return None
    entries: NDArray[Any] = np.empty(attribute.get_storage_size() // tid.get_size(), _SCALES)
    try:
        attribute.read(entries, _SCALES_TYPE)
    except (NotImplementedError, TypeError):  # references of HDF5 1.12's new kind, which h5py does not know
        return None
    return tuple(tuple(entry) if isinstance(entry, np.ndarray) else () for entry in entries)


def _collapsed(items: list[Any], shape: tuple[int, ...]) -> Any:
    if len(items) == 1:
        return items[0]
    if len(shape) < 2:
        return items
    nested: NDArray[Any] = np.empty(len(items), object)
    nested[:] = items
    return nested.reshape(shape).tolist()


def _converter(fid: FileID) -> Callable[[Any], Any]:
    def convert(item: Any) -> Any:
        if isinstance(item, (bytes, str)):
            return text_of(item)
        if isinstance(item, (h5r.Reference, h5r.RegionReference)):
            return _target_path(item, fid)
        if isinstance(item, np.void):
            return [convert(item[name]) for name in item.dtype.names] if item.dtype.names else item.tobytes().hex()
        if isinstance(item, np.ndarray):
            return [convert(element) for element in item]
        if isinstance(item, (np.complexfloating, complex)):
            return [float(item.real), float(item.imag)]
        if isinstance(item, (np.datetime64, np.timedelta64)):
            return str(item)
        if isinstance(item, np.floating):
            return float(item)
        return item.item() if isinstance(item, np.generic) else item

    return convert


def _target_path(reference: h5r.Reference, fid: FileID) -> str | None:
    """The path of the object that a reference means; ``None`` for one to nothing."""
    if not reference:
        return None
    target = h5r.dereference(reference, fid)
    name = h5i.get_name(target) if target is not None else None
    return None if name is None else text_of(name)
