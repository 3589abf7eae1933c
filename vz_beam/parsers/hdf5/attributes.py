"""The attributes of one HDF5 object: those that users see, and those by which netCDF-4 keeps its dimensions.

Source: HDF5 Dimension Scale Specification 1.4; netCDF-4 file format, "Reserved attribute names".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from h5py import h5, h5a, h5g, h5i, h5r, h5s, h5t
from h5py.h5d import DatasetID
from h5py.h5f import FileID
from numpy.typing import NDArray

from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.attribute_messages import HeaderAttribute, attribute_reading
from vz_beam.parsers.hdf5.dense_check import ATTRIBUTE_INFO, dense_records
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.global_heap import NOT_STORED, GlobalHeap, HeapDamage, heap_strings
from vz_beam.parsers.hdf5.heap_check import check_heap, encoded_type, encoding_of
from vz_beam.parsers.hdf5.index_reading import Structure
from vz_beam.parsers.hdf5.object_header import Message
from vz_beam.parsers.hdf5.types import is_readable

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
"""How the ``NAME`` of a dimension scale begins that stands for a dimension only."""
_READ_LAST = frozenset([b"_NCProperties", b"_nc3_strict", b"REFERENCE_LIST", b"_Netcdf4Coordinates"])
"""Hidden names: the first two always, the others are read only where they are not what they usually are."""
_PACKING = frozenset([b"scale_factor", b"add_offset"])
_SCALES = h5py.vlen_dtype(h5py.ref_dtype)
_SCALES_TYPE = h5t.py_create(_SCALES)
_REFERENCE_NBYTES = 8
_LARGEST_NBYTES = 2**26
"""An attribute above 64 MiB is damage: HDF5 headers hold 64 KiB, dense storage is for a few more."""
ScaleLists = tuple[tuple[int, ...], ...] | tuple[tuple[h5r.Reference, ...], ...]
"""The scales of each dimension: the addresses of their headers, or references to them."""


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What the attributes of one group or dataset say.

    Args:
        values: visible attributes in the order of their creation, as JSON can say them.
        packing_dtypes: of the numbers by which values are packed, where Python's numbers do not tell.
        is_scale: whether the object is a dimension scale.
        is_dimension_only: whether netCDF keeps a dimension here, not a variable.
        dimension_list: the scales of each dimension, by the addresses of their headers, or by reference where only
            libhdf5 reads them; ``None`` where there are none.
        dimension_id: netCDF's number of the dimension that this scale is.
        coordinate_ids: numbers of the dimensions of a variable, in order.
    """

    values: dict[str, Any] = field(default_factory=dict)
    packing_dtypes: dict[str, np.dtype[Any]] = field(default_factory=dict)
    is_scale: bool = False
    is_dimension_only: bool = False
    dimension_list: ScaleLists | None = None
    dimension_id: int | None = None
    coordinate_ids: tuple[int, ...] | None = None


