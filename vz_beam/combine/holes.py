"""Parts of the combined dataset that no input gives: which they are, how long, and what they read as."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.full_chunk import full_chunk
from vz_beam.combine.hole import Hole
from vz_beam.combine.layout import ArrayLayout
from vz_beam.combine.schema import FailedInput
from vz_beam.combine.survey import NOT_KNOWN, Survey
from vz_beam.errors import HolesError, UnsupportedError
from vz_beam.manifests.fill_choice import missing_values, same_value
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.patterns.keys import Key

_MOST_NAMED = 10


def numbers_in_use(survey: Survey, holes: str) -> dict[str, NDArray[np.int64]]:
    """int64[numbers], ascending, along each dimension of the pattern: those that get a place.

    With ``holes="missing"`` all that the pattern has. Otherwise those that inputs have, which must make a full
    product: numbers of which every input failed are left out, the dimension closes up, and its coordinate tells.

    Raises:
        HolesError: inputs are absent, and that is not allowed.
    """
    arrived = np.concatenate([one.numbers for one in survey.alike])
    numbers = {dim: np.unique(arrived[:, axis]) for axis, dim in enumerate(survey.dims)}
    if holes == "missing":
        return {**numbers, **{dim: np.arange(survey.size(dim)) for dim in survey.concat_dims}}
    gathered = survey.gathered
    sizes = [survey.size(dim) for dim in survey.dims]
    absent: Iterable[tuple[int, ...]] = ()
    if len(gathered.inputs.keys() | gathered.failed.keys()) < math.prod(sizes):
        expected = itertools.product(*map(range, sizes))
        absent = (place for place in expected if place not in gathered.inputs and place not in gathered.failed)
    elif len(gathered.inputs) < math.prod(map(len, numbers.values())):
        expected = itertools.product(*(found.tolist() for found in numbers.values()))
        absent = (place for place in expected if place not in gathered.inputs)
    listed = list(absent)
    if listed:
        raise HolesError(
            f"{len(listed)} of the pattern's inputs are absent:\n"
            + "\n".join(f"  * {_described(survey, place)}" for place in listed[:_MOST_NAMED])
            + '\nWay out: give the files, leave their keys out of the pattern, or have them missing (holes="missing")'
        )
    return numbers


def note_of_absent_inputs(survey: Survey, numbers: Mapping[str, NDArray[np.int64]]) -> list[str]:
    """What the user should know of inputs that are missing; nothing where all are there."""
    count = math.prod(map(len, numbers.values())) - len(survey.gathered.inputs)
    if count <= 0:
        return []
    absent = itertools.islice(_absent_places(survey, numbers), _MOST_NAMED)
    named = "; ".join(_described(survey, place) for place in absent)
    return [f"{count} of the pattern's inputs are absent and read as missing: {named}{' ...' * (count > _MOST_NAMED)}"]


def open_holes(
    survey: Survey, numbers: Mapping[str, NDArray[np.int64]], starts: Mapping[str, NDArray[np.int64]]
) -> tuple[Hole, ...]:
    """The places that no input gives, in the pattern's order, where they have the same limits in all groups.

    Args:
        survey: of all inputs, whose lengths are complete.
        numbers: those that have a place, along each dimension of the pattern.
        starts: as of :class:`vz_beam.combine.layout.Layout`.
    """
    limits: dict[str, dict[int, tuple[int, int]]] = {}
    found = []
    for place in _absent_places(survey, numbers):
        for dim, number in zip(survey.dims, place, strict=True):
            if dim in survey.concat_dims and number not in limits.setdefault(dim, {}):
                limits[dim][number] = _limits(survey, starts, dim, number)
        ranges = tuple(
            (dim, limits[dim][number]) for dim, number in zip(survey.dims, place, strict=True) if dim in limits
        )
        if all(stop > start for _, (start, stop) in ranges):
            failure = survey.gathered.failed.get(place)
            keys = tuple((position.dimension, position.key) for position in survey.gathered.index_of(place).positions)
            found.append(Hole(failure.url if isinstance(failure, FailedInput) else "", keys, ranges))
    return tuple(found)


def _limits(survey: Survey, starts: Mapping[str, NDArray[np.int64]], dim: str, number: int) -> tuple[int, int]:
    """Start and stop of a number along a dimension, elements; (0, 0) where groups differ in them."""
    found = set()
    for path, known in starts.items():
        group, _, name = path.rpartition("/")
        if name == dim:
            length = 1 if (group, dim) not in survey.lengths else int(survey.lengths[group, dim][number])
            found.add((int(known[number]), int(known[number]) + length))
    return found.pop() if len(found) == 1 else (0, 0)


def _absent_places(survey: Survey, numbers: Mapping[str, NDArray[np.int64]]) -> Iterator[tuple[int, ...]]:
    if len(survey.gathered.inputs) < math.prod(map(len, numbers.values())):
        for place in itertools.product(*(found.tolist() for found in numbers.values())):
            if place not in survey.gathered.inputs:
                yield place


def complete_lengths(survey: Survey, numbers: Mapping[str, NDArray[np.int64]]) -> None:
    """Give numbers of which no input tells the length that of the others, where these have one.

    The last input may be shorter or longer than the others, as it is in a running series.

    Raises:
        HolesError: lengths that differ.
    """
    for (group, dim), lengths in survey.lengths.items():
        if dim not in numbers or survey.axis(dim) is None:
            continue
        unknown = numbers[dim][lengths[numbers[dim]] == NOT_KNOWN]
        known = numbers[dim][lengths[numbers[dim]] != NOT_KNOWN]
        if not len(unknown):
            continue
        telling = known[:-1] if len(known) > 1 and unknown[-1] < known[-1] else known
        found = np.unique(lengths[telling])
        if len(found) > 1:
            examples = [int(known[lengths[known] == length][0]) for length in found[:2]]
            told = " and ".join(f"{lengths[n]} in {survey.witness_of_length(group, dim, n).label}" for n in examples)
            raise HolesError(
                f"how long the absent input {dim}={int(unknown[0])} is along {dim!r} is not known, since others "
                f"differ: {told}. Way out: give the file, or leave its key out of the pattern"
            )
        lengths[unknown] = found[0]


def arrays_with_holes(survey: Survey, numbers: Mapping[str, NDArray[np.int64]]) -> set[str]:
    """Paths of the variables of which some place is given by no input."""
    axes: dict[str, tuple[int, ...]] = {}
    given: dict[str, list[NDArray[np.int64]]] = {}
    for one in survey.alike:
        for form in survey.variables(one):
            own = survey.own_axes(form)
            axes[form.path] = own
            given.setdefault(form.path, []).append(np.unique(one.numbers[:, own], axis=0))
    found = set()
    for path, parts in given.items():
        expected = math.prod(len(numbers[survey.dims[axis]]) for axis in axes[path])
        if len(np.unique(np.concatenate(parts), axis=0)) < expected:
            found.add(path)
    return found


def layout_with_holes(path: str, metadata: ArrayMetadata, fill_values: Mapping[str, Any]) -> ArrayLayout:
    """A virtual array whose missing chunks read as missing data.

    A chunk that was never written reads as the storage fill of its file, which may be a value: where that is another
    one, such chunks are written as they read, since one array has one fill.

    Raises:
        HolesError: nothing reads as missing in this array, or the storage fill cannot be written.
    """
    choices = missing_values(metadata)
    if path in fill_values and "_FillValue" not in metadata.attributes:
        choices = [np.asarray(fill_values[path]).astype(metadata.dtype)[()]]
    if not choices:
        raise HolesError(
            f"parts of {path!r} are missing, and nothing of its type {metadata.dtype} reads as missing: there is no "
            "attribute _FillValue. Way out: name a value that the data do not have "
            f"(fill_values={{{path!r}: ...}}), or drop the variable (drop_variables=[{path!r}])"
        )
    attributes = dict(metadata.attributes)
    if "_FillValue" not in attributes and metadata.dtype.kind not in "Mm":
        attributes["_FillValue"] = choices[0].item()
    holey = replace(metadata, fill_value=choices[0], attributes=attributes)
    if metadata.fill_value is None or same_value(choices[0], metadata.fill_value):
        return ArrayLayout(holey)
    try:
        return ArrayLayout(holey, unwritten=full_chunk(metadata))
    except UnsupportedError as error:
        raise HolesError(
            f"parts of {path!r} are missing, and chunks that were never written read as {metadata.fill_value!r}, which "
            f"one array cannot tell apart unless these are written, and that cannot be done: {error}. "
            f"Way out: drop the variable (drop_variables=[{path!r}])"
        ) from error


def layout_ready_for_holes(path: str, metadata: ArrayMetadata, fill_values: Mapping[str, Any]) -> ArrayLayout:
    """As :func:`layout_with_holes`, so that a later part of a store may have holes; as it is where that cannot be."""
    try:
        return layout_with_holes(path, metadata, fill_values)
    except HolesError:
        return ArrayLayout(metadata)


def missing_piece(path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values that read as missing, for a loaded variable.

    Raises:
        HolesError: a type that has none.
    """
    if dtype.kind in "fc":
        return np.full(shape, np.nan, dtype)
    if dtype.kind in "Mm":
        return np.full(shape, np.array("NaT", dtype), dtype)
    if dtype.kind in "OU":
        return np.full(shape, "", object)
    raise HolesError(
        f"the loaded variable {path!r} has no value for an absent input, and {dtype} none that reads as missing. "
        f"Way out: give the file, leave {path!r} virtual, drop it (drop_variables=[{path!r}]), or key the pattern by "
        "its values"
    )


