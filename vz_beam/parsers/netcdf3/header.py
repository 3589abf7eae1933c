"""The header of a netCDF classic file: dimensions, attributes, and where variables begin.

Source: NetCDF classic format specification, https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html,
"The Classic Format in Detail", "64-bit Offset Format", "64-bit Data Format" (CDF-5).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from vz_beam.errors import FormatError
from vz_beam.parsers.attribute_values import text_of

VERSIONS = (1, 2, 5)
"""CDF-1 has 32 bits for everything, CDF-2 64 for offsets, CDF-5 64 for counts too, and more types."""
_DIMENSION, _VARIABLE, _ATTRIBUTE = 10, 11, 12
_CLASSIC_TYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8"}
_DTYPES = _CLASSIC_TYPES | {7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"}
_MOST_DIMENSIONS = 32
"""Of one variable: as many as numpy had for long, and netCDF-3 tools have."""


class NeedsMoreError(Exception):
    """The header goes on behind the bytes that are there, to ``stop`` at least."""

    def __init__(self, stop: int) -> None:
        super().__init__(stop)
        self.stop = stop


@dataclass(frozen=True, slots=True)
class Attribute:
    """``value`` is a text, or numbers in an array, in the type of the file."""

    name: str
    value: str | np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Args:
        name: in the file.
        dimensions: their numbers in the header.
        attributes: its own.
        dtype: in the byte order of the file.
        begin: offset of its first value, bytes.
    """

    name: str
    dimensions: tuple[int, ...]
    attributes: tuple[Attribute, ...]
    dtype: np.dtype[Any]
    begin: int


@dataclass(frozen=True, slots=True)
class Header:
    """All that a header says.

    Args:
        version: 1, 2 or 5.
        records: length of the record dimension; ``None`` where the file was written as a stream and does not say.
        dimensions: (name, length), 0 for the record dimension.
        attributes: of the file.
        variables: in the order of the file.
        nbytes: size of the header.
    """

    version: int
    records: int | None
    dimensions: tuple[tuple[str, int], ...]
    attributes: tuple[Attribute, ...]
    variables: tuple[Variable, ...]
    nbytes: int

    def is_record(self, variable: Variable) -> bool:
        """Whether the variable has a part in each record."""
        return bool(variable.dimensions) and self.dimensions[variable.dimensions[0]][1] == 0

    def inner_shape(self, variable: Variable) -> tuple[int, ...]:
        """Elements along its dimensions, without that of the records."""
        dims = variable.dimensions[1:] if self.is_record(variable) else variable.dimensions
        return tuple(self.dimensions[dim][1] for dim in dims)

    def slab_nbytes(self, variable: Variable) -> int:
        """Size of all of its values, or of those in one record, without padding, bytes."""
        return math.prod(self.inner_shape(variable)) * variable.dtype.itemsize


def read_header(data: bytes) -> Header:
    """The header that ``data``, the start of a file, holds.

    Raises:
        NeedsMoreError: it is longer than ``data``.
        FormatError: no such header; says at which byte, without the name of the file.
    """
    cursor = _Cursor(data, data[3] if len(data) > 3 else 1)
    if cursor.take(3) != b"CDF" or cursor.take(1)[0] not in VERSIONS:
        raise FormatError(f"it does not begin as a netCDF classic file does, but with {data[:4]!r}")
    records = cursor.number()
    streaming = 2 ** (64 if cursor.version == 5 else 32) - 1
    dimensions = [(cursor.name("a dimension"), cursor.number()) for _ in range(cursor.count(_DIMENSION, "dimensions"))]
    attributes = cursor.attributes()
    count = cursor.count(_VARIABLE, "variables")
    variables = tuple(cursor.variable(len(dimensions)) for _ in range(count))
    header = Header(
        cursor.version,
        None if records == streaming else records,
        tuple(dimensions),
        attributes,
        variables,
        cursor.place,
    )
    _check(header)
    return header


