"""The images of a TIFF file, sorted into variables and groups.

Source: TIFF 6.0, "NewSubfileType"; Cloud Optimized GeoTIFF, https://docs.ogc.org/is/21-026/21-026.html.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from vz_beam.codecs.tiff import TIFF_ERRORS, tiff_library
from vz_beam.errors import FormatError, ManifestError, TruncatedFileError, UnsupportedError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.parsers.flat_group import FlatGroup
from vz_beam.parsers.tiff.geo import Georeference, georeference, text_attributes
from vz_beam.parsers.tiff.images import Image, image_of, stacked
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.source_file import SourceFile

_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType."""
_MOST_PAGES = 100_000
_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class _Page:
    """An image directory: what kind of image it is, and the image, or why it is none."""

    number: int
    is_reduced: bool
    is_mask: bool
    image: Image | None
    problem: str
    geo: Georeference | None
    attributes: dict[str, Any]


def read_images(source: ByteSource, wants: Callable[[str], bool]) -> FlatGroup:
    """The images of the file by path.

    Raises:
        FormatError: a file that is damaged; TruncatedFileError where it ends too early.
        InputError: tifffile is not there.
    """
    size = source.size()
    if size < _SHORTEST:
        raise TruncatedFileError(f"{source.url} has {size} bytes, and is no TIFF file. Way out: fetch it again")
    library = tiff_library()
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it logs of damage becomes an error here
    try:
        cached = BlockCache(source)
        with library.TiffFile(SourceFile(cached), name=source.url) as file:
            pages = list(_pages(file, source.url, size))
            whole = text_attributes(file.pages[0])
    except VzBeamError:
        raise
    except TIFF_ERRORS as error:
        raise FormatError(
            f"{source.url} is no TIFF file that can be read ({type(error).__name__}: {str(error)[:200]}). "
            "Way out: fetch it again, or leave it out"
        ) from error
    if not pages:
        raise FormatError(f"{source.url} is a TIFF file without images. Way out: fetch it again, or leave it out")
    found = FlatGroup()
    found.groups[""] = whole
    _place(found, pages, wants)
    return found


def _pages(file: Any, url: str, size: int) -> Iterator[_Page]:
    number = 0
    for page in file.pages:
        for each in itertools.chain([page], page.pages or ()):
            number += 1
            if number > _MOST_PAGES:
                raise FormatError(f"{url} has more than {_MOST_PAGES:,} images. Way out: leave it out")
            yield _page(number, each, url, size)


def _page(number: int, page: Any, url: str, size: int) -> _Page:
    kind = int(page.subfiletype)
    about = (number, bool(kind & _REDUCED), bool(kind & _MASK))
    try:
        return _Page(*about, image_of(page, url, size), "", georeference(page), text_attributes(page))
    except (UnsupportedError, FormatError, ManifestError) as error:
        return _Page(*about, None, str(error), None, {})


def _place(found: FlatGroup, pages: list[_Page], wants: Callable[[str], bool]) -> None:
    full = [page for page in pages if not page.is_reduced and not page.is_mask]
    if not full:  # some writers mark all images as reduced
        full = [page for page in pages if not page.is_mask]
        pages = [page for page in pages if page.is_mask]
    first = full[0] if full else None
    names = (f"image_{number}" for number in itertools.count(2))
    for _, group in itertools.groupby(full, key=lambda page: None if page.image is None else page.image.key):
        same = list(group)
        name = "image" if same[0] is first else next(names)
        _add(found, "", name, same, same[0].geo or (first.geo if first else None), wants)
    for page in pages:
        if page.is_mask and not page.is_reduced:
            _add(found, "", _free(found, "mask"), [page], first.geo if first else None, wants)
    reduced = [page for page in pages if page.is_reduced]
    if not reduced or not full:
        return
    reduced.sort(key=lambda page: (-1 if page.image is None else -page.image.pixels, page.number))
    levels: dict[tuple[int, ...], str] = {}
    for page in reduced:
        key = (page.number,) if page.image is None else page.image.extent
        if key not in levels:
            levels[key] = f"overview_{len(levels) + 1}"
            if wants(levels[key]):
                found.groups[levels[key]] = {}
        if wants(levels[key]):
            geo = None
            if first is not None and first.geo is not None and first.image is not None and page.image is not None:
                geo = first.geo.resized(first.image.extent, page.image.extent)
            name = "mask" if page.is_mask else "image"
            _add(found, levels[key], _free(found, f"{levels[key]}/{name}").rpartition("/")[2], [page], geo, wants)


def _free(found: FlatGroup, path: str) -> str:
    names = itertools.chain([path], (f"{path}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in found.arrays and name not in found.problems)


def _add(
    found: FlatGroup,
    group: str,
    name: str,
    pages: list[_Page],
    geo: Georeference | None,
    wants: Callable[[str], bool],
) -> None:
    path = f"{group}/{name}" if group else name
    if not wants(path):
        return
    problem = next((page.problem for page in pages if page.image is None), "")
    if problem:
        found.problems[path] = problem
        return
    images = [page.image for page in pages if page.image is not None]
    array = stacked(images)
    attributes = dict(array.metadata.attributes)
    if geo is not None:
        attributes |= geo.variable_attributes(name == "mask")
    found.arrays[path] = ManifestArray(replace(array.metadata, attributes=attributes), array.manifest)
    if geo is not None:
        for coordinate, values in geo.coordinates(images[0].extent).items():
            place = f"{group}/{coordinate}" if group else coordinate
            if wants(place):
                found.arrays.setdefault(place, values)
