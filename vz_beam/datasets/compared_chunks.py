"""One chunk of a store beside the same chunk of its file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.schema import join_path
from vz_beam.datasets.originals import Original, Place
from vz_beam.errors import InputError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.storage.zarr_settings import rectilinear_allowed


class SampledChunk(NamedTuple):
    """One reference of a store.

    Args:
        path: of the array.
        place: of the chunk in the grid.
        url: that it points at.
        offset: bytes.
        nbytes: bytes.
    """

    path: str
    place: tuple[int, ...]
    url: str
    offset: int
    nbytes: int

    def __str__(self) -> str:
        place = ", ".join(map(str, self.place))
        return f"{self.path} chunk ({place}), bytes {self.offset:,} to {self.offset + self.nbytes:,} of {self.url}"


def arrays_of(group: ManifestGroup) -> Iterator[tuple[str, ManifestArray]]:
    """Every array of a group and the groups in it, by path."""
    return ((join_path(path, name), array) for path, node in group.walk() for name, array in node.arrays.items())


class FileChunks:
    """The chunks of a file in order of where they begin."""

    def __init__(self, group: ManifestGroup, url: str) -> None:
        self._arrays = list(arrays_of(group))
        columns = []
        for number, (_, array) in enumerate(self._arrays):
            manifest = array.manifest
            here = np.array([location == url for location in manifest.locations] + [False, False], bool)
            rows = np.flatnonzero(here[manifest.location_ids.ravel()])
            starts = manifest.offsets.ravel()[rows].astype(np.int64)
            ends = starts + manifest.lengths.ravel()[rows].astype(np.int64)
            columns.append(np.stack([starts, ends, np.full(len(rows), number), rows]))
        table = np.concatenate(columns, axis=1) if columns else np.zeros((4, 0), np.int64)
        self._table = table[:, np.argsort(table[0], kind="stable")]

    def find(self, chunk: SampledChunk) -> tuple[ManifestArray, Place] | None:
        """The array and the place of the chunk that holds the bytes of another."""
        starts, ends = self._table[:2]
        stop = int(np.searchsorted(starts, chunk.offset, "right"))
        inside = np.flatnonzero((starts[:stop] <= chunk.offset) & (ends[:stop] >= chunk.offset + chunk.nbytes))
        if not len(inside):
            return None
        names = [self._arrays[int(self._table[2, row])][0] for row in inside.tolist()]
        row = inside[names.index(chunk.path)] if chunk.path in names else inside[-1]
        start, end, number, flat = self._table[:, row].tolist()
        path, array = self._arrays[number]
        index = tuple(int(i) for i in np.unravel_index(flat, array.manifest.grid_shape)) if array.shape else ()
        region = array.metadata.chunk_grid.region(index)
        words = {name: value for codec in array.metadata.codecs for name, value in codec.configuration.items()}
        about = {name: words[name] for name in ("field", "what") if name in words}
        return array, Place(path, region, start, end - start, **about)


_DEFAULT_FILLS = {
    "f4": 9.969209968386869e36, "f8": 9.969209968386869e36, "i2": -32767, "u2": 65535, "i4": -2147483647,
    "u4": 4294967295, "i8": -9223372036854775806, "u8": 18446744073709551614,
}  # fmt: skip
"""What netCDF fills unwritten values with (netcdf.h); single bytes are left out, of which netCDF masks none."""


def array_in_zarr(root: Any, path: str) -> Any:
    """An array of a store that zarr has opened, be its chunks of several lengths."""
    with rectilinear_allowed():
        return root[path]


class Compared(NamedTuple):
    """What is different about a chunk, empty where nothing is; how many elements are netCDF's unnamed fill."""

    difference: str
    default_fills: int = 0


def compared(root: Any, original: Original, chunk: SampledChunk, array: ManifestArray, place: Place) -> Compared:
    """A chunk as the store shows it beside the same as its file does.

    Args:
        root: of the store, in zarr.
        original: the file in the library of its format.
        chunk: of the store.
        array: of the file.
        place: of the chunk in that array.

    Raises:
        InputError: the library of the format cannot read it.
    """
    try:
        stored = array_in_zarr(root, chunk.path)
        ours = np.asarray(stored.blocks[chunk.place] if chunk.place else stored[...])
    except Exception as error:
        return Compared(f"the store cannot be read: {type(error).__name__}: {error}")
    try:
        theirs = np.asarray(original(place))
    except VzBeamError:
        raise
    except Exception as error:
        raise InputError(f"{type(error).__name__}: {error}") from error
    if place.nbytes != chunk.nbytes:  # a part of a chunk that is not compressed
        first = (chunk.offset - place.start) // array.dtype.itemsize
        theirs = theirs.reshape(-1)[first : first + chunk.nbytes // array.dtype.itemsize]
    return Compared("" if _is_same(ours, theirs) else _apart(ours, theirs), _count_default_fills(ours, stored))


def _count_default_fills(values: NDArray[Any], array: Any) -> int:
    """Elements that netCDF4 masks although no attribute says so; xarray and Zarr readers show them."""
    fill = _DEFAULT_FILLS.get(values.dtype.newbyteorder("=").str[1:])
    if fill is None or not {"_FillValue", "missing_value"}.isdisjoint(array.attrs):
        return 0
    return int((values == values.dtype.type(fill)).sum())


def _is_same(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    ours, theirs = _comparable(ours), _comparable(theirs)
    if ours.size != theirs.size:
        shapes = [tuple(n for n in values.shape if n > 1) for values in (ours, theirs)]
        if len(shapes[0]) != len(shapes[1]):
            return False
        common = tuple(slice(0, min(pair)) for pair in zip(*shapes, strict=True))  # the ends of two arrays
        ours, theirs = (values.reshape(shape)[common] for values, shape in zip((ours, theirs), shapes, strict=True))
    if ours.dtype.kind == "V":
        return ours.tobytes() == theirs.astype(ours.dtype).tobytes()
    is_number = ours.dtype.kind in "fcmM" and theirs.dtype.kind in "fcmM"
    return bool(np.array_equal(ours.reshape(-1), theirs.reshape(-1).astype(ours.dtype), equal_nan=is_number))


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    """Texts of all kinds as one kind."""
    if values.dtype.kind not in "SUTO":
        return values
    texts = [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values.ravel()]
    return np.array([text.rstrip("\0 ") for text in texts], object).reshape(values.shape)


def _apart(ours: NDArray[Any], theirs: NDArray[Any]) -> str:
    if math.prod(ours.shape) != math.prod(theirs.shape):
        return f"has the shape {ours.shape} in the store and {theirs.shape} in the file"
    ours, theirs = _comparable(ours).reshape(-1), _comparable(theirs).reshape(-1)
    rows = np.flatnonzero(ours != theirs)
    row = int(rows[0]) if len(rows) else 0
    return f"{len(rows):,} of {ours.size:,} elements differ, the first is {ours[row]} in the store and {theirs[row]}"
