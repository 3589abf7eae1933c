"""What the fields of a GRIB file mean: parameter, level, time, grid.

Source: keys of ecCodes; https://github.com/ecmwf/cfgrib for the names of variables and coordinates.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.grib import Message
from vz_beam.codecs.grib_sections import fields_of
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.parsers.grib.messages import Place

_SEPARABLE = ("regular_ll", "regular_gg", "mercator_ll")
_SPECTRAL = "sh"
_FLOAT32_BITS = 24
"""Whole numbers of so many bits are exact as float32."""
_VARIABLE_KEYS = (
    "paramId",
    "shortName",
    "units",
    "name",
    "cfName",
    "cfVarName",
    "dataType",
    "typeOfLevel",
    "stepType",
    "stepUnits",
    "gridType",
    "missingValue",
    "totalNumber",
)
_PARAMETER_KEYS = ("discipline", "parameterCategory", "parameterNumber", "table2Version", "indicatorOfParameter")
"""By which editions 2 and 1 say a parameter that ecCodes has no name for."""
_SPECTRAL_KEYS = ("directionNumber", "frequencyNumber")
"""Further coordinates, of wave spectra."""
_MOST_POINTS = 2**32
_STEP_UNITS = {0: 60, 1: 3600, 2: 86400, 10: 3 * 3600, 11: 6 * 3600, 12: 12 * 3600, 13: 1, 14: 900, 15: 1800}


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid: its points in the order of messages.

    Args:
        key: a checksum of what messages say of it.
        kind: ``gridType``.
        shape: rows and columns, or the number of points.
        dims: their names.
        axes: values of ``latitude`` and ``longitude`` by name, degrees, where the grid is of rows and columns of these.
        has_places: whether points have latitudes and longitudes.
    """

    key: str
    kind: str
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    axes: dict[str, NDArray[np.float64]] = field(default_factory=dict, compare=False)
    has_places: bool = True


@dataclass(frozen=True, slots=True)
class FoundField:
    """One field.

    Args:
        place: of its message.
        number: among the fields of the message, from 0.
        keys: of ecCodes, by name; those that it has.
        coordinates: ``number``, ``time`` (s since 1970), ``step`` (s), and the level by its kind.
        grid: its points.
        is_double: whether its values need float64.
    """

    place: Place
    number: int
    keys: dict[str, Any]
    coordinates: dict[str, float]
    grid: Grid
    is_double: bool

    @property
    def name(self) -> str:
        """What the variable is called."""
        for key in ("cfVarName", "shortName"):
            if self.keys.get(key):
                return str(self.keys[key]).replace("/", "_")
        numbers = [self.keys[key] for key in _PARAMETER_KEYS if key in self.keys]
        return "_".join(["unknown", *map(str, numbers)])

    @property
    def level(self) -> str:
        """Kind of level, which is the level's coordinate."""
        return str(self.keys.get("typeOfLevel") or "level")

    @property
    def kind(self) -> tuple[Any, ...]:
        """Fields of one kind are one variable."""
        words = ("paramId", "shortName", "units", "dataType", "stepType")
        return (self.name, *(self.keys.get(word) for word in words), self.level, self.grid.key, self.is_double)


class FieldReader:
    """Reads headers; a grid that was met before is not made again."""

    def __init__(self) -> None:
        self._grids: dict[str, Grid] = {}

    def read(self, place: Place, url: str) -> Iterator[FoundField | tuple[int, str]]:
        """The fields of one message, or (number, why) of those that ecCodes does not know.

        Raises:
            FormatError: a message whose sections do not fit.
        """
        try:
            fields = fields_of(place.head)
        except FormatError as error:
            raise FormatError(
                f"{url}: the message at byte {place.start:,}: {error}. Way out: fetch the file again, or leave it out"
            ) from error
        for number, each in enumerate(fields):
            try:
                with Message(each.header) as message:
                    yield self._field(place, number, message, each.header)
            except (FormatError, UnsupportedError) as error:
                yield number, f"field {number} of the message at byte {place.start:,}: {error}"

    def _field(self, place: Place, number: int, message: Message, header: bytes) -> FoundField:
        keys = {key: value for key in (*_VARIABLE_KEYS, *_PARAMETER_KEYS) if (value := message.get(key)) is not None}
        coordinates = {"time": _seconds(message), "step": _step(message)}
        if (member := message.get("number", int)) is not None:
            coordinates["number"] = float(member)
        for key in _SPECTRAL_KEYS:
            if (place_in := message.get(key, int)) is not None:
                coordinates[key] = float(place_in)
        coordinates[str(keys.get("typeOfLevel") or "level")] = float(message.get("level", float) or 0.0)
        bits = message.get("bitsPerValue", int) or 0
        is_double = bits > _FLOAT32_BITS or (
            message.get("precision", int) == 2 and "ieee" in str(message.get("packingType"))
        )
        return FoundField(place, number, keys, coordinates, self._grid(message, header), bool(is_double))

    def _grid(self, message: Message, header: bytes) -> Grid:
        digest = hashlib.md5(str(message.get("md5GridSection") or header).encode(), usedforsecurity=False).hexdigest()
        flags = (message.get("jPointsAreConsecutive", int) or 0, message.get("alternativeRowScanning", int) or 0)
        key = f"{digest}{flags}"
        if key not in self._grids:
            self._grids[key] = _grid_of(message, key, *flags)
        return self._grids[key]


