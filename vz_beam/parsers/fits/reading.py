"""The HDUs of a FITS file as arrays by path.

Source: FITS standard 4.0, sections 5 (data), 7 (extensions).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, ManifestError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.fits.headers import HDU, read_hdus
from vz_beam.parsers.fits.pixels import STORED, scaling
from vz_beam.parsers.fits.tables import table_columns
from vz_beam.parsers.fits.tiles import tiled_image
from vz_beam.parsers.flat_group import FlatGroup
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource

CHUNK_BYTES = 2**23
"""Images are cut into chunks of at most 8 MiB, so that no image is read whole for one value."""
_SMALL_BYTES = 2**16
_WHOLE_BYTES = 2**27
"""An image up to this size is one chunk where cutting it would give chunks below the small size."""
_AXES = ("x", "y", "z")


def read_file(source: ByteSource, wants: Callable[[str], bool]) -> FlatGroup:
    """The images and tables of the file.

    Raises:
        FormatError: a file that is damaged.
        UnsupportedError: a file that is compressed as a whole.
    """
    if not source.size():
        raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
    cached = BlockCache(source)
    found = FlatGroup()
    names = _Names()
    for hdu in read_hdus(cached):
        path = names.of_hdu(hdu)
        if not hdu.naxis and hdu.kind == "IMAGE":
            if hdu.number == 0:
                found.groups[""] = hdu.attributes()
            continue
        if not wants(path):
            continue
        try:
            _add(found, path, hdu, cached, names, wants)
        except (UnsupportedError, FormatError, ManifestError) as error:
            found.problems[path] = str(error)
    return found


def _add(
    found: FlatGroup, path: str, hdu: HDU, source: ByteSource, names: _Names, wants: Callable[[str], bool]
) -> None:
    if hdu.kind == "IMAGE":
        found.arrays[path] = _image(hdu, source.url, names)
    elif hdu.kind == "BINTABLE" and hdu.header.get("ZIMAGE", False) is True:
        found.arrays[path] = tiled_image(hdu, source, names.of_axes)
    elif hdu.kind in ("BINTABLE", "TABLE"):
        found.groups[path] = hdu.attributes()
        for name, column in table_columns(hdu, source.url):
            place = f"{path}/{name}"
            if not wants(place):
                continue
            if isinstance(column, str):
                found.problems[place] = column
            else:
                found.arrays[place] = column
    else:
        raise UnsupportedError(f"it is an extension of the type {hdu.kind!r}")


class _Names:
    """Names of HDUs, none twice, and of axes: one name stands for one length in all of the file."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._sizes: dict[str, int] = {}

    def of_hdu(self, hdu: HDU) -> str:
        """A name that is free; a slash would make a group of it."""
        first = hdu.name.replace("/", "_")
        names = itertools.chain([first], (f"{first}_{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return name

    def of_axes(self, shape: Sequence[int]) -> tuple[str, ...]:
        """The last axis is NAXIS1, which is called ``x``."""
        own: list[str] = []
        for axis, length in enumerate(reversed(shape)):
            first = _AXES[axis] if axis < len(_AXES) else f"axis_{axis + 1}"
            names = itertools.chain([first], (f"{first}_{number}" for number in itertools.count(2)))
            own.append(next(name for name in names if self._sizes.setdefault(name, length) == length))
        return tuple(reversed(own))


def _image(hdu: HDU, url: str, names: _Names) -> ManifestArray:
    header = hdu.header
    if header.get("GROUPS", False) is True and hdu.naxis and hdu.naxis[0] == 0:
        raise UnsupportedError("it holds random groups, whose parameters lie between the pixels")
    shape = tuple(reversed(hdu.naxis))
    stored = np.dtype(STORED[int(header["BITPIX"])])
    dtype, codecs = scaling(header, stored)
    metadata = ArrayMetadata(
        shape=shape,
        dtype=dtype,
        chunk_shape=_chunk_shape(shape, stored.itemsize),
        byte_order=("little" if codecs else "big") if dtype.itemsize > 1 else None,
        codecs=codecs,
        attributes=_image_attributes(hdu),
        dimension_names=names.of_axes(shape),
    )
    grid = metadata.chunk_grid
    if not math.prod(shape):
        return ManifestArray(metadata, ChunkManifest.empty(grid.grid_shape))
    length = math.prod(metadata.chunk_shape) * stored.itemsize
    offsets = np.uint64(hdu.start) + np.arange(grid.size, dtype=np.uint64) * np.uint64(length)
    manifest = ChunkManifest.from_columns(
        (url,),
        np.zeros(grid.grid_shape, np.int32),
        offsets.reshape(grid.grid_shape),
        np.full(grid.grid_shape, length, np.uint64),
    )
    return ManifestArray(metadata, manifest)


def _image_attributes(hdu: HDU) -> dict[str, Any]:
    attributes = {key: value for key, value in hdu.attributes().items() if key not in ("BSCALE", "BZERO", "BLANK")}
    unit = attributes.get("BUNIT")
    return {**attributes, "units": unit.strip()} if isinstance(unit, str) and unit.strip() else attributes


def _chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole slices along the first axes, none of them short at the end, since bytes behind it are others.

    >>> _chunk_shape((4, 1000, 1000), 8), _chunk_shape((100, 100), 8)
    ((1, 1000, 1000), (100, 100))
    """
    chunk = [max(1, length) for length in shape]
    nbytes = math.prod(chunk) * itemsize
    for axis, length in enumerate(chunk):
        if nbytes <= CHUNK_BYTES:
            break
        inner = nbytes // length
        most = max(1, CHUNK_BYTES // inner)
        chunk[axis] = next(part for part in range(min(most, length), 0, -1) if length % part == 0)
        nbytes = inner * chunk[axis]
        if chunk[axis] > 1:
            break
    whole = math.prod(max(1, length) for length in shape) * itemsize
    return shape if nbytes < _SMALL_BYTES and whole <= _WHOLE_BYTES and min(shape, default=0) else tuple(chunk)
