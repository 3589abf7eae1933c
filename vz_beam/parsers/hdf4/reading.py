"""The data sets of an HDF4 file as arrays by path, as the SD interface shows them.

Source: HDF4 Specification, chapters 3 (SD), 8 (NDG, SDD) and 6 (Vgroups of the classes Var0.0, Dim0.0, CDF0.0).
"""

from __future__ import annotations

import itertools
import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, ManifestError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.attribute_values import cf_fill_number, with_cf_fill
from vz_beam.parsers.flat_group import FlatGroup
from vz_beam.parsers.hdf4.directory import Directory, Element
from vz_beam.parsers.hdf4.records import (
    VDATA_HEADER,
    VGROUP,
    Vdata,
    Vgroup,
    attribute_value,
    number_type,
    read_vdata,
    read_vgroup,
)
from vz_beam.parsers.hdf4.storage_layout import logical_nbytes, nothing_stored, stored_at
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource

_NDG, _SDG, _SDD, _SD, _NT, _SCALES = 720, 700, 701, 702, 106, 707
_RASTER = (306, 307)
_FILE, _VARIABLE, _UNLIMITED = "CDF0.0", "Var0.0", "UDim0.0"
_DIMENSIONS = ("Dim0.0", _UNLIMITED)
_ATTRIBUTE = "Attr0.0"
_OWN_KINDS = (_ATTRIBUTE, "DimVal0.0", "DimVal0.1", "_HDF_SDSVAR", "_HDF_CRDVAR", "SDSVar", "CoordVar")
_OWN_START = "_HDF_CHK_TBL"
_OWN_GROUPS = (_FILE, _VARIABLE, *_DIMENSIONS, "RIG0.0", "RI0.0")
_FILLS: Mapping[str, Any] = {
    "i1": -127,
    "u1": 129,
    "S1": b"\0",
    "i2": -32767,
    "u2": 32769,
    "i4": -2147483647,
    "u4": 2147483649,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}
"""What the SD interface fills values with that were never written, where no ``_FillValue`` says it."""
_LITTLE_CLASSES = (2, 4)
"""Classes of number types whose bytes are in Intel's order."""
_MOST_RANK = 32


@dataclass(frozen=True, slots=True)
class _DataSet:
    """A data set: its numeric data group, and the Vgroup that names it."""

    ref: int
    name: str
    group: Vgroup | None


def read_file(source: ByteSource, wants: Callable[[str], bool]) -> FlatGroup:
    """The data sets of the file.

    Raises:
        FormatError: a file that is damaged.
    """
    directory = Directory(BlockCache(source))
    found = FlatGroup()
    vgroups = {element.ref: read_vgroup(directory, element) for element in directory.of_tag(VGROUP)}
    vdatas = {element.ref: read_vdata(directory, element) for element in directory.of_tag(VDATA_HEADER)}
    sets = _data_sets(directory, vgroups)
    paths = _paths(sets, vgroups)
    sizes: dict[str, int] = {}
    for whole in vgroups.values():
        if whole.kind == _FILE:
            found.groups[""] = _attributes(directory, whole, vdatas)
    for each in sets:
        path = paths[each.ref]
        if not wants(path):
            continue
        parent = path.rpartition("/")[0]
        while parent and parent not in found.groups:
            found.groups[parent] = {}
            parent = parent.rpartition("/")[0]
        if each.group is None and _SCALES in _members(directory, each):
            found.problems[f"{path}_scales"] = "the scales of its dimensions are in the form of before the SD interface"
        try:
            found.arrays[path] = _array(directory, each, vgroups, vdatas, sizes)
        except (UnsupportedError, ManifestError) as error:
            found.problems[path] = str(error)
        except FormatError as error:
            if source.url in str(error):
                raise
            found.problems[path] = str(error)
    _refuse_others(directory, vgroups, vdatas, found, wants)
    found.groups = dict(sorted(found.groups.items()))
    return found