def object_attributes(
    loc: DatasetID | h5g.GroupID, path: str, file: OpenFile, messages: tuple[Message, ...]
) -> ObjectAttributes:
    """All attributes of ``loc``, the object of ``file`` at ``path``; ``messages`` of its header, if they are known."""
    heap = file.heap
    in_header, are_all = file.follow(attribute_reading(Structure(file.source.url, path), messages, file.nbytes))
    if not are_all:
        # libhdf5 crashes on records that lead nowhere (measured with HDF5 2.0.0)
        file.follow(
            dense_records(
                Structure(file.source.url, path), messages, ATTRIBUTE_INFO, file.nbytes, file.shares_messages()
            )
        )
        known = {attribute.name: attribute for attribute in in_header}
        names: list[bytes] = []
        h5a.iterate(loc, names.append, index_type=h5.INDEX_CRT_ORDER)
        in_header = [known.get(name) or HeaderAttribute(name, is_elsewhere=True) for name in names]
    hidden = {attribute.name: attribute for attribute in in_header if attribute.name in _READ_LAST}
    values: dict[str, Any] = {}
    packing_dtypes: dict[str, np.dtype[Any]] = {}
    dimension_list: ScaleLists | None = None
    for attribute in in_header:
        raw_name = attribute.name
        if raw_name in _READ_LAST:
            continue
        if raw_name == b"DIMENSION_LIST":
            in_heap = attribute.plain is not None and attribute.plain.is_scales
            if not in_heap:
                _checked(loc, attribute, heap)
            dimension_list = _scale_addresses(attribute, heap) if in_heap else scale_references(loc)
            if dimension_list is not None:
                continue
        values[text_of(raw_name)] = _value(loc, attribute, file)
        if raw_name in _PACKING and (dtype := _number_type(attribute)) is not None:
            packing_dtypes[text_of(raw_name)] = dtype
    is_scale = values.get("CLASS") == "DIMENSION_SCALE"
    if not is_scale and b"REFERENCE_LIST" in hidden:
        values["REFERENCE_LIST"] = _value(loc, hidden[b"REFERENCE_LIST"], file)
    coordinate_ids: tuple[int, ...] | None = None
    if dimension_list is None and b"_Netcdf4Coordinates" in hidden:
        coordinate_ids = tuple(np.atleast_1d(_value(loc, hidden[b"_Netcdf4Coordinates"], file)).tolist())
    is_dimension_only = False
    if is_scale:
        del values["CLASS"]
        scale_name = values.pop("NAME", None)
        is_dimension_only = isinstance(scale_name, str) and scale_name.startswith(_NOT_A_VARIABLE)
    dimension_id = values.pop("_Netcdf4Dimid", None)
    return ObjectAttributes(
        values=values,
        packing_dtypes=packing_dtypes,
        is_scale=is_scale,
        is_dimension_only=is_dimension_only,
        dimension_list=dimension_list,
        dimension_id=dimension_id if isinstance(dimension_id, int) else None,
        coordinate_ids=coordinate_ids,
    )


def _value(loc: DatasetID | h5g.GroupID, attribute: HeaderAttribute, file: OpenFile) -> Any:
    """The value, from the header where that will do."""
    try:
        return _plain_value(attribute, file.heap)
    except LookupError:
        return attribute_value(_checked(loc, attribute, file.heap), file.fid)


def _number_type(attribute: HeaderAttribute) -> np.dtype[Any] | None:
    """Type of the one number that a plain attribute holds; ``None`` where Python's own numbers have it."""
    plain = attribute.plain
    if plain is None or not plain.is_value or plain.in_heap or plain.padding is not None:
        return None
    dtype = plain.dtype.newbyteorder("=")
    is_one = attribute.shape is not None and len(attribute.data) == dtype.itemsize
    return dtype if is_one and dtype.kind in "iuf" and dtype not in (np.int64, np.float64) else None


def attribute_value(attribute: h5a.AttrID, fid: FileID) -> Any:
    """The value as JSON can say it: one element is a scalar, as in netCDF; an empty dataspace is ``None``."""
    stored_nbytes = _stored_nbytes(attribute)
    if stored_nbytes > _LARGEST_NBYTES:
        raise HeapDamage(f"attribute {text_of(attribute.name)!r} claims to hold {stored_nbytes} bytes")
    if attribute.get_space().get_simple_extent_type() == h5s.NULL:
        return None
    tid = attribute.get_type()
    if tid.get_class() == h5t.STRING and not tid.is_variable_str():
        texts: NDArray[Any] = np.empty(attribute.shape, np.dtype(f"V{tid.get_size()}"))
        attribute.read(texts, tid)
        return _texts(texts, tid.get_strpad())
    array = _raw_array(attribute)
    if array is None:
        return None
    convert = _converter(fid)
    return _collapsed([convert(item) for item in array.ravel()], array.shape)