def from_keys(
    keys: Mapping[int, Key], pieces: Mapping[int, NDArray[Any]], absent: Iterable[int]
) -> dict[int, NDArray[Any]]:
    """Values of a dimension coordinate for absent numbers, from their keys.

    Only where all inputs that are there stand to their keys in one and the same way: day 3 of a series of which each
    file begins with the day of its key, and goes on as the others do.

    >>> from_keys({0: 10, 1: 20, 2: 30}, {0: np.array([10, 15]), 2: np.array([30, 35])}, [1])
    {1: array([20, 25])}
    """
    offsets: NDArray[Any] | None = None
    for number, values in pieces.items():
        key = _as_value(keys.get(number), values.dtype)
        if key is None:
            return {}
        here = values - key
        if offsets is not None and (here.shape != offsets.shape or (here != offsets).any()):
            return {}
        offsets = here
    found = {}
    for number in absent:
        key = None if offsets is None else _as_value(keys.get(number), next(iter(pieces.values())).dtype)
        if key is not None and offsets is not None:
            found[number] = np.asarray(key + offsets)
    return found


def _as_value(key: Key, dtype: np.dtype[Any]) -> Any:
    """The key as a value of ``dtype``; ``None`` where it is of another kind."""
    if isinstance(key, np.datetime64):
        return key if dtype.kind == "M" else None
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return key if dtype.kind in "iuf" else None
    return None


def _described(survey: Survey, place: tuple[int, ...]) -> str:
    if (failure := survey.gathered.failed.get(place)) is not None:
        return str(failure)
    told = []
    for dim, number in zip(survey.dims, place, strict=True):
        key = survey.gathered.keys.get(dim, {}).get(number)
        told.append(f"{dim}={number}" if key is None else f"{dim}={number} ({key})")
    return ", ".join(told)