def _check(header: Header) -> None:
    """Names once each, one record dimension at most among those of variables, and only in the first place."""
    for what, names in (
        ("dimensions", [name for name, _ in header.dimensions]),
        ("variables", [variable.name for variable in header.variables]),
    ):
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise FormatError(f"several {what} have the names {twice}")
    for variable in header.variables:
        lengths = [header.dimensions[dim][1] for dim in variable.dimensions]
        if 0 in lengths[1:]:
            raise FormatError(f"variable {variable.name!r} has the record dimension in a place other than the first")
    used = {variable.dimensions[0] for variable in header.variables if header.is_record(variable)}
    if len(used) > 1:
        names = [header.dimensions[dim][0] for dim in sorted(used)]
        raise FormatError(f"it has {len(used)} record dimensions, {names}, and there can be one")


class _Cursor:
    """Reads one value after the other, big-endian and padded to whole words of 4 bytes."""

    def __init__(self, data: bytes, version: int) -> None:
        self._data = data
        self.version = version
        self.place = 0
        self._count = struct.Struct(">Q" if version == 5 else ">I")
        self._offset = struct.Struct(">I" if version == 1 else ">Q")

    def take(self, nbytes: int) -> bytes:
        stop = self.place + nbytes
        if stop > len(self._data):
            raise NeedsMoreError(stop)
        found, self.place = self._data[self.place : stop], stop
        return found

    def padded(self, nbytes: int) -> bytes:
        found = self.take(nbytes)
        self.place += -nbytes % 4
        return found

    def number(self) -> int:
        """A count, of 4 bytes or of 8."""
        return int(self._count.unpack(self.take(self._count.size))[0])

    def word(self) -> int:
        """A tag or type, always of 4 bytes."""
        return int.from_bytes(self.take(4), "big")

    def count(self, tag: int, what: str) -> int:
        """How many elements a list has."""
        place, found = self.place, self.word()
        count = self.number()
        if found != tag and (found or count):
            raise FormatError(f"at byte {place} of its header the list of {what} has the tag {found}, not {tag}")
        return count

    def name(self, what: str) -> str:
        place = self.place
        name = text_of(self.padded(self.number()).partition(b"\0")[0])
        if not name or "/" in name:
            raise FormatError(f"at byte {place} of its header {what} has the name {name!r}, which names nothing")
        return name

    def dtype(self) -> np.dtype[Any]:
        place, number = self.place, self.word()
        known = _DTYPES if self.version == 5 else _CLASSIC_TYPES
        if number not in known:
            raise FormatError(f"at byte {place} of its header is the type {number}, and CDF-{self.version} has {known}")
        return np.dtype(known[number])

    def attributes(self) -> tuple[Attribute, ...]:
        return tuple(self._attribute() for _ in range(self.count(_ATTRIBUTE, "attributes")))

    def _attribute(self) -> Attribute:
        name = self.name("an attribute")
        dtype = self.dtype()
        data = self.padded(self.number() * dtype.itemsize)
        if dtype.kind == "S":
            return Attribute(name, text_of(data.rstrip(b"\0")))
        return Attribute(name, np.frombuffer(data, dtype))

    def variable(self, dimensions: int) -> Variable:
        place = self.place
        name = self.name("a variable")
        rank = self.number()
        if rank > _MOST_DIMENSIONS:
            raise FormatError(f"at byte {place} of its header variable {name!r} has {rank} dimensions")
        dims = tuple(self.number() for _ in range(rank))
        if any(dim >= dimensions for dim in dims):
            raise FormatError(
                f"at byte {place} of its header variable {name!r} has the dimensions {dims}, of {dimensions} in all"
            )
        attributes = self.attributes()
        dtype = self.dtype()
        self.number()  # size of a slab: too small a number for large ones, and known from the shape
        begin = int(self._offset.unpack(self.take(self._offset.size))[0])
        return Variable(name, dims, attributes, dtype, begin)