def _plain_value(attribute: HeaderAttribute, heap: GlobalHeap) -> Any:
    """The value of an attribute of a plain type.

    Raises:
        LookupError: its type is not plain: libhdf5 is to say what it is.
        HeapDamage: its text is not where it should be. libhdf5 is not asked: it may never return.
    """
    plain = attribute.plain
    if plain is None or not plain.is_value:
        raise LookupError(attribute.name)
    if attribute.shape is None:
        return None
    array = np.frombuffer(attribute.data, plain.dtype)
    if plain.padding is not None:
        return _texts(array.reshape(attribute.shape), plain.padding)
    if plain.in_heap:
        try:
            texts = heap_strings(heap, array)
        except HeapDamage as error:
            raise HeapDamage(f"attribute {text_of(attribute.name)!r}: {error}") from error
        return _collapsed([text_of(item) for item in texts], attribute.shape)
    return _collapsed(array.tolist(), attribute.shape)


def _checked(loc: DatasetID | h5g.GroupID, attribute: HeaderAttribute, heap: GlobalHeap) -> h5a.AttrID:
    """The attribute for libhdf5 to read, checked as far as its bytes are known.

    Raises:
        HeapDamage: libhdf5 may not come back from reading it, or it claims more than there is.
    """
    opened = h5a.open(loc, attribute.name)
    tid = opened.get_type()
    count = int(opened.get_space().get_simple_extent_npoints())
    nbytes, most = count * tid.get_size(), _LARGEST_NBYTES
    try:
        kind = None if attribute.is_elsewhere else encoded_type(attribute.raw_type or encoding_of(tid))
    except HeapDamage:
        raise
    except (ValueError, IndexError):
        kind = None  # libhdf5 says what it is
    if kind is not None:
        nbytes, most = count * kind.nbytes, len(attribute.data)
    if nbytes > most:
        raise HeapDamage(f"attribute {text_of(attribute.name)!r} claims to hold {nbytes} bytes")
    if kind is not None:
        check_heap(heap, kind, attribute.data)
    return opened


def _texts(array: NDArray[Any], padding: int) -> Any:
    return _collapsed([_fixed_text(item.tobytes(), padding) for item in array.ravel()], array.shape)


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
    if not is_readable(dtype):
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


def _scale_addresses(attribute: HeaderAttribute, heap: GlobalHeap) -> tuple[tuple[int, ...], ...] | None:
    """The scales of each dimension, by address.

    libhdf5 is not asked where the heap is damaged: it may never return (measured with HDF5 2.0.0).
    """
    if attribute.shape is None or attribute.plain is None:
        return None
    rows = np.frombuffer(attribute.data, attribute.plain.dtype)
    result: list[tuple[int, ...]] = []
    for count, address, number in rows.tolist():
        try:
            data = heap.object(address, number) if count else b""
        except HeapDamage:
            data = b""
        if len(data) < count * _REFERENCE_NBYTES:
            raise HeapDamage(
                f"its dimension scales are to be object {number} of the global heap at address {address}, and there "
                f"are {len(data)} bytes for {count} references"
            )
        result.append(tuple(np.frombuffer(data, "<u8", count).tolist()))
    heap.check(rows["address"][rows["address"] != NOT_STORED].tolist())  # libhdf5 may be asked for scales not found
    return tuple(result)


def scale_references(loc: DatasetID) -> tuple[tuple[h5r.Reference, ...], ...] | None:
    """The scales of each dimension of ``loc``, by reference; ``None`` where its attribute is something else."""
    attribute = h5a.open(loc, b"DIMENSION_LIST")
    tid = attribute.get_type()
    if tid.get_class() != h5t.VLEN or not tid.get_super().equal(h5t.STD_REF_OBJ):
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
    if len(shape) < 2 or not items:  # a shape without elements may name billions of empty rows
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


def referenced(reference: h5r.Reference, fid: FileID) -> Any:
    """The object that a reference means; ``None`` for one to nothing, or to what was deleted."""
    if not reference:
        return None
    try:
        return h5r.dereference(reference, fid)
    except (KeyError, ValueError, RuntimeError):  # by what happens to be at its address now
        return None


def _target_path(reference: h5r.Reference, fid: FileID) -> str | None:
    target = referenced(reference, fid)
    name = h5i.get_name(target) if target is not None else None
    return None if name is None else text_of(name)
