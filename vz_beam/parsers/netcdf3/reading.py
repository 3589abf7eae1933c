"""A netCDF classic file as a group of manifest arrays: each value is where the header says, uncompressed.

Source: as of :mod:`vz_beam.parsers.netcdf3.header`; "Note on vsize" and "Note on padding".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vz_beam.errors import FormatError, TruncatedFileError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.attribute_values import with_cf_fill
from vz_beam.parsers.netcdf3.header import Attribute, Header, NeedsMoreError, Variable, read_header
from vz_beam.parsers.refusal import unsupported_variables
from vz_beam.storage.byte_source import ByteSource

_FIRST_BYTES = 2**15
"""Holds the headers of most files, and is one request."""
_GROWTH = 8
"""A longer header is read again, this many times as much: three requests for 2 MiB."""
_MOST_HEADER_BYTES = 2**28
_PACKING = ("scale_factor", "add_offset")


@dataclass(frozen=True, slots=True)
class _Records:
    """How the record variables interleave: ``nbytes`` from one record to the next, ``count`` of them."""

    nbytes: int
    count: int


def read_group(source: ByteSource, wants: Callable[[str], bool], is_skipping: bool) -> ManifestGroup:
    """The variables and attributes of the file.

    Raises:
        FormatError: a header that is damaged, or none; TruncatedFileError where values are beyond the end of the file.
        UnsupportedError: variables that no Zarr array can say, unless they are skipped.
    """
    header = _header(source)
    records = _records(source, header)
    _check_places(source, header, records)
    arrays: dict[str, ManifestArray] = {}
    problems: dict[str, str] = {}
    for variable in header.variables:
        if not wants(variable.name):
            continue
        try:
            arrays[variable.name] = _array(source.url, header, variable, records)
        except UnsupportedError as error:
            problems[variable.name] = str(error)
    if problems and not is_skipping:
        raise unsupported_variables(source.url, problems)
    return ManifestGroup(arrays, {}, _values(header.attributes), problems)


def _header(source: ByteSource) -> Header:
    data = source.read_head(_FIRST_BYTES)
    size = source.size()
    if not size:
        raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
    while True:
        try:
            return read_header(data)
        except NeedsMoreError as error:
            if error.stop > size:
                raise TruncatedFileError(
                    f"{source.url} ends in its header: it has {size:,} bytes, and the header goes on to {error.stop:,} "
                    "at least. Way out: fetch it again, or leave it out"
                ) from None
            if error.stop > _MOST_HEADER_BYTES:
                raise FormatError(
                    f"{source.url}: its header would be larger than {_MOST_HEADER_BYTES:,} bytes, which none is"
                ) from None
            data = source.read(0, min(size, max(error.stop, _GROWTH * len(data))))
        except FormatError as error:
            raise FormatError(f"{source.url}: {error}. Way out: fetch it again, or leave it out") from error


def _records(source: ByteSource, header: Header) -> _Records:
    varying = [variable for variable in header.variables if header.is_record(variable)]
    if len(varying) == 1:  # then records are not padded, whatever their size
        nbytes = header.slab_nbytes(varying[0])
    else:
        nbytes = sum(_padded(header.slab_nbytes(variable)) for variable in varying)
    count = header.records
    if count is None:
        begin = min((variable.begin for variable in varying), default=0)
        count = max(0, source.size() - begin) // nbytes if nbytes else 0
    return _Records(nbytes, count)


def _padded(nbytes: int) -> int:
    return nbytes + -nbytes % 4


def _check_places(source: ByteSource, header: Header, records: _Records) -> None:
    """Refuse values beyond the end of the file, in its header, and in each other."""
    size = source.size()
    fixed, varying = [], []
    for variable in header.variables:
        nbytes = header.slab_nbytes(variable)
        steps = 1
        if header.is_record(variable):
            steps = records.count
            varying.append((variable.begin, nbytes, variable.name))
        else:
            fixed.append((variable.begin, nbytes, variable.name))
        if not nbytes or not steps:
            continue
        stop = variable.begin + (steps - 1) * records.nbytes + nbytes
        if variable.begin < header.nbytes:
            raise FormatError(
                f"{source.url}: variable {variable.name!r} begins at byte {variable.begin:,}, in the header, which has "
                f"{header.nbytes:,} bytes. Way out: fetch it again, or leave it out"
            )
        if stop > size:
            raise TruncatedFileError(
                f"{source.url}: variable {variable.name!r} goes on to byte {stop:,}, and the file has {size:,}. "
                "Way out: fetch it again, or leave it out"
            )
    first_record = min((begin for begin, nbytes, _ in varying if nbytes), default=None) if records.count else None
    spans = [span for span in fixed if span[1]]
    if first_record is not None:
        spans.append((first_record, records.count * records.nbytes, "its records"))
        inside = [(begin, nbytes, name) for begin, nbytes, name in varying if nbytes]
        _check_apart(source.url, [*inside, (first_record + records.nbytes, 1, "the second record")])
    _check_apart(source.url, spans)


def _check_apart(url: str, spans: list[tuple[int, int, str]]) -> None:
    ordered = sorted(spans)
    for (begin, nbytes, name), (after, _, other) in itertools.pairwise(ordered):
        if begin + nbytes > after:
            raise FormatError(
                f"{url}: the {nbytes:,} bytes of {name!r} at {begin:,} reach into {other!r} at {after:,}. "
                "Way out: fetch it again, or leave it out"
            )


def _array(url: str, header: Header, variable: Variable, records: _Records) -> ManifestArray:
    inner, nbytes = header.inner_shape(variable), header.slab_nbytes(variable)
    shape, chunk_shape, steps = inner, inner, 1
    if header.is_record(variable):
        # records that follow each other are one chunk; else each is one
        steps = 1 if nbytes == records.nbytes else records.count
        shape = (records.count, *inner)
        chunk_shape = (records.count if nbytes == records.nbytes else 1, *inner)
    stored = variable.dtype
    native = stored.newbyteorder("=")
    metadata = ArrayMetadata(
        shape=shape,
        dtype=native,
        chunk_shape=tuple(max(length, 1) for length in chunk_shape),
        byte_order="big" if stored.itemsize > 1 else None,
        attributes=with_cf_fill(_values(variable.attributes), native),
        dimension_names=_dimension_names(header, variable),
        packing_dtypes={
            attribute.name: attribute.value.dtype.newbyteorder("=")
            for attribute in variable.attributes
            if attribute.name in _PACKING and isinstance(attribute.value, np.ndarray)
        },
    )
    grid_shape = metadata.chunk_grid.grid_shape
    if not math.prod(shape):
        return ManifestArray(metadata, ChunkManifest.empty(grid_shape))
    if steps == 1:
        return ManifestArray(metadata, ChunkManifest.single(grid_shape, url, variable.begin, metadata.chunk_nbytes))
    offsets = np.uint64(variable.begin) + np.arange(steps, dtype=np.uint64) * np.uint64(records.nbytes)
    length = np.dtype(np.uint32 if nbytes < 2**32 else np.uint64).type(nbytes)
    manifest = ChunkManifest.from_columns(
        (url,), np.zeros(grid_shape, np.int32), offsets.reshape(grid_shape), np.full(grid_shape, length)
    )
    return ManifestArray(metadata, manifest)


def _dimension_names(header: Header, variable: Variable) -> tuple[str, ...]:
    """As in the file; a dimension that the variable has already gets a name of its own, since xarray has none twice."""
    taken = {name for name, _ in header.dimensions} | {each.name for each in header.variables}
    names: list[str] = []
    for dim in variable.dimensions:
        first = header.dimensions[dim][0]
        others = (f"{first}_{number}" for number in itertools.count(2))
        names.append(first if first not in names else next(name for name in others if name not in taken))
        taken.add(names[-1])
    return tuple(names)


def _values(attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Texts and numbers as JSON can say them: one number as itself, more or none as a list."""
    return {attribute.name: _value(attribute.value) for attribute in attributes}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return value[0].item() if len(value) == 1 else value.tolist()
