"""A DMR++ document as arrays by path: types, shapes, codecs, and the places of chunks.

Source: as of :mod:`vz_beam.parsers.dmrpp.parser`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numcodecs.vlen import VLenUTF8
from numpy.typing import NDArray

from vz_beam.errors import FormatError, ManifestError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.parsers.attribute_values import with_cf_fill
from vz_beam.parsers.dmrpp.document import MOST_BYTES, Chunks, Element, read_elements
from vz_beam.parsers.dmrpp.locations import DataFiles
from vz_beam.parsers.dmrpp.values import (
    NUMBERS,
    attributes_of,
    inlined_bytes,
    inlined_text,
    inlined_texts,
    storage_fill,
)
from vz_beam.parsers.flat_group import FlatGroup
from vz_beam.parsers.hdf5.filters import pipeline_of
from vz_beam.parsers.kerchunk.store_group import check_sparse
from vz_beam.storage.byte_source import ByteSource

_TEXTS = ("String", "URL")
_REFUSED = ("Structure", "Sequence", "Opaque")
_VARIABLES = frozenset([*NUMBERS, *_TEXTS, *_REFUSED, "Char", "Enum"])
_FILTERS = {"deflate": 1, "shuffle": 2, "fletcher32": 3, "bzip2": 307, "zstd": 32015, "zstandard": 32015}
"""HDF5 filters by the words of ``compressionType``, those that need no parameters."""
_ORDERS = {"LE": "little", "BE": "big"}
_MOST_LENGTH = 2**62


def read_document(
    source: ByteSource, data_url: str | Mapping[str, str] | None, wants: Callable[[str], bool]
) -> FlatGroup:
    """The arrays and groups that a document describes.

    Raises:
        FormatError: no DMR++ document, or a damaged one.
        SourceNotFoundError: a file that it names is not found.
    """
    size = source.size()
    if size > MOST_BYTES:
        raise FormatError(f"{source.url} has {size:,} bytes, and a DMR++ document at most {MOST_BYTES:,}")
    root = read_elements(source.read(0, size), source.url)
    files = DataFiles(source, root.words.get("href", ""), data_url)
    found = FlatGroup()
    _Reading(source.url, files, wants, _AxisNames(_variable_names(root)), found).group("", root, {}, {})
    return found


@dataclass(frozen=True, slots=True)
class _Dimension:
    """A shared dimension; ``name`` is its full one, such as ``/group/time``."""

    name: str
    size: int


class _Reading:
    def __init__(
        self, url: str, files: DataFiles, wants: Callable[[str], bool], axes: _AxisNames, found: FlatGroup
    ) -> None:
        self._axes = axes
        self._url = url
        self._files = files
        self._wants = wants
        self._found = found

    def group(
        self, path: str, element: Element, dimensions: Mapping[str, _Dimension], enums: Mapping[str, str]
    ) -> None:
        """Takes in one group and all below it; ``dimensions`` and ``enums`` are those of the groups that hold it."""
        prefix = f"{path}/" if path else ""
        self._found.groups[path] = attributes_of(element)
        dimensions = dict(dimensions)
        for part in element.all("Dimension"):
            name = f"/{prefix}{part.words.get('name', '')}"
            dimensions[name] = _Dimension(name, self._size(part, "Dimension"))
        enums = {**enums, **_enums(prefix, element)}
        for part in element.parts:
            name = part.words.get("name", "")
            if part.tag == "Group" and self._wants(prefix + name):
                self._check_name(name)
                self.group(prefix + name, part, dimensions, enums)
            elif part.tag in _VARIABLES and self._wants(prefix + name):
                self._check_name(name)
                self._variable(path, part, dimensions, enums)

    def _check_name(self, name: str) -> None:
        if not name or "/" in name or name in (".", ".."):
            raise FormatError(f"{self._url}: {name!r} is no name of a variable or group. Way out: leave the file out")

    def _size(self, part: Element, what: str) -> int:
        try:
            size = int(part.words["size"])
        except (KeyError, ValueError):
            size = -1
        if not 0 <= size <= _MOST_LENGTH:
            raise FormatError(f"{self._url}: a {what} says {part.words}, and no size. Way out: leave the file out")
        return size

    def _variable(
        self,
        group: str,
        element: Element,
        dimensions: Mapping[str, _Dimension],
        enums: Mapping[str, str],
    ) -> None:
        path = f"{group}/{element.words['name']}".lstrip("/")
        try:
            dims = [self._dimension(part, dimensions) for part in element.all("Dim")]
            array = self._array(element, dims, enums)
        except (UnsupportedError, ManifestError, FormatError) as error:
            self._found.problems[path] = str(error)
        else:
            self._found.arrays[path] = array

    def _dimension(self, part: Element, dimensions: Mapping[str, _Dimension]) -> _Dimension:
        name = part.words.get("name")
        if name is None:
            return _Dimension("", self._size(part, "Dim"))
        known = dimensions.get(name if name.startswith("/") else f"/{name}")
        if known is None:  # a name that is relative to a group
            known = next((one for full, one in reversed(list(dimensions.items())) if full.endswith(f"/{name}")), None)
        if known is None:
            raise FormatError(f"its dimension {name!r} is not declared")
        return known

    def _array(self, element: Element, dims: Sequence[_Dimension], enums: Mapping[str, str]) -> ManifestArray:
        if element.tag in _REFUSED:
            raise UnsupportedError(f"its type is {element.tag}, which is no type of an array")
        shape = tuple(dim.size for dim in dims)
        names = self._axes.of(dims)
        attributes = attributes_of(element)
        if element.tag in _TEXTS and element.first("FixedLengthStringArray") is None:
            return _texts(element, shape, names, attributes)
        dtype = _dtype(element, enums)
        chunks = element.first("chunks")
        metadata = ArrayMetadata(
            shape=shape,
            dtype=dtype,
            chunk_shape=_chunk_shape(chunks, shape),
            byte_order=_order(chunks, dtype),
            attributes=with_cf_fill(_with_maps(attributes, element, names), dtype),
            dimension_names=names,
        )
        for tag in ("compact", "missingdata"):
            if (part := element.first(tag)) is not None:
                data = inlined_bytes(part.text, math.prod(shape) * dtype.itemsize)
                return _inlined(metadata, data)
        if chunks is None:
            raise UnsupportedError("the document does not say where its values are")
        if chunks.all("block"):
            raise UnsupportedError(f"its values lie in {len(chunks.all('block'))} blocks, and not in chunks")
        codecs = _codecs(chunks, metadata)
        fill = storage_fill(chunks.words.get("fillValue"), dtype, attributes)
        metadata = replace(metadata, codecs=codecs, fill_value=fill)
        if not math.prod(shape):
            return ManifestArray(metadata, ChunkManifest.empty(metadata.chunk_grid.grid_shape))
        return ManifestArray(metadata, self._manifest(chunks.chunks or Chunks(), metadata))

    def _manifest(self, chunks: Chunks, metadata: ArrayMetadata) -> ChunkManifest:
        grid = metadata.chunk_grid
        lengths = np.array(chunks.lengths, np.uint64)
        is_here = lengths > 0
        if metadata.fill_value is None and int(is_here.sum()) < grid.size:
            raise UnsupportedError(
                f"{int(is_here.sum()):,} of its {grid.size:,} chunks are somewhere, and no fill value is said"
            )
        if not is_here.any():
            return ChunkManifest.empty(grid.grid_shape)
        if chunks.odd:
            raise UnsupportedError(f"{len(chunks.odd):,} of its chunks left out a filter (a filter mask)")
        check_sparse(grid.size, len(lengths))
        numbers = _numbers(chunks.positions, metadata)
        odd = lengths[is_here] != metadata.chunk_nbytes
        if not metadata.codecs and odd.any():
            raise FormatError(
                f"a chunk has {int(lengths[is_here][odd][0]):,} bytes, and {metadata.chunk_nbytes:,} is the size of one"
            )
        offsets = np.array(chunks.offsets, np.uint64)
        locations: dict[str, int] = {}
        places = np.zeros(len(lengths), np.int32)
        hrefs = [chunks.hrefs.get(number, "") for number in range(len(lengths))] if chunks.hrefs else [""]
        for href in dict.fromkeys(hrefs):
            url, size = self._files.place(href)
            place = locations.setdefault(url, len(locations))
            here = np.array([each == href for each in hrefs]) if len(hrefs) > 1 else np.ones(len(lengths), np.bool_)
            places[here] = place
            ends = offsets[here] + lengths[here]
            if size is not None and (ends > size).any():
                raise FormatError(
                    f"one of its chunks ends at byte {int(ends.max()):,} of {url}, which has {size:,} bytes: the "
                    "document is of another file"
                )
        ids = np.full(grid.size, MISSING, np.int32)
        at = np.zeros((2, grid.size), np.uint64)
        ids[numbers[is_here]] = places[is_here]
        at[:, numbers[is_here]] = offsets[is_here], lengths[is_here]
        columns = (column.reshape(grid.grid_shape) for column in (ids, *at))
        return ChunkManifest.from_columns(tuple(locations), *columns)


class _AxisNames:
    """Names of dimensions in all of a document: one name stands for one length, as groups inherit dimensions.

    ``taken`` are the names of its variables.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = frozenset(taken)
        self._sizes: dict[str, int] = {}
        self._given: dict[str, str] = {}
        self._phony: dict[int, list[str]] = {}

    def of(self, dims: Sequence[_Dimension]) -> tuple[str, ...]:
        """A name for each axis: the last part of its dimension's, or a phony one for each length; none twice."""
        names: list[str] = []
        unnamed: dict[int, int] = {}
        for dim in dims:
            name = self._shared(dim) if dim.name else self._unshared(dim.size, unnamed)
            if name in names:
                others = (f"{name}_{number}" for number in itertools.count(2))
                free = (other for other in others if other not in names and other not in self._taken)
                name = next(other for other in free if self._sizes.setdefault(other, dim.size) == dim.size)
            names.append(name)
        return tuple(names)

    def _shared(self, dim: _Dimension) -> str:
        if dim.name not in self._given:
            last = dim.name.rpartition("/")[2]
            names = itertools.chain([last], (f"{last}_{number}" for number in itertools.count(2)))
            self._given[dim.name] = next(n for n in names if self._sizes.setdefault(n, dim.size) == dim.size)
        return self._given[dim.name]

    def _unshared(self, size: int, unnamed: dict[int, int]) -> str:
        known = self._phony.setdefault(size, [])
        place = unnamed.get(size, 0)
        unnamed[size] = place + 1
        if place == len(known):
            first = sum(map(len, self._phony.values()))
            names = (f"phony_dim_{number}" for number in itertools.count(first))
            free = (name for name in names if name not in self._taken)
            known.append(next(name for name in free if self._sizes.setdefault(name, size) == size))
        return known[place]


