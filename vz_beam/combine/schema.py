"""What one input says about the combined dataset: small, and without its references."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from vz_beam.codecs.decoding import decoding_of
from vz_beam.combine.attributes import MEANING
from vz_beam.combine.canonical import canonical_text, is_cftime
from vz_beam.combine.witness import Witness
from vz_beam.errors import CombineError
from vz_beam.manifests import loading, reindexing  # noqa: F401  # xarray asks them about virtual arrays from then on
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.metadata import ArrayMetadata, Attributes
from vz_beam.patterns.index import Index

Facts = tuple[tuple[str, str], ...]

STORED = frozenset(["byte order", "chunk shape", "codecs", "dtype", "fill value", "serializer"])
"""What inputs agree on about the bytes of virtual variables, by the names that :func:`_storage_facts` gives."""


class VariableSchema(NamedTuple):
    """One variable of one input.

    Args:
        order: its place in the file.
        is_coordinate: whether xarray holds it as a coordinate.
        metadata: of the virtual array; ``None`` where the variable is loaded.
        dims: names of its dimensions.
        shape: elements.
        facts: (what, canonical text) of all that inputs must agree on, sorted.
        attributes: all attributes.
        values: where the variable is loaded.
        references: number of chunks that are somewhere, where it is virtual.
    """

    order: int
    is_coordinate: bool
    metadata: ArrayMetadata | None
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    facts: Facts
    attributes: Attributes
    values: xr.Variable | None = None
    references: int = 0


@dataclass(frozen=True, slots=True)
class InputSchema:
    """All that one input says: its place, its variables by path, its groups' attributes by path."""

    index: Index
    witness: Witness
    variables: Mapping[str, VariableSchema]
    groups: Mapping[str, Attributes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedInput:
    """An input that could not be opened, as it flows to the summary."""

    index: Index
    url: str
    error_type: str
    message: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.url} ({self.index}): {self.error_type}: {self.message}"


def nodes_of(dataset: xr.Dataset | xr.DataTree) -> Iterator[tuple[str, xr.Dataset]]:
    """Each group of a dataset or tree by its path in it: ``""``, ``"a/b"``; inherited coordinates left out."""
    if isinstance(dataset, xr.Dataset):
        yield "", dataset
        return
    for node in dataset.subtree:
        yield node.path.removeprefix(dataset.path).strip("/"), node.to_dataset(inherit=False)


def virtual_array(variable: xr.Variable) -> ManifestArray | None:
    """The manifest array that a variable holds; ``None`` where it is loaded."""
    if isinstance(variable, xr.IndexVariable):  # never virtual, and costly to ask
        return None
    data: Any = variable.data
    return data if isinstance(data, ManifestArray) else None


def join_path(group: str, name: str) -> str:
    """The path of ``name`` in ``group``; the root group is ``""``."""
    return f"{group}/{name}" if group else name


def source_of(dataset: xr.Dataset | xr.DataTree, index: Index) -> str:
    """A name for the input in messages: its URL where it is known, else its first location, else its index."""
    for _, node in nodes_of(dataset):
        if source := node.encoding.get("source"):
            return str(source)
        for variable in node.variables.values():
            array = virtual_array(variable)
            if array is not None and array.manifest.locations:
                return array.manifest.locations[0]
    return str(index)


def schema_of(index: Index, dataset: xr.Dataset | xr.DataTree) -> InputSchema:
    """The schema of one input.

    Raises:
        CombineError: a variable that is neither virtual nor in memory (dask), named with its file.
    """
    witness = Witness(index.numbers, source_of(dataset, index))
    variables: dict[str, VariableSchema] = {}
    groups: dict[str, Attributes] = {}
    nodes = list(nodes_of(dataset))
    joined = set(index.concat_dims)
    is_alone = not index.positions
    gains = not joined <= {str(dim) for _, node in nodes for dim in node.dims}
    for group, node in nodes:
        groups[group] = dict(node.attrs)
        clocks, coordinates = _bounds_of_times(node), frozenset(node.coords)
        for name, variable in node.variables.items():
            is_joined = (
                is_alone or not joined.isdisjoint(map(str, variable.dims)) or (gains and name not in coordinates)
            )
            try:
                about = (len(variables), str(name), variable, name in coordinates, clocks.get(str(name)))
                schema = _variable_schema(*about, is_joined)
            except CombineError as error:
                raise CombineError(f"{witness.label}: {error}") from error
            variables[join_path(group, str(name))] = schema
    return InputSchema(index, witness, variables, groups)


def _variable_schema(
    order: int, name: str, variable: xr.Variable, is_coordinate: bool, clock: str | None, is_joined: bool
) -> VariableSchema:
    dims = tuple(map(str, variable.dims))
    array = virtual_array(variable)
    attributes = dict(variable.attrs)
    if "coordinates" not in attributes and "coordinates" in variable.encoding:
        attributes["coordinates"] = variable.encoding["coordinates"]
    if array is not None:
        metadata = array.metadata
        if metadata.attributes != attributes or metadata.dimension_names != dims:
            metadata = replace(metadata, attributes=attributes, dimension_names=dims)
        facts = _facts_of_virtual(name, metadata, is_coordinate, clock)
        if not is_joined:
            facts = _sorted({**dict(facts), "sizes of its chunks": _sizes(array)})
        about = (order, is_coordinate, metadata, dims, variable.shape, facts, attributes)
        return VariableSchema(*about, references=array.manifest.nrefs)
    values = _in_memory(name, variable)
    told = _facts_of_any(dims, attributes, is_coordinate, clock)
    told["loaded type"] = _type_family(values)
    if "calendar" in values.encoding:
        told["calendar"] = canonical_text(values.encoding["calendar"])
    return VariableSchema(order, is_coordinate, None, dims, variable.shape, _sorted(told), attributes, values)