def _grid_of(message: Message, key: str, columns_first: int, is_alternating: int) -> Grid:
    kind = str(message.get("gridType") or "unknown")
    count = message.get("numberOfValues", int) if kind == _SPECTRAL else message.get("numberOfDataPoints", int)
    if count is None:
        count = message.get("numberOfPoints", int)
    if not isinstance(count, int) or not 0 < count < _MOST_POINTS:
        raise UnsupportedError(f"ecCodes does not say how many points its grid {kind!r} has")
    if kind == _SPECTRAL:
        return Grid(key, kind, (count,), ("values",), {}, has_places=False)
    rows, columns = (_whole(message.get(name, int)) for name in ("Nj", "Ni"))
    if kind == "lambert" or rows is None or columns is None:
        rows, columns = (_whole(message.get(name, int)) or other for name, other in (("Ny", rows), ("Nx", columns)))
    places = _places(message, count)
    if not rows or not columns or rows * columns != count or is_alternating:
        return Grid(key, kind, (count,), ("values",), {}, has_places=places is not None)
    shape, dims = (rows, columns), ("y", "x")
    if columns_first:
        shape, dims = (columns, rows), ("x", "y")
    if kind in _SEPARABLE and places is not None:
        axes = _axes(places, shape, columns_first)
        if axes is not None:
            names = ("longitude", "latitude") if columns_first else ("latitude", "longitude")
            return Grid(key, kind, shape, names, axes)
    return Grid(key, kind, shape, dims, {}, has_places=places is not None)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**31 - 1 else None


def _places(message: Message, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    try:
        latitudes, longitudes = message.array("latitudes"), message.array("longitudes")
    except FormatError:
        return None
    return (latitudes, longitudes) if len(latitudes) == len(longitudes) == count else None


def _axes(
    places: tuple[NDArray[np.float64], NDArray[np.float64]], shape: tuple[int, int], columns_first: int
) -> dict[str, NDArray[np.float64]] | None:
    latitudes, longitudes = (each.reshape(shape) for each in places)
    if columns_first:
        latitudes, longitudes = latitudes.T, longitudes.T
    if (latitudes != latitudes[:, :1]).any() or (longitudes != longitudes[:1]).any():
        return None
    return {"latitude": latitudes[:, 0].copy(), "longitude": longitudes[0].copy()}


def _seconds(message: Message) -> float:
    date, time = message.get("dataDate", int), message.get("dataTime", int)
    second = message.get("second", int) or 0
    try:
        moment = datetime(date // 10000, date // 100 % 100, date % 100, time // 100, time % 100, tzinfo=UTC)
    except (TypeError, ValueError) as error:
        raise UnsupportedError(f"its date is {date!r} and its time {time!r}") from error
    return (moment + timedelta(seconds=min(int(second), 59))).timestamp()


def _step(message: Message) -> float:
    """Seconds from the time to the end of the step."""
    with suppress(FormatError):  # steps that are no whole number of seconds, or years
        message.set("stepUnits", "s")
        step = message.get("endStep", int)
        if isinstance(step, int):
            return float(step)
    step, unit = message.get("endStep", int), message.get("stepUnits", int)
    if step is None and unit is None:
        return 0.0  # products that have no forecast, as those of satellites
    seconds = _STEP_UNITS.get(unit if isinstance(unit, int) else 1)
    if not isinstance(step, int) or seconds is None or not math.isfinite(step):
        raise UnsupportedError(f"its step is {step!r} in the unit {unit!r}")
    return float(step * seconds)