def _data_sets(directory: Directory, vgroups: Mapping[int, Vgroup]) -> list[_DataSet]:
    named: dict[int, _DataSet] = {}
    for group in vgroups.values():
        if group.kind == _VARIABLE:
            for tag, ref in group.members:
                if tag in (_NDG, _SDG) and ref not in named:
                    named[ref] = _DataSet(ref, group.name.replace("/", "_") or f"Data-Set-{ref}", group)
    others = [element for tag in (_NDG, _SDG) for element in directory.of_tag(tag) if element.ref not in named]
    if not named:  # files of before the SD interface
        for element in others:
            named[element.ref] = _DataSet(element.ref, f"Data-Set-{element.ref}", None)
    return [named[ref] for ref in sorted(named)]


def _paths(sets: list[_DataSet], vgroups: Mapping[int, Vgroup]) -> dict[int, str]:
    """Names; those that are there twice stand in groups, by the Vgroups that hold them."""
    counts = Counter(each.name for each in sets)
    parents: dict[int, int] = {}
    holders: dict[int, int] = {}
    for group in vgroups.values():
        if group.kind in _OWN_GROUPS:
            continue
        for tag, ref in group.members:
            if tag == VGROUP:
                parents.setdefault(ref, group.ref)
            elif tag in (_NDG, _SDG):
                holders.setdefault(ref, group.ref)
    paths: dict[int, str] = {}
    taken: set[str] = set()
    for each in sets:
        path = each.name
        if counts[each.name] > 1:
            names: list[str] = []
            place = holders.get(each.ref)
            while place is not None and len(names) < _MOST_RANK:
                names.insert(0, vgroups[place].name.replace("/", "_") or f"group_{place}")
                place = parents.get(place)
            path = "/".join([*names, each.name])
        number = 2
        first = path
        while path in taken or any(other.startswith(f"{path}/") for other in taken):
            path = f"{first}_{number}"
            number += 1
        taken.add(path)
        paths[each.ref] = path
    return paths


def _attributes(directory: Directory, group: Vgroup, vdatas: Mapping[int, Vdata]) -> dict[str, Any]:
    found = {}
    for tag, ref in group.members:
        table = vdatas.get(ref) if tag == VDATA_HEADER else None
        if table is not None and table.kind == _ATTRIBUTE:
            try:
                found[table.name] = attribute_value(directory, table)
            except UnsupportedError:
                continue
    return found


def _array(
    directory: Directory,
    each: _DataSet,
    vgroups: Mapping[int, Vgroup],
    vdatas: Mapping[int, Vdata],
    sizes: dict[str, int],
) -> ManifestArray:
    members = _members(directory, each)
    shape, dtype, is_little = _described(directory, each, members)
    attributes = {} if each.group is None else _attributes(directory, each.group, vdatas)
    ref = members.get(_SD)
    element = None if ref is None else directory.get(_SD, ref)
    if shape and _is_unlimited(each, vgroups):
        shape = _grown(directory, element, shape, dtype)
    stored = nothing_stored(shape) if element is None else stored_at(directory, element, shape, dtype)
    attributes = with_cf_fill(attributes, dtype)
    metadata = ArrayMetadata(
        shape=shape,
        dtype=dtype,
        chunk_shape=stored.chunk_shape,
        byte_order=None if dtype.itemsize == 1 else "little" if is_little else "big",
        codecs=stored.codecs,
        fill_value=_fill(attributes, stored.fill, dtype, is_little),
        attributes=attributes,
        dimension_names=_dimension_names(each, vgroups, shape, sizes),
    )
    manifest = ChunkManifest.from_columns((directory.source.url,), stored.ids, stored.offsets, stored.lengths)
    return ManifestArray(metadata, manifest)