def _facts_of_any(
    dims: tuple[str, ...], attributes: Attributes, is_coordinate: bool, clock: str | None
) -> dict[str, str]:
    facts = {f"attribute {key}": canonical_text(attributes[key]) for key in sorted(MEANING & attributes.keys())}
    facts["dimensions"] = str(dims)
    facts["kind"] = "a coordinate" if is_coordinate else "a data variable"
    if clock is not None and "units" not in attributes:
        facts["time units of its raw values"] = clock
    return facts


_LAST: dict[str, tuple[ArrayMetadata, bool, str | None, Facts]] = {}
"""What was said of the last variable of each name: the files of an archive mostly say the same again, and to compare
takes a tenth of the time to put it in words."""
_MOST_LAST = 4096


def _facts_of_virtual(name: str, metadata: ArrayMetadata, is_coordinate: bool, clock: str | None) -> Facts:
    known = _LAST.get(name)
    if known is not None and known[1:3] == (is_coordinate, clock) and _says_the_same(known[0], metadata):
        return known[3]
    facts = _facts_of_any(metadata.dimension_names or (), metadata.attributes, is_coordinate, clock)
    facts |= _storage_facts(metadata)
    told = _sorted(facts)
    if len(_LAST) >= _MOST_LAST:
        _LAST.clear()
    _LAST[name] = (metadata, is_coordinate, clock, told)
    return told


def _says_the_same(one: ArrayMetadata, other: ArrayMetadata) -> bool:
    """Whether all but the shapes of two arrays are equal."""
    if one is other:
        return True
    return (
        one.dtype == other.dtype
        and one.chunk_shape == other.chunk_shape
        and one.uneven_chunks == other.uneven_chunks
        and one.dimension_names == other.dimension_names
        and one.byte_order == other.byte_order
        and one.serializer == other.serializer
        and one.codecs == other.codecs
        and one.attributes == other.attributes
        and canonical_text(one.fill_value) == canonical_text(other.fill_value)
    )


def _chunk_shape_text(metadata: ArrayMetadata) -> str:
    uneven = {axis: chunks.runs() for axis, chunks in metadata.uneven_chunks.items()}
    return str(tuple(uneven.get(axis, length) for axis, length in enumerate(metadata.chunk_shape)))


def _sorted(facts: Mapping[str, str]) -> Facts:
    return tuple(sorted(facts.items()))


def _storage_facts(metadata: ArrayMetadata) -> dict[str, str]:
    steps = [step.to_json() for step in decoding_of(metadata.codecs)]
    return {
        "dtype": str(metadata.dtype),
        "byte order": str(metadata.byte_order),
        "chunk shape": _chunk_shape_text(metadata),
        "codecs": ", ".join(f"{s['name']} {canonical_text(s['configuration'])}" for s in steps) or "none",
        "serializer": canonical_text(metadata.serializer.to_json() if metadata.serializer else None),
        "fill value": canonical_text(metadata.fill_value),
        "loaded type": "virtual",
    }


def _sizes(array: ManifestArray) -> str:
    """Of an array that inputs have alike, what is cheap to compare: those of other values mostly have other sizes."""
    manifest = array.manifest
    checksum = zlib.crc32(manifest.lengths.astype(np.uint64).tobytes())
    for number in sorted(manifest.inlined):
        checksum = zlib.crc32(manifest.inlined[number], checksum)
    nbytes = int(manifest.lengths.sum()) + sum(map(len, manifest.inlined.values()))
    return f"{nbytes:,} bytes in {manifest.nrefs:,} chunks (checksum {checksum:08x})"


def _in_memory(name: str, variable: xr.Variable) -> xr.Variable:
    values = variable.data
    if not isinstance(values, np.ndarray):
        if variable.chunks is not None:
            raise CombineError(
                f"variable {name!r} is a dask array: call .load() on it, or leave it virtual by not naming it in "
                "loadable_variables"
            )
        values = np.asarray(variable.values)
    # fastpath: these are a variable's values already; converting times once more takes a tenth of a millisecond
    return xr.Variable(variable.dims, values, variable.attrs, dict(variable.encoding), fastpath=True)


def _type_family(variable: xr.Variable) -> str:
    kind = variable.dtype.kind
    if kind == "M" or is_cftime(variable.values):
        return "time"
    if kind in "iufb":
        return "numbers"
    return {"c": "complex numbers", "m": "durations", "O": "text", "U": "text", "T": "text", "S": "bytes"}.get(
        kind, str(variable.dtype)
    )


def _bounds_of_times(node: xr.Dataset) -> dict[str, str]:
    """Virtual bounds variables of loaded times, which hold numbers in the units of their file's time."""
    clocks: dict[str, str] = {}
    for name, variable in node.variables.items():
        if "units" not in variable.encoding or virtual_array(variable) is not None:
            continue
        for key in ("bounds", "climatology"):
            bounds = variable.attrs.get(key, variable.encoding.get(key))
            if bounds in node.variables and virtual_array(node.variables[bounds]) is not None:
                units, calendar = variable.encoding["units"], variable.encoding.get("calendar", "standard")
                clocks[str(bounds)] = f"{canonical_text(units)} of {name!r}, calendar {canonical_text(calendar)}"
    return clocks