def _variable_names(element: Element) -> Iterator[str]:
    for part in element.parts:
        if part.tag in _VARIABLES:
            yield part.words.get("name", "")
        elif part.tag == "Group":
            yield from _variable_names(part)


def _enums(prefix: str, element: Element) -> dict[str, str]:
    return {
        f"/{prefix}{part.words.get('name', '')}": part.words.get("basetype", "") for part in element.all("Enumeration")
    }


def _dtype(element: Element, enums: Mapping[str, str]) -> np.dtype[Any]:
    kind = element.tag
    if kind == "Char":
        return np.dtype("S1")
    if kind == "Enum":
        name = element.words.get("enum", "")
        kind = enums.get(name if name.startswith("/") else f"/{name}", "")
        if kind not in NUMBERS:
            raise FormatError(f"its enumeration {name!r} is not declared with a type of numbers")
    if kind in _TEXTS:
        fixed = element.first("FixedLengthStringArray")
        assert fixed is not None
        length = fixed.words.get("string_length", "")
        if fixed.words.get("pad", "") == "space_pad":
            raise UnsupportedError("its strings are padded with spaces that do not belong to the values")
        if not length.isdigit() or not 0 < int(length) < 2**31:
            raise FormatError(f"its texts have {length!r} bytes each")
        return np.dtype(f"S{length}")
    return NUMBERS[kind]