def _members(directory: Directory, each: _DataSet) -> dict[int, int]:
    """Numbers by tag, of what the numeric data group holds."""
    element = directory.get(_NDG, each.ref) or directory.get(_SDG, each.ref)
    if element is None:
        raise FormatError(f"its description (NDG {each.ref}) is absent")
    data = directory.data(element)
    found: dict[int, int] = {}
    for tag, ref in struct.iter_unpack(">HH", data[: len(data) // 4 * 4]):
        found.setdefault(tag & 0x3FFF, ref)
    return found


def _described(
    directory: Directory, each: _DataSet, members: Mapping[int, int]
) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type, and whether the bytes are little-endian."""
    element = directory.get(_SDD, members.get(_SDD, 0))
    if element is None:
        raise FormatError(f"its dimensions (SDD of {each.ref}) are absent")
    data = directory.data(element)
    try:
        (rank,) = struct.unpack_from(">H", data)
        if rank > _MOST_RANK:
            raise FormatError(f"it has {rank} dimensions")
        shape = struct.unpack_from(f">{rank}i", data, 2)
        _, ref = struct.unpack_from(">HH", data, 2 + 4 * rank)
        kind = directory.get(_NT, ref) or directory.get(_NT, members.get(_NT, 0))
        if kind is None:
            raise FormatError("its number type is absent")
        _, number, _, order = directory.data(kind)[:4]
    except (struct.error, ValueError):
        raise FormatError("the description of its shape and type is cut") from None
    if min(shape, default=0) < 0:
        raise FormatError(f"its shape is {shape}")
    dtype, _ = number_type(number)
    return tuple(shape), dtype, order in _LITTLE_CLASSES


def _grown(
    directory: Directory, element: Element | None, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[int, ...]:
    """The shape of an array whose first dimension is unlimited: as long as its own values are.

    What its description and the dimension say may be older, or of another array.
    """
    length = 0
    if element is not None:
        nbytes = logical_nbytes(directory, element)
        row = math.prod(shape[1:]) * dtype.itemsize
        length = shape[0] if nbytes is None else nbytes // row if row else 0
    return (length, *shape[1:])


def _is_unlimited(each: _DataSet, vgroups: Mapping[int, Vgroup]) -> bool:
    members = () if each.group is None else each.group.members
    return any(tag == VGROUP and ref in vgroups and vgroups[ref].kind == _UNLIMITED for tag, ref in members)


def _dimension_names(
    each: _DataSet, vgroups: Mapping[int, Vgroup], shape: tuple[int, ...], sizes: dict[str, int]
) -> tuple[str, ...]:
    """Names as in the file; one name stands for one length, which unlimited dimensions do not have there."""
    names: list[str] = []
    if each.group is not None:
        for tag, ref in each.group.members:
            group = vgroups.get(ref) if tag == VGROUP else None
            if group is not None and group.kind in _DIMENSIONS:
                names.append(group.name.replace("/", "_") or f"dim_{ref}")
    names = names[: len(shape)]
    names += [f"{each.name}_dim_{axis}" for axis in range(len(names), len(shape))]
    unique: list[str] = []
    for first, length in zip(names, shape, strict=True):
        others = itertools.chain([first], (f"{first}_{number}" for number in itertools.count(2)))
        free = (name for name in others if name not in unique)
        unique.append(next(name for name in free if sizes.setdefault(name, length) == length))
    return tuple(unique)


def _fill(attributes: Mapping[str, Any], fill: bytes | None, dtype: np.dtype[Any], is_little: bool) -> Any:
    value = attributes.get("_FillValue")
    if isinstance(value, (int, float)):
        number = cf_fill_number(value, dtype)
        if dtype.kind == "f" or (isinstance(number, int) and np.iinfo(dtype).min <= number <= np.iinfo(dtype).max):
            return dtype.type(number)
    if fill is not None and any(fill):
        return np.frombuffer(fill, dtype.newbyteorder("<" if is_little else ">"), 1)[0].astype(dtype)
    known = _FILLS.get(dtype.str[1:])
    return None if known is None else dtype.type(known)


def _refuse_others(
    directory: Directory,
    vgroups: Mapping[int, Vgroup],
    vdatas: Mapping[int, Vdata],
    found: FlatGroup,
    wants: Callable[[str], bool],
) -> None:
    """Tables and raster images, which are no arrays."""
    own = [group for group in vgroups.values() if group.kind in _OWN_GROUPS]
    attributes = {ref for group in own for tag, ref in group.members if tag == VDATA_HEADER}
    for table in vdatas.values():
        name = table.name.replace("/", "_") or f"vdata_{table.ref}"
        if table.ref in attributes or table.kind in _OWN_KINDS or table.kind.startswith(_OWN_START) or not wants(name):
            continue
        if name not in found.arrays:
            found.problems.setdefault(name, f"it is a Vdata, a table of {table.records:,} records")
    for tag in _RASTER:
        for element in directory.of_tag(tag):
            name = f"raster_{element.ref}"
            if wants(name):
                found.problems.setdefault(name, "it is a raster image")
