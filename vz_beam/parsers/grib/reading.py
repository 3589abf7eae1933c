"""The fields of a GRIB file as arrays by path: cubes of the fields of one kind, in groups that share coordinates.

Source: https://github.com/ecmwf/cfgrib, "Dataset / Variable API", for what is called how.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vz_beam.codecs.grib import GRIB_ID
from vz_beam.errors import FormatError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.parsers.flat_group import FlatGroup
from vz_beam.parsers.grib.fields import FieldReader, FoundField, Grid
from vz_beam.parsers.grib.messages import read_places
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource

_TIMES = ("number", "time", "step")
_SPECTRAL = ("directionNumber", "frequencyNumber")
_JOINED = ("time", "step")
_UNITS = {
    "isobaricInhPa": ("hPa", "down", "air_pressure"),
    "isobaricInPa": ("Pa", "down", "air_pressure"),
    "isobaricLayer": ("Pa", "down", "air_pressure"),
    "hybrid": ("1", "down", None),
    "heightAboveGround": ("m", "up", "height"),
    "heightAboveSea": ("m", "up", "altitude"),
    "depthBelowLand": ("m", "down", "depth"),
    "depthBelowSea": ("m", "down", "depth"),
}
"""Units, positive direction and standard name by kind of level."""
_FROM_BELOW = "isobaric"
"""Kinds of levels that are listed from the ground upwards, by falling values, as cfgrib lists them."""
_MOST_CELLS = 2**24
_SPARSE = 1000


@dataclass(frozen=True, slots=True)
class _Cube:
    """The fields of one variable: ``axes`` are the distinct values of each coordinate, in order."""

    name: str
    fields: list[FoundField]
    axes: dict[str, tuple[float, ...]]

    @property
    def dims(self) -> tuple[str, ...]:
        """Coordinates of several values; time and step always, by which files are joined."""
        return tuple(name for name, values in self.axes.items() if len(values) > 1 or name in _JOINED)

    @property
    def key(self) -> tuple[Any, ...]:
        """Cubes of one key can be in one group."""
        return (self.fields[0].level, self.fields[0].grid.key, tuple(self.axes.items()))


def read_fields(source: ByteSource, wants: Callable[[str], bool]) -> FlatGroup:
    """The variables of the file.

    Raises:
        FormatError: a file that is damaged.
    """
    if not source.size():
        raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
    cached = BlockCache(source)
    reader = FieldReader()
    kinds: dict[tuple[Any, ...], list[FoundField]] = {}
    problems: list[str] = []
    for place in read_places(cached):
        for each in reader.read(place, source.url):
            if isinstance(each, FoundField):
                kinds.setdefault(each.kind, []).append(each)
            else:
                problems.append(each[1])
    found = FlatGroup()
    for number, why in enumerate(problems):
        found.problems[f"field_{number}"] = why
    groups: dict[str, list[_Cube]] = {}
    keys: dict[tuple[Any, ...], list[str]] = {}
    for cube in itertools.chain.from_iterable(map(_cubes, kinds.values())):
        _assign(cube, groups, keys)
    for group, cubes in groups.items():
        path = "" if len(groups) == 1 else group
        if path and not wants(path):
            continue
        found.groups.setdefault(path, {})
        _add_group(found, path, cubes, source.url, wants)
    return found


def _cubes(fields: list[FoundField]) -> list[_Cube]:
    """One cube, or where fields are repeated, another one for each repetition."""
    cubes: list[list[FoundField]] = []
    counts: dict[tuple[float, ...], int] = {}
    for each in fields:
        cell = tuple(each.coordinates.values())
        time = counts.get(cell, 0)
        counts[cell] = time + 1
        if time == len(cubes):
            cubes.append([])
        cubes[time].append(each)
    return [_cube(part) for part in cubes]


def _cube(fields: list[FoundField]) -> _Cube:
    level = fields[0].level
    names = [name for name in (*_TIMES, level, *_SPECTRAL) if any(name in each.coordinates for each in fields)]
    axes = {}
    for name in names:
        values = dict.fromkeys(each.coordinates.get(name, 0.0) for each in fields)
        axes[name] = tuple(sorted(values, reverse=name.startswith(_FROM_BELOW)))
    return _Cube(fields[0].name, fields, axes)


def _assign(cube: _Cube, groups: dict[str, list[_Cube]], keys: dict[tuple[Any, ...], list[str]]) -> None:
    """Puts a cube into the first group of its coordinates that has no variable of its name."""
    for group in keys.setdefault(cube.key, []):
        if all(other.name != cube.name for other in groups[group]):
            groups[group].append(cube)
            return
    level = cube.fields[0].level
    names = itertools.chain([level], (f"{level}_{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in groups)
    groups[name] = [cube]
    keys[cube.key].append(name)


def _add_group(found: FlatGroup, path: str, cubes: list[_Cube], url: str, wants: Callable[[str], bool]) -> None:
    prefix = f"{path}/" if path else ""
    first = cubes[0]
    grid = first.fields[0].grid
    scalars = [name for name in first.axes if name not in first.dims]
    others = [*scalars, "valid_time"]
    if not grid.axes and grid.has_places:
        others += ["latitude", "longitude"]
    for cube in cubes:
        if not wants(prefix + cube.name):
            continue
        try:
            found.arrays[prefix + cube.name] = _variable(cube, url, " ".join(others))
        except FormatError as error:
            found.problems[prefix + cube.name] = str(error)
    for name, array in _coordinates(first, grid, url).items():
        if wants(prefix + name) and prefix + name not in found.arrays:
            found.arrays[prefix + name] = array


def _variable(cube: _Cube, url: str, coordinates: str) -> ManifestArray:
    first, grid = cube.fields[0], cube.fields[0].grid
    lengths = tuple(len(cube.axes[name]) for name in cube.dims)
    cells = math.prod(lengths)
    if cells > max(_MOST_CELLS, _SPARSE * len(cube.fields)):
        raise FormatError(f"its {len(cube.fields):,} fields would be spread over {cells:,} places")
    dtype = np.dtype("f8" if first.is_double else "f4")
    count = math.prod(grid.shape)
    ids = np.full(cells, MISSING, np.int32)
    offsets, sizes = np.zeros(cells, np.uint64), np.zeros(cells, np.uint64)
    at = {name: {value: place for place, value in enumerate(cube.axes[name])} for name in cube.dims}
    numbers = set()
    for each in cube.fields:
        cell = 0
        for name, length in zip(cube.dims, lengths, strict=True):
            cell = cell * length + at[name][each.coordinates.get(name, 0.0)]
        ids[cell], offsets[cell], sizes[cell] = 0, each.place.start, each.place.length
        numbers.add(each.number)
    if len(numbers) > 1:
        raise FormatError(
            "its fields stand at different places of messages of several fields, and one codec cannot tell them apart"
        )
    words = {"what": "values", "field": numbers.pop(), "dtype": dtype.str, "count": count}
    metadata = ArrayMetadata(
        shape=(*lengths, *grid.shape),
        dtype=dtype,
        chunk_shape=(*(1,) * len(lengths), *grid.shape),
        codecs=(Codec(GRIB_ID, words),),
        fill_value=dtype.type(np.nan),
        attributes={**_attributes(first), "coordinates": coordinates},
        dimension_names=(*cube.dims, *grid.dims),
    )
    shape = metadata.chunk_grid.grid_shape
    columns = (offsets.reshape(shape), sizes.reshape(shape))
    return ManifestArray(metadata, ChunkManifest.from_columns((url,), ids.reshape(shape), *columns))


def _attributes(first: FoundField) -> dict[str, Any]:
    keys = {f"GRIB_{name}": value for name, value in first.keys.items() if name != "missingValue"}
    attributes: dict[str, Any] = {name: v for name, v in keys.items() if isinstance(v, (str, int, float))}
    for name, key in (("long_name", "name"), ("units", "units"), ("standard_name", "cfName")):
        if isinstance(first.keys.get(key), str):
            attributes[name] = first.keys[key]
    return attributes


def _coordinates(cube: _Cube, grid: Grid, url: str) -> dict[str, ManifestArray]:
    arrays: dict[str, ManifestArray] = {}
    for name, values in cube.axes.items():
        dims = (name,) if name in cube.dims else ()
        arrays[name] = _inlined(dims, np.array(values) if dims else np.array(values[0]), *_meaning(name))
    arrays["valid_time"] = _valid_time(cube)
    for name, points in grid.axes.items():
        arrays[name] = _inlined((name,), points, np.dtype("f8"), _of_place(name))
    if not grid.axes and grid.has_places:
        for name in ("latitude", "longitude"):
            arrays[name] = _decoded_places(cube.fields[0], grid, f"{name}s", _of_place(name), url)
    return arrays


def _meaning(name: str) -> tuple[np.dtype[Any], dict[str, Any]]:
    """Type and attributes of a coordinate."""
    whole, real = np.dtype("i8"), np.dtype("f8")
    if name == "time":
        about = {"long_name": "initial time of forecast", "standard_name": "forecast_reference_time"}
        return whole, {"units": "seconds since 1970-01-01T00:00:00", "calendar": "proleptic_gregorian", **about}
    if name == "step":
        about = {"long_name": "time since forecast_reference_time", "standard_name": "forecast_period"}
        return whole, {"units": "seconds", "dtype": "timedelta64[ns]", **about}
    if name in _SPECTRAL:
        return whole, {"long_name": name, "units": "1"}
    if name == "number":
        about = {"long_name": "ensemble member numerical id", "standard_name": "realization"}
        return whole, {"units": "1", **about}
    units, positive, standard_name = _UNITS.get(name, ("1", None, None))
    found = {"long_name": name, "units": units}
    if positive is not None:
        found["positive"] = positive
    if standard_name is not None:
        found["standard_name"] = standard_name
    return real, found


def _of_place(name: str) -> dict[str, Any]:
    return {"long_name": name, "units": f"degrees_{'north' if name == 'latitude' else 'east'}", "standard_name": name}


def _valid_time(cube: _Cube) -> ManifestArray:
    times, steps = (np.array(cube.axes[name]) for name in ("time", "step"))
    dtype, attributes = _meaning("time")
    about = {"long_name": "time", "standard_name": "time"}
    return _inlined(_JOINED, times[:, None] + steps, dtype, {**attributes, **about})


def _inlined(dims: Sequence[str], values: Any, dtype: np.dtype[Any], attributes: Mapping[str, Any]) -> ManifestArray:
    shape = np.shape(values)
    metadata = ArrayMetadata(shape, dtype, tuple(shape), attributes=dict(attributes), dimension_names=tuple(dims))
    data = np.asarray(values).astype(dtype.newbyteorder("<")).tobytes()
    return ManifestArray(metadata, ChunkManifest.from_inlined(metadata.chunk_grid.grid_shape, {0: data}))


def _decoded_places(first: FoundField, grid: Grid, what: str, attributes: Mapping[str, Any], url: str) -> ManifestArray:
    """Latitudes or longitudes of all points, decoded from the beginning of a message."""
    words = {"what": what, "field": first.number, "dtype": "<f8", "count": math.prod(grid.shape)}
    metadata = ArrayMetadata(
        grid.shape,
        np.dtype("f8"),
        grid.shape,
        codecs=(Codec(GRIB_ID, words),),
        attributes=dict(attributes),
        dimension_names=grid.dims,
    )
    shape = metadata.chunk_grid.grid_shape
    if first.number == 0 and len(first.place.head) < first.place.length:
        length = _header_length(first)
        return ManifestArray(metadata, ChunkManifest.single(shape, url, first.place.start, length))
    return ManifestArray(metadata, ChunkManifest.single(shape, url, first.place.start, first.place.length))


def _header_length(first: FoundField) -> int:
    """Bytes of a message before the bitmap or values of its first field: what its grid is read from."""
    head, position = first.place.head, 16
    if head[7] == 1:
        return len(head)
    while position + 5 <= len(head) and head[position + 4] < 6:
        position += int.from_bytes(head[position : position + 4], "big")
    return position
