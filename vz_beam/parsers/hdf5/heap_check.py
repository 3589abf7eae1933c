"""Values of variable length in types that only libhdf5 converts, checked before it looks: it may never return.

Source: HDF5 file format specification 4.0, sections IV.A.2.d, "The Datatype Message", and IV.A.2.e and f, "The Data
Storage - Fill Value Messages".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from h5py import h5t
from numcodecs.jenkins import jenkins_lookup3

from vz_beam.parsers.hdf5.global_heap import HEAP_ID, NOT_STORED, GlobalHeap, HeapDamage
from vz_beam.parsers.hdf5.object_header import Message

_OPAQUE, _COMPOUND, _ENUMERATION, _VARIABLE_LENGTH, _ARRAY, _COMPLEX = 5, 6, 8, 9, 10, 11
_REFERENCE, _OF_REGION = 7, 1
_REGION = np.dtype([("address", "<u8"), ("number", "<u4")])
"""A reference to a part of a dataset: where in the heap its description is."""
_SEQUENCE, _STRING = 0, 1
"""Kinds of values of variable length; libhdf5 crashes on others (measured with HDF5 2.0.0)."""
_RANK_AT = {(1, 1): 16, (1, 2): 9, (2, 1): 16, (2, 2): 13, (2, 3): 10}
"""Where the rank stands in a selection, of points (1) or blocks (2), by its version."""
_MOST_DIMENSIONS = 32
_PROPERTY_NBYTES = {0: 4, 1: 12, 2: 2, 3: 0, 4: 4, 7: 0}
"""Of integers, floating-point numbers, times, strings, bit fields and references."""
_MOST_ELEMENTS = 2**20
"""Of one array within a type."""
_DATATYPE, _OLD_FILL_VALUE, _FILL_VALUE = 0x03, 0x04, 0x05
_SHARED = 0x02
"""The flag of a message that lies elsewhere."""
_FLAGGED_VERSION = 3
"""The version of fill value messages from which on flags say what is there, in one byte rather than three."""
_WITH_PARTS = (_COMPOUND, _VARIABLE_LENGTH, _ARRAY, _REFERENCE)
"""Classes of types whose values may lie in the heap."""


@dataclass(frozen=True, slots=True)
class EncodedType:
    """A datatype: ``nbytes`` of an element, and what it is made of where values of variable length may be in there.

    ``parts`` are types at byte offsets of an element; ``base`` is the type of what a value of variable length holds;
    ``is_region`` says that it is a reference to a part of a dataset, which lies in the heap as well.
    """

    nbytes: int
    parts: tuple[tuple[int, EncodedType], ...] = ()
    base: EncodedType | None = None
    is_region: bool = False
    has_heap: bool = field(init=False)

    def __post_init__(self) -> None:
        has_heap = self.is_region or self.base is not None or any(part.has_heap for _, part in self.parts)
        object.__setattr__(self, "has_heap", has_heap)


def encoded_type(raw: bytes) -> EncodedType:
    """The type that a datatype message describes.

    Raises:
        ValueError, IndexError: it describes none that is known; HeapDamage where libhdf5 must not be asked either.
    """
    return _type_at(raw, 0)[0]


def check_fill_value(heap: GlobalHeap, messages: Sequence[Message], type_of: Callable[[], bytes]) -> None:
    """Raise where libhdf5 may not come back from giving the fill value of a dataset, as it does with all properties.

    Args:
        heap: of the file.
        messages: of the dataset's header.
        type_of: gives its encoded type where that is not in the header.

    Raises:
        HeapDamage: says which collection of the heap is at fault.
    """
    for message in messages:
        fill = _fill_value(message)
        if not fill:
            continue
        found = next((m.body for m in messages if m.kind == _DATATYPE and not m.flags & _SHARED), b"")
        if found and found[0] & 0x0F not in _WITH_PARTS:
            return
        try:
            kind = encoded_type(found or type_of())
        except HeapDamage:
            raise
        except (ValueError, IndexError):
            return  # libhdf5 says what it is
        check_heap(heap, kind, fill)


def _fill_value(message: Message) -> bytes:
    """The fill value that a message tells, or nothing."""
    body = message.body
    if message.kind == _OLD_FILL_VALUE:
        start = 4
    elif message.kind != _FILL_VALUE or not body:
        return b""
    elif body[0] >= _FLAGGED_VERSION:
        start = 6
    else:
        start = 8
    nbytes = int.from_bytes(body[start - 4 : start], "little")
    return body[start : start + nbytes]


def encoding_of(tid: h5t.TypeID) -> bytes:
    """The datatype message of ``tid``, also where a header only points at it."""
    encoding: bytes = tid.encode()
    return encoding[2:]  # behind the version of H5Tencode and the kind of the message


def check_heap(heap: GlobalHeap, kind: EncodedType, data: bytes) -> None:
    """Raise where a value of variable length in ``data``, elements of the type ``kind``, is not where it should be.

    Raises:
        HeapDamage: says which collection of the heap is at fault.
    """
    if not kind.has_heap or not kind.nbytes:
        return
    count = len(data) // kind.nbytes
    if kind.is_region:
        addresses = np.frombuffer(data, _REGION, count)["address"]
        heap.check(addresses[addresses != NOT_STORED].tolist())
        for address, number in np.frombuffer(data, _REGION, count).tolist():
            if address != NOT_STORED:
                _check_rank(heap.object(address, number)[8:])  # behind the address of the dataset
        return
    if kind.base is None:
        for offset, part in kind.parts:
            if part.has_heap:
                starts = range(offset, offset + count * kind.nbytes, kind.nbytes)
                check_heap(heap, part, b"".join(data[start : start + part.nbytes] for start in starts))
        return
    rows = np.frombuffer(data, HEAP_ID, count)
    stored = rows[rows["address"] != NOT_STORED]
    heap.check(stored["address"].tolist())  # libhdf5 looks for values of no elements as well
    values: list[bytes] = []
    for length, address, number in stored[stored["nbytes"] > 0].tolist():
        value = heap.object(address, number)
        if len(value) < length * kind.base.nbytes:
            raise HeapDamage(
                f"{length} elements of {kind.base.nbytes} bytes are to be object {number} of the global heap at "
                f"address {address}, which has {len(value)} bytes"
            )
        values.append(value[: length * kind.base.nbytes])
    check_heap(heap, kind.base, b"".join(values))


def check_mappings(data: bytes) -> None:
    """Raise where ``data`` of the global heap are not the mappings of a virtual dataset: libhdf5 does not ask first.

    Raises:
        HeapDamage: their checksum does not fit.
    """
    if jenkins_lookup3(data[:-4], 0) != int.from_bytes(data[-4:], "little"):
        raise HeapDamage(f"the mappings of a virtual dataset are {len(data)} bytes whose checksum does not fit")


def _check_rank(selection: bytes) -> None:
    """Raise where a selection is of more dimensions than there can be: libhdf5 overwrites its own memory then."""
    kind, version = (int.from_bytes(selection[at : at + 4], "little") for at in (0, 4))
    start = _RANK_AT.get((kind, version))
    rank = 0 if start is None else int.from_bytes(selection[start : start + 4], "little")
    if rank > _MOST_DIMENSIONS:
        raise HeapDamage(f"a reference means a region of {rank} dimensions")


def _type_at(raw: bytes, start: int) -> tuple[EncodedType, int]:
    """The type at ``start``, and where it ends."""
    kind, version = raw[start] & 0x0F, raw[start] >> 4
    bits, nbytes = (
        int.from_bytes(raw[start + 1 : start + 4], "little"),
        int.from_bytes(raw[start + 4 : start + 8], "little"),
    )
    place = start + 8
    if kind == _REFERENCE and bits & 0x0F == _OF_REGION and nbytes == _REGION.itemsize:
        return EncodedType(nbytes, is_region=True), place
    if kind in _PROPERTY_NBYTES:
        return EncodedType(nbytes), place + _PROPERTY_NBYTES[kind]
    if kind == _OPAQUE:
        return EncodedType(nbytes), place + (bits & 0xFF)
    if kind == _VARIABLE_LENGTH:
        if bits & 0x0F not in (_SEQUENCE, _STRING):
            raise HeapDamage(f"its values of variable length are of kind {bits & 0x0F}, which is none")
        base, place = _type_at(raw, place)
        return EncodedType(HEAP_ID.itemsize, base=base), place
    if kind == _COMPLEX:
        base, place = _type_at(raw, place)
        return EncodedType(nbytes), place
    if kind == _ENUMERATION:
        base, place = _type_at(raw, place)
        for _ in range(bits & 0xFFFF):
            place = _behind_name(raw, place, padded=version < 3)
        return EncodedType(nbytes), place + (bits & 0xFFFF) * base.nbytes
    if kind == _ARRAY:
        rank, place = raw[place], place + (1 if version >= 3 else 4)
        lengths = np.frombuffer(raw, "<u4", rank, place).tolist()
        base, place = _type_at(raw, place + 4 * rank * (1 if version >= 3 else 2))
        count = int(np.prod(lengths, dtype=object))
        if not base.has_heap:
            return EncodedType(count * base.nbytes), place
        if count > _MOST_ELEMENTS:
            raise ValueError(count)
        return EncodedType(count * base.nbytes, tuple((number * base.nbytes, base) for number in range(count))), place
    if kind == _COMPOUND:
        parts: list[tuple[int, EncodedType]] = []
        width = (max(nbytes, 1).bit_length() + 7) // 8 if version >= 3 else 4
        for _ in range(bits & 0xFFFF):
            place = _behind_name(raw, place, padded=version < 3)
            offset = int.from_bytes(raw[place : place + width], "little")
            place += width
            count = 1
            if version == 1:
                rank = raw[place]
                count = int(np.prod(np.frombuffer(raw, "<u4", 4, place + 12)[:rank], dtype=object))
                place += 28
            part, place = _type_at(raw, place)
            if part.has_heap and count > _MOST_ELEMENTS:
                raise ValueError(count)
            nbytes = max(nbytes, offset + count * part.nbytes)  # libhdf5 does not ask whether a member fits
            parts += [(offset + number * part.nbytes, part) for number in range(count if part.has_heap else 1)]
        return EncodedType(nbytes, tuple(parts)), place
    raise ValueError(kind)


def _behind_name(raw: bytes, start: int, padded: bool) -> int:
    nbytes = raw.index(b"\0", start) + 1 - start
    return start + ((nbytes + 7) // 8 * 8 if padded else nbytes)
