"""Where the pixels of a GeoTIFF are: coordinates, CRS, and what GDAL says beside.

Source: OGC GeoTIFF 1.1, section 7.1, "Raster to model coordinate transformation"; GDAL, "GDAL_METADATA".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from xml.parsers import expat

import numpy as np

from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata

_SCALE, _TIEPOINTS, _MATRIX, _GDAL_METADATA = 33550, 33922, 34264, 42112
_TEXTS = {
    269: "document_name",
    270: "description",
    305: "software",
    306: "date_time",
    315: "artist",
    33432: "copyright",
}
_PIXEL_IS_POINT = 2
_GEOGRAPHIC = 2
_USER_DEFINED = 32767
_MOST_COORDINATES = 2**22
"""Pixels along an axis of which coordinates are made: 32 MiB, kept in the store."""


@dataclass(frozen=True, slots=True)
class Georeference:
    """The affine transformation of an image that is not turned, and its CRS.

    Args:
        left: x of the outer edge of the first column.
        step_x: from one column to the next.
        top: y of the outer edge of the first row.
        step_y: from one row to the next.
        is_turned: whether columns and rows are no axes of x and y; then there are no coordinates.
        crs: attributes of the grid mapping.
    """

    left: float
    step_x: float
    top: float
    step_y: float
    is_turned: bool
    crs: Mapping[str, Any]

    def resized(self, whole: tuple[int, int], reduced: tuple[int, int]) -> Georeference:
        """That of a reduced image, of so many rows and columns, of the same area."""
        factor_y, factor_x = (a / b for a, b in zip(whole, reduced, strict=True))
        return replace(self, step_x=self.step_x * factor_x, step_y=self.step_y * factor_y)

    @property
    def is_geographic(self) -> bool:
        """Whether x and y are longitude and latitude."""
        return self.crs.get("GTModelTypeGeoKey") == _GEOGRAPHIC

    def coordinates(self, extent: tuple[int, int]) -> dict[str, ManifestArray]:
        """``y`` and ``x`` of the pixels' centres, and ``spatial_ref``, their values inlined."""
        arrays = {"spatial_ref": _scalar(self.crs)}
        if self.is_turned or max(extent) > _MOST_COORDINATES:
            return arrays
        for name, count, start, step in (
            ("y", extent[0], self.top, self.step_y),
            ("x", extent[1], self.left, self.step_x),
        ):
            arrays[name] = _axis(name, start + (np.arange(count) + 0.5) * step, self._axis_attributes(name))
        return arrays

    def _axis_attributes(self, name: str) -> dict[str, Any]:
        attributes: dict[str, Any] = {"axis": name.upper()}
        if self.is_geographic:
            long_name = {"x": "longitude", "y": "latitude"}[name]
            units = {"x": "degrees_east", "y": "degrees_north"}[name]
            return {**attributes, "standard_name": long_name, "units": units}
        return {**attributes, "standard_name": f"projection_{name}_coordinate"}

    def variable_attributes(self, is_mask: bool) -> dict[str, Any]:
        """By which a variable names its grid mapping."""
        return {} if is_mask else {"grid_mapping": "spatial_ref"}


def georeference(page: Any) -> Georeference | None:
    """Of a page of tifffile; ``None`` where it is no GeoTIFF."""
    keys = dict(page.geotiff_tags or {})
    scale, points, matrix = (_floats(page, code) for code in (_SCALE, _TIEPOINTS, _MATRIX))
    is_point = int(keys.get("GTRasterTypeGeoKey", 1)) == _PIXEL_IS_POINT
    is_turned = False
    if len(matrix) == 16:
        a, b, _, left, c, e, _, top = matrix[:8]
        is_turned = bool(b or c)
        step_x, step_y = a, e
    elif len(scale) >= 2 and len(points) >= 6:
        column, row, _, x, y, _ = points[:6]
        step_x, step_y = scale[0], -scale[1]
        left, top = x - column * step_x, y - row * step_y
    elif not keys:
        return None
    else:
        left = top = 0.0
        step_x = step_y = 1.0
        is_turned = True  # nothing says where the pixels are
    if is_point:  # then the point that is told is the centre of a pixel
        left, top = left - step_x / 2, top - step_y / 2
    if not all(map(math.isfinite, (left, step_x, top, step_y))) or not step_x or not step_y:
        return None
    known: dict[str, Any] = {"GeoTransform": f"{left!r} {step_x!r} 0.0 {top!r} 0.0 {step_y!r}"}
    if is_turned:
        known = {}
        if len(matrix) == 16:
            known["GeoTransform"] = f"{left!r} {matrix[0]!r} {matrix[1]!r} {top!r} {matrix[4]!r} {matrix[5]!r}"
    return Georeference(left, step_x, top, step_y, is_turned, {**_crs(keys), **known})