def _order(chunks: Element | None, dtype: np.dtype[Any]) -> str | None:
    if dtype.itemsize == 1 or dtype.kind == "S":
        return None
    # Hyrax has written both words
    word = "LE" if chunks is None else chunks.words.get("byteOrder", chunks.words.get("byteOrde", "LE"))
    if word not in _ORDERS:
        raise FormatError(f"its byte order is {word!r}, and neither 'LE' nor 'BE'")
    return _ORDERS[word]


def _chunk_shape(chunks: Element | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    sizes = None if chunks is None else chunks.first("chunkDimensionSizes")
    if sizes is None:
        if chunks is not None and chunks.chunks is not None and len(chunks.chunks.positions) > 1:
            raise UnsupportedError(f"its {len(chunks.chunks.positions):,} chunks have no shape in the document")
        return tuple(max(1, length) for length in shape)
    words = sizes.text.split()
    if len(words) != len(shape) or not all(word.isdigit() and 0 < int(word) <= _MOST_LENGTH for word in words):
        raise FormatError(f"its chunks have the shape {sizes.text.strip()!r}, and its own is {shape}")
    return tuple(map(int, words))


def _with_maps(attributes: dict[str, Any], element: Element, dims: tuple[str, ...]) -> dict[str, Any]:
    """The attributes, with those variables as coordinates that DAP4 says map the array, where nothing else is said."""
    names = [part.words.get("name", "").rpartition("/")[2] for part in element.all("Map")]
    others = [name for name in dict.fromkeys(names) if name and name not in dims]
    return attributes if not others or "coordinates" in attributes else {**attributes, "coordinates": " ".join(others)}


def _codecs(chunks: Element, metadata: ArrayMetadata) -> tuple[Codec, ...]:
    words = chunks.words.get("compressionType", "").split()
    levels = chunks.words.get("deflateLevel", chunks.words.get("deflate_level", "")).split()
    filters: list[tuple[int, tuple[int, ...], str]] = []
    for word in words:
        if word not in _FILTERS:
            raise UnsupportedError(f"it is compressed by {word!r}, whose parameters no DMR++ document says")
        values: tuple[int, ...] = ()
        if word == "deflate" and levels:
            level = levels.pop(0)
            values = (int(level),) if level.isdigit() else ()
        elif word == "shuffle":
            values = (metadata.dtype.itemsize,)
        filters.append((_FILTERS[word], values, word))
    pipeline = pipeline_of(filters, metadata.chunk_nbytes, metadata.dtype.itemsize)
    if pipeline.undecodable or pipeline.damage:
        raise UnsupportedError(f"it is compressed by {pipeline.undecodable or pipeline.damage}")
    return pipeline.codecs


def _numbers(positions: Sequence[str], metadata: ArrayMetadata) -> NDArray[np.int64]:
    """C-order numbers of the chunks, int64[n], of texts such as ``"[0,50]"``, in elements."""
    grid_shape, rank = metadata.chunk_grid.grid_shape, len(metadata.shape)
    if not any(positions):
        if len(positions) > 1 or metadata.chunk_grid.size > 1:
            raise FormatError(f"its {len(positions):,} chunks do not say their positions")
        return np.zeros(len(positions), np.int64)
    text = ",".join(position.strip().strip("[]") for position in positions)
    try:
        flat = np.array(text.split(","), np.int64)
    except (ValueError, OverflowError):
        flat = np.zeros(0, np.int64)
    if len(flat) != rank * len(positions):
        raise FormatError(f"the positions of its chunks, {positions[0]!r} and so on, are not {rank} numbers each")
    starts = flat.reshape(len(positions), rank)
    places, rests = np.divmod(starts, np.array(metadata.chunk_shape, np.int64))
    if rests.any() or (places < 0).any() or (places >= np.array(grid_shape)).any():
        raise FormatError(f"one of its chunks does not begin where chunks of {metadata.chunk_shape} do, or is outside")
    numbers = np.asarray(np.ravel_multi_index(tuple(places.T), grid_shape), np.int64)
    if len(np.unique(numbers)) < len(numbers):
        raise FormatError("two of its chunks have one position")
    return numbers


def _inlined(metadata: ArrayMetadata, data: bytes) -> ManifestArray:
    metadata = metadata.with_shape(metadata.shape, tuple(max(1, length) for length in metadata.shape))
    grid_shape = metadata.chunk_grid.grid_shape
    if not data:
        return ManifestArray(metadata, ChunkManifest.empty(grid_shape))
    return ManifestArray(metadata, ChunkManifest.from_inlined(grid_shape, {0: data}))


def _texts(
    element: Element, shape: tuple[int, ...], names: tuple[str, ...], attributes: Mapping[str, Any]
) -> ManifestArray:
    """Strings of variable length, which only the document itself can hold."""
    count = math.prod(shape)
    if (part := element.first("vlsa")) is not None:
        texts = inlined_texts(part, count)
    elif (part := element.first("compact")) is not None and count == 1:
        texts = [inlined_text(part.text)]
    else:
        raise UnsupportedError("its strings of variable length are not in the document, and no reference can say them")
    metadata = ArrayMetadata(
        shape=shape,
        dtype=np.dtypes.StringDType(),
        chunk_shape=tuple(max(1, length) for length in shape),
        byte_order=None,
        serializer=Codec("vlen-utf8"),
        fill_value="",
        attributes=dict(attributes),
        dimension_names=names,
    )
    return _inlined(metadata, bytes(VLenUTF8().encode(np.array(texts, dtype=object))) if count else b"")
