"""The attributes of one HDF5 object: those that users see, and those by which netCDF-4 keeps its dimensions.

Source: HDF5 Dimension Scale Specification 1.4; netCDF-4 file format, "Reserved attribute names".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from h5py import h5, h5a, h5g, h5i, h5r, h5s, h5t
from h5py.h5d import DatasetID
from h5py.h5f import FileID
from numpy.typing import NDArray

from vz_beam.errors import FormatError

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
"""How the ``NAME`` of a dimension scale begins that stands for a dimension only."""
_NETCDF_OWN = frozenset(["_NCProperties", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict"])
_SCALE_OWN = frozenset(["CLASS", "NAME"])
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
    scale_list: h5a.AttrID | None = None
    for raw_name in names:
        attribute = h5a.open(loc, raw_name)
        if raw_name == b"REFERENCE_LIST":
            scale_list = attribute  # costly to read, and hidden where it is what it should be
            continue
        if raw_name == b"DIMENSION_LIST" and attribute.get_type().get_class() == h5t.VLEN:
            dimension_list = _references(_raw_array(attribute))
            continue
        values[text_of(raw_name)] = attribute_value(attribute, fid)
    is_scale = values.get("CLASS") == "DIMENSION_SCALE"
    if scale_list is not None and not is_scale:
        values["REFERENCE_LIST"] = attribute_value(scale_list, fid)
    dimension_id, coordinates = values.get("_Netcdf4Dimid"), values.get("_Netcdf4Coordinates")
    scale_name = values.get("NAME")
    hidden = _NETCDF_OWN | _SCALE_OWN if is_scale else _NETCDF_OWN
    return ObjectAttributes(
        values={name: value for name, value in values.items() if name not in hidden},
        is_scale=is_scale,
        is_dimension_only=is_scale and isinstance(scale_name, str) and scale_name.startswith(_NOT_A_VARIABLE),
        dimension_list=dimension_list,
        dimension_id=dimension_id if isinstance(dimension_id, int) else None,
        coordinate_ids=None if coordinates is None else tuple(np.atleast_1d(coordinates).tolist()),
    )


def attribute_value(attribute: h5a.AttrID, fid: FileID) -> Any:
    """The value as JSON can say it: one element is a scalar, as in netCDF; an empty dataspace is ``None``."""
    tid = attribute.get_type()
    kind = tid.get_class()
    fixed_nbytes = tid.get_size()
    stored_nbytes = attribute.get_storage_size()
    if stored_nbytes > _LARGEST_NBYTES:
        raise FormatError(f"attribute {text_of(attribute.name)!r} claims to hold {stored_nbytes} bytes")
    is_text = kind == h5t.STRING and not tid.is_variable_str()
    if stored_nbytes == fixed_nbytes and (is_text or (dtype := _plain_dtype(tid, kind, fixed_nbytes)) is not None):
        # The common case, four times as fast as through h5py's own types: one element, no conversion.
        one: NDArray[Any] = np.empty((), f"S{fixed_nbytes}" if is_text else dtype)
        attribute.read(one, tid)
        return _fixed_text(one.tobytes(), tid) if is_text else one.item()
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return None
    if is_text:
        texts: NDArray[Any] = np.empty(space.get_simple_extent_dims(), f"V{fixed_nbytes}")
        attribute.read(texts, tid)
        return _collapsed([_fixed_text(bytes(item), tid) for item in texts.ravel()], texts.shape)
    array = _raw_array(attribute)
    convert = _converter(array.dtype, fid)
    return _collapsed([convert(item) for item in array.ravel()], array.shape)


def text_of(data: bytes | str) -> str:
    """Bytes as text: UTF-8, or Latin-1 where they are not."""
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _plain_dtype(tid: h5t.TypeID, kind: int, size: int) -> np.dtype[Any] | None:
    """The dtype whose bytes the file has, for plain numbers; ``None`` for all else."""
    if kind == h5t.INTEGER and size in (1, 2, 4, 8) and tid.get_precision() == 8 * size:
        code = "i" if tid.get_sign() == h5t.SGN_2 else "u"
    elif kind == h5t.FLOAT and size in (4, 8) and tid.get_precision() == 8 * size:
        code = "f"
    else:
        return None
    order = tid.get_order()
    if order not in (h5t.ORDER_LE, h5t.ORDER_BE):
        return None
    return np.dtype(f"{'<' if order == h5t.ORDER_LE else '>'}{code}{size}")


def _fixed_text(data: bytes, tid: h5t.TypeID) -> str:
    if tid.get_strpad() == h5t.STR_NULLTERM:
        data = data.partition(b"\0")[0]
    elif tid.get_strpad() == h5t.STR_SPACEPAD:
        data = data.rstrip(b" ")
    return text_of(data.rstrip(b"\0"))


def _raw_array(attribute: h5a.AttrID) -> NDArray[Any]:
    """The attribute through h5py's types, array datatypes unfolded."""
    dtype = attribute.dtype
    shape = attribute.shape
    if shape is None:
        return np.empty((0,), object)
    memory_type = h5t.py_create(dtype)
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape = (*shape, *inner)
    array: NDArray[Any] = np.zeros(shape, dtype=dtype)
    attribute.read(array, memory_type)
    return array


def _references(entries: NDArray[Any]) -> tuple[tuple[h5r.Reference, ...], ...]:
    return tuple(tuple(entry) if isinstance(entry, np.ndarray) else () for entry in entries)


def _collapsed(items: list[Any], shape: tuple[int, ...]) -> Any:
    if len(items) == 1:
        return items[0]
    if len(shape) < 2:
        return items
    nested: NDArray[Any] = np.empty(len(items), object)
    nested[:] = items
    return nested.reshape(shape).tolist()


def _converter(dtype: np.dtype[Any], fid: FileID) -> Callable[[Any], Any]:
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