def _crs(keys: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: _plain(value) for name, value in keys.items() if name.endswith("GeoKey")}
    for name in ("ProjectedCSTypeGeoKey", "ProjectedCRSGeoKey", "GeographicTypeGeoKey", "GeodeticCRSGeoKey"):
        code = known.get(name)
        if isinstance(code, int) and 1024 <= code < _USER_DEFINED:
            known["spatial_ref"] = f"EPSG:{code}"
            break
    return known


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, (int, np.integer)):
        return int(value)
    return value if isinstance(value, (str, float)) else str(value)


def _floats(page: Any, code: int) -> tuple[float, ...]:
    tag = page.tags.get(code)
    if tag is None:
        return ()
    values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return ()


def packing_of(page: Any, samples: int) -> dict[str, float]:
    """``scale_factor`` and ``add_offset`` that GDAL says of all bands alike; nothing where they differ."""
    items = gdal_items(page)
    found: dict[str, float] = {}
    for role, name in (("scale", "scale_factor"), ("offset", "add_offset")):
        values = {text for (_, sample, is_of), text in items.items() if is_of == role and sample is not None}
        count = sum(is_of == role for _, _, is_of in items)
        if len(values) == 1 and count == samples:
            try:
                found[name] = float(values.pop())
            except ValueError:
                continue
    if found.get("scale_factor", 1.0) == 1.0 and found.get("add_offset", 0.0) == 0.0:
        return {}
    return found


def text_attributes(page: Any) -> dict[str, Any]:
    """Texts of the image, and what GDAL says of it as a whole."""
    found: dict[str, Any] = {}
    for code, name in _TEXTS.items():
        tag = page.tags.get(code)
        if tag is not None and isinstance(tag.value, str) and tag.value:
            found[name] = tag.value
    for (name, sample, role), text in gdal_items(page).items():
        if role in ("scale", "offset"):
            continue
        found[name if sample is None else f"band_{sample + 1}_{name}"] = text
    return found


def gdal_items(page: Any) -> dict[tuple[str, int | None, str], str]:
    """The items of the tag GDAL_METADATA: (name, sample, role) to text."""
    tag = page.tags.get(_GDAL_METADATA)
    if tag is None or not isinstance(tag.value, (str, bytes)):
        return {}
    text = tag.value.encode() if isinstance(tag.value, str) else tag.value
    items: dict[tuple[str, int | None, str], str] = {}
    place: list[tuple[str, int | None, str]] = []

    def start(name: str, words: dict[str, str]) -> None:
        sample = words.get("sample", "")
        key = (words.get("name", ""), int(sample) if sample.isdigit() else None, words.get("role", ""))
        place[:] = [key] if name == "Item" and key[0] else []

    def characters(data: str) -> None:
        if place:
            items[place[0]] = items.get(place[0], "") + data

    def refuse(*declaration: object) -> None:
        raise ValueError("a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    parser.EndElementHandler = lambda name: place.clear()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.rstrip(b"\0"), True)
    except (expat.ExpatError, ValueError):
        return {}
    return items


def _axis(name: str, values: Any, attributes: dict[str, Any]) -> ManifestArray:
    metadata = ArrayMetadata(
        (len(values),), np.dtype("f8"), (len(values),), attributes=attributes, dimension_names=(name,)
    )
    return ManifestArray(metadata, ChunkManifest.from_inlined((1,), {0: np.asarray(values, "<f8").tobytes()}))


def _scalar(attributes: Mapping[str, Any]) -> ManifestArray:
    metadata = ArrayMetadata((), np.dtype("i4"), (), attributes=dict(attributes), dimension_names=())
    return ManifestArray(metadata, ChunkManifest.from_inlined((), {0: bytes(4)}))
