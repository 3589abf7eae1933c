"""A dataset into arrays that are in an Icechunk store already: at their end (append) or over a part of them (region).

All is checked before anything is written: what the bytes mean must be the same on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
import zarr

from vz_beam.combine.canonical import is_cftime
from vz_beam.combine.fragment import Fragment, fragment_of
from vz_beam.combine.loaded import describe_difference
from vz_beam.combine.schema import VariableSchema, join_path, schema_of, source_of, virtual_array
from vz_beam.errors import InputError, StoreMismatchError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v3 import from_v3
from vz_beam.patterns.index import Index
from vz_beam.writers.icechunk_documents import Document, array_document
from vz_beam.writers.icechunk_locations import Checksum
from vz_beam.writers.icechunk_nodes import members_of, write_document
from vz_beam.writers.icechunk_references import delete_chunks, write_references
from vz_beam.writers.icechunk_values import decoded_variables, encoded_as_stored
from vz_beam.writers.regions import check_borders, resolved_region

if TYPE_CHECKING:
    from icechunk import IcechunkStore

STORE = "the store"
_IGNORED = frozenset(["kind", "attribute coordinates"])
"""Facts that writers of stores put elsewhere, at the group, and that change no value."""

_LAST_JULIAN_YEAR = 1582
"""Numbers that count from a later year mean the same in the calendars "standard" and "proleptic_gregorian"."""


class Part(NamedTuple):
    """What goes into one array of the store.

    Args:
        path: of the array.
        document: of the array, with its new shape.
        is_grown: whether the shape is new.
        grid_shape: of the array, chunks.
        references: placed in it; ``None`` where values are written.
        erased: int64[n], numbers of the chunks that shall be missing.
        values: encoded as the array is, where the variable is loaded.
        start: place of the values in the array, elements.
    """

    path: str
    document: Document
    is_grown: bool
    grid_shape: tuple[int, ...]
    references: Fragment | None
    erased: np.ndarray[Any, np.dtype[np.int64]]
    values: np.ndarray[Any, Any] | None
    start: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """All that goes into the arrays of one group."""

    parts: tuple[Part, ...]

    def write(
        self, store: IcechunkStore, checksums: Mapping[str, Checksum], *, validate_containers: bool = True
    ) -> None:
        """Write references and values; documents of arrays that grow come first."""
        for part in self.parts:
            if part.is_grown:
                write_document(store, part.path, part.document)
        for part in self.parts:
            if part.values is not None:
                array = zarr.open_array(store, path=part.path, mode="r+")
                array[tuple(slice(i, i + n) for i, n in zip(part.start, part.values.shape, strict=True))] = part.values
            if part.references is not None:
                delete_chunks(store, part.path, part.grid_shape, part.erased)
                write_references(
                    store,
                    part.path,
                    part.grid_shape,
                    part.references,
                    checksums,
                    validate_containers=validate_containers,
                )


def appended_parts(store: IcechunkStore, group: str, dataset: xr.Dataset, append_dim: str) -> Parts:
    """What appending the dataset along ``append_dim`` writes.

    Variables without ``append_dim`` must be as they are in the store and are not written; those that the store has
    and the dataset lacks stay as they are.

    Raises:
        InputError: a dimension that the dataset or the store lacks.
        StoreMismatchError: all that differs between the dataset and the store, a partial last chunk in the store,
            variables that only one side has, a coordinate that does not go on where the store's ends.
    """
    if append_dim not in dataset.dims:
        raise InputError(
            f"append_dim={append_dim!r} is no dimension of the dataset, which has {sorted(map(str, dataset.dims))}"
        )
    target = _Target(store, group, dataset)
    lengths = target.lengths
    if append_dim not in lengths:
        raise InputError(
            f"append_dim={append_dim!r} is no dimension of group {group or '/'!r} of the store, which has "
            f"{sorted(lengths) or 'none'}: write the first dataset without append_dim"
        )
    problems = target.differences()
    absent = [
        f"variable {name!r} of the store has dimension {append_dim!r} and is not in {target.source}"
        for name, metadata in target.stored.items()
        if append_dim in (metadata.dimension_names or ()) and name not in dataset.variables
    ]
    start = lengths[append_dim]
    grown = [name for name in target.common if append_dim in dataset.variables[name].dims]
    problems += absent
    problems += target.borders(grown, {append_dim: slice(start, None)}, "append")
    problems += target.other_lengths({append_dim})
    problems += target.static_values([name for name in target.common if name not in grown])
    if append_dim in grown and virtual_array(dataset.variables[append_dim]) is None:
        problems += target.order(append_dim)
    if problems:
        raise StoreMismatchError(tuple(problems))
    return target.parts(grown, {append_dim: start}, {append_dim: start + dataset.sizes[append_dim]})


def region_parts(store: IcechunkStore, group: str, dataset: xr.Dataset, region: str | Mapping[Any, Any]) -> Parts:
    """What writing the dataset over ``region`` of the store writes, and erases: chunks that it lacks.

    Raises:
        InputError: a region that does not fit the dataset or the store; variables without any of its dimensions.
        StoreMismatchError: all that differs between the dataset and the store; borders within chunks.
    """
    target = _Target(store, group, dataset)
    slices = resolved_region(region, dataset, target.lengths, target.decoded)
    looked_up = {dim for dim in slices if dim in target.decoded and (region == "auto" or region[dim] == "auto")}  # type: ignore[index]
    written = [name for name in target.names if name not in looked_up]
    if alone := [name for name in written if not slices.keys() & set(map(str, dataset.variables[name].dims))]:
        raise InputError(
            f"variables {alone} have none of the dimensions {sorted(slices)} of the region, so a region write cannot "
            f"place them. Way out: dataset.drop_vars({alone})"
        )
    problems = target.differences()
    problems += target.borders(written, slices, "region")
    problems += target.other_lengths(set(slices))
    if problems:
        raise StoreMismatchError(tuple(problems))
    return target.parts(written, {dim: part.start for dim, part in slices.items()}, {})


class _Target:
    """A group of the store beside the dataset that goes into it."""

    def __init__(self, store: IcechunkStore, group: str, dataset: xr.Dataset) -> None:
        self.store, self.group = store, group
        self.source = source_of(dataset, Index(()))
        documents = members_of(store, group)
        arrays = {name: document for name, document in documents.items() if document["node_type"] == "array"}
        if not arrays:
            raise InputError(
                f"group {group or '/'!r} of the store has no arrays to write into: write the first dataset without "
                "append_dim and region"
            )
        self.documents = arrays
        self.stored = {name: from_v3(document) for name, document in arrays.items()}
        self.dataset = dataset.copy(deep=False)
        self.names = [str(name) for name in dataset.variables]
        self.common = [name for name in self.names if name in arrays]
        loaded = {
            name: dataset.variables[name] for name in self.common if virtual_array(dataset.variables[name]) is None
        }
        self.raw, self.decoded = decoded_variables(store, group, self.stored, loaded)

    @property
    def lengths(self) -> dict[str, int]:
        """Length of each dimension of the store's group, elements."""
        return {
            dim: n
            for metadata in self.stored.values()
            for dim, n in zip(metadata.dimension_names or (), metadata.shape, strict=False)
        }

    def differences(self) -> list[str]:
        """Variables that the store lacks, and all that the others differ in and that changes what they mean."""
        problems = [
            f"variable {name!r} of {self.source} is not in {STORE}" for name in self.names if name not in self.stored
        ]
        ours, theirs = self._schemas()
        for name in self.common:
            mine, others = dict(ours[name].facts), dict(theirs[name].facts)
            for fact in sorted((mine.keys() | others.keys()) - _IGNORED):
                first, second = others.get(fact, "absent"), mine.get(fact, "absent")
                if first != second:
                    where = repr(join_path(self.group, name))
                    problems.append(f"{where} {fact}: {first} in {STORE}, {second} in {self.source}")
        return problems

    def _schemas(self) -> tuple[Mapping[str, VariableSchema], Mapping[str, VariableSchema]]:
        """Both sides in the same words: that of the dataset as it would be once written."""
        ours, theirs = {}, {}
        for name in self.common:
            variable = self.dataset.variables[name]
            array = virtual_array(variable)
            if array is None:
                ours[name], theirs[name] = _with_calendar(variable), _with_calendar(self.decoded[name])
                continue
            metadata = replace(
                array.metadata, attributes=dict(variable.attrs), dimension_names=tuple(map(str, variable.dims))
            )
            written = from_v3(array_document(metadata, join_path(self.group, name)))
            ours[name], theirs[name] = _without_chunks(written), _without_chunks(self.stored[name])
        index = Index(())
        return tuple(schema_of(index, _as_dataset(side)).variables for side in (ours, theirs))  # type: ignore[return-value]

    def borders(self, names: list[str], slices: Mapping[str, slice], what: str) -> list[str]:
        """Virtual variables whose chunks the slices would cut."""
        virtual = {name for name in names if virtual_array(self.dataset.variables[name]) is not None}
        known = {
            join_path(self.group, name): self.stored[name] for name in names if name in virtual and name in self.stored
        }
        return check_borders(known, slices, what, self.source)

    def other_lengths(self, free: set[str]) -> list[str]:
        """Dimensions, other than those that the write is along, of another length than in the store."""
        return [
            f"length of dimension {dim!r}: {self.lengths[dim]} in {STORE}, {n} in {self.source}"
            for dim, n in ((str(dim), n) for dim, n in self.dataset.sizes.items())
            if dim not in free and self.lengths.get(dim, n) != n
        ]

    def static_values(self, names: list[str]) -> list[str]:
        """Loaded variables that are not appended to, and whose values are not those of the store."""
        found = []
        for name in names:
            if name in self.decoded:
                pair = {name: self.decoded[name]}, {name: self.dataset.variables[name]}
                first, second = (schema_of(Index(()), _as_dataset(side)).variables[name].values for side in pair)
                assert first is not None
                assert second is not None
                difference = describe_difference(name, first.values, second.values)
                if difference is not None:
                    found.append(f"values of {name!r}: {difference}, in {STORE} and {self.source}")
        return found

    def order(self, dim: str) -> list[str]:
        """Whether the coordinate goes on where the store's ends; one that runs no one way says nothing."""
        known, new = self.decoded[dim].values, self.dataset.variables[dim].values
        if not (known.size and new.size and _direction(known) and _direction(new)):
            return []
        rising = _direction(known if known.size > 1 else new)
        goes_on = known[-1] < new[0] if rising > 0 else known[-1] > new[0]
        if known.size == new.size == 1:
            goes_on = known[0] != new[0]
        if goes_on and (_direction(new) == rising or new.size == 1):
            return []
        return [
            f"coordinate {dim!r} does not go on where the store ends: it runs from {known[0]} to {known[-1]} in "
            f"{STORE}, and from {new[0]} to {new[-1]} in {self.source} (was it appended before?)"
        ]

    def parts(self, names: list[str], starts: Mapping[str, int], lengths: Mapping[str, int]) -> Parts:
        """The dataset's variables, placed at ``starts`` in the arrays of the store, which grow to ``lengths``."""
        parts, problems = [], []
        for name in names:
            variable = self.dataset.variables[name]
            document, metadata = self.documents[name], self.stored[name]
            dims = tuple(map(str, variable.dims))
            shape = tuple(lengths.get(dim, n) for dim, n in zip(dims, metadata.shape, strict=True))
            grown = metadata.with_shape(shape)
            start = tuple(starts.get(dim, 0) for dim in dims)
            grid_shape = grown.chunk_grid.grid_shape
            references, values, erased = None, None, np.empty(0, np.int64)
            array = virtual_array(variable)
            try:
                if array is None:
                    values = encoded_as_stored(name, variable, self.raw[name], self.decoded[name], self.source)
                else:
                    first = tuple(i // n for i, n in zip(start, metadata.chunk_shape, strict=True))
                    references = fragment_of(array.manifest, grid_shape, first)
                    erased = _missing_numbers(array.manifest, grid_shape, first) if not lengths else erased
            except UnsupportedError as error:
                problems.append(str(error))
            path = join_path(self.group, name)
            document = {**document, "shape": list(shape)}
            is_grown = shape != metadata.shape
            parts.append(Part(path, document, is_grown, grid_shape, references, erased, values, start))
        if problems:
            raise StoreMismatchError(tuple(problems))
        return Parts(tuple(parts))


def _with_calendar(variable: xr.Variable) -> xr.Variable:
    """Times that numpy holds with the name of their calendar: "standard" wherever that makes no difference."""
    if variable.dtype.kind != "M":
        return variable
    encoding = dict(variable.encoding)
    calendar = encoding.get("calendar", "standard")
    year = re.search(r"since\s+(\d+)", str(encoding.get("units", "")))
    if calendar == "gregorian" or (calendar == "proleptic_gregorian" and year and int(year[1]) > _LAST_JULIAN_YEAR):
        calendar = "standard"
    return xr.Variable(variable.dims, variable.values, variable.attrs, {**encoding, "calendar": calendar})


def _without_chunks(metadata: ArrayMetadata) -> xr.Variable:
    """A variable of that metadata, which says what both sides must share."""
    names = metadata.dimension_names or tuple(f"dim_{axis}" for axis in range(metadata.ndim))
    array = ManifestArray(metadata, ChunkManifest.empty(metadata.chunk_grid.grid_shape))
    return xr.Variable(names, array, dict(metadata.attributes))


def _as_dataset(variables: Mapping[str, xr.Variable]) -> xr.Dataset:
    """The variables without indexes, which values of the store need not make."""
    return xr.Dataset(coords=xr.Coordinates(dict(variables), indexes={}))


def _missing_numbers(
    manifest: ChunkManifest, grid_shape: tuple[int, ...], start: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    missing = np.nonzero(np.atleast_1d(manifest.location_ids == MISSING))
    if not grid_shape:
        return np.zeros(len(missing[0]), np.int64)
    places = tuple(place + first for place, first in zip(missing, start, strict=True))
    return np.ravel_multi_index(places, grid_shape).astype(np.int64)


def _direction(values: np.ndarray[Any, Any]) -> int:
    """1 or -1 where numbers or times run one way, 0 where they do not, or are neither; one value runs up."""
    if values.ndim != 1 or not (values.dtype.kind in "iufmM" or is_cftime(values)):
        return 0
    return 1 if np.all(values[1:] >= values[:-1]) else -1 if np.all(values[1:] <= values[:-1]) else 0
