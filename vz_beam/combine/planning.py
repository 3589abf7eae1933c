"""From what all inputs say to one layout: agreement first, then order, sizes and loaded values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vz_beam.combine.accumulator import Representative, SchemaAccumulator, first_witness
from vz_beam.combine.agreement import disagreements
from vz_beam.combine.layout import CHUNKS_PER_SHARD, ArrayLayout, Layout
from vz_beam.combine.loaded import check_positions, encode_values, join_values
from vz_beam.combine.schema import join_path
from vz_beam.combine.skipped import one_line, skipped_variables
from vz_beam.errors import CombineError, HolesError, MismatchError
from vz_beam.manifests.metadata import Attributes


def plan_layout(
    gathered: SchemaAccumulator,
    *,
    chunks_per_shard: int = CHUNKS_PER_SHARD,
    order_by: str = "index",
) -> Layout:
    """The plan of the combined dataset.

    Args:
        gathered: the schemas of all inputs.
        chunks_per_shard: chunks of an array in one shard.
        order_by: ``"index"``, the order of the pattern, or ``"coordinate"``, the order of the values of each
            concatenated dimension's coordinate.

    Raises:
        MismatchError: inputs that disagree; every disagreement with both files and both values.
        HolesError: inputs that the pattern promises and that did not arrive.
        CombineError: no input at all, or none with a variable that was not skipped.
    """
    if not gathered.present:
        failures = [gathered.failed[key] for key in sorted(gathered.failed)]
        why = f"all {len(failures)} failed: {'; '.join(failures[:3])}" if failures else "the pattern is empty"
        raise CombineError(f"there is no input to combine, {why}")
    if gathered.skipped and not gathered.representatives:
        found = skipped_variables(gathered.first_skipped())
        variables = "; ".join(f"{one.path!r} (such as in {one.url}): {one_line(one.reason)}" for one in found)
        raise CombineError(
            f"there is nothing to combine, every variable of the inputs was skipped: {variables}. "
            "Way out: leave these files out"
        )
    numbers = _complete_numbers(gathered)
    if problems := disagreements(gathered):
        raise MismatchError(tuple(problems))
    planner = _Planner(gathered, numbers, order_by)
    if problems := planner.problems():
        raise MismatchError(tuple(problems))
    arrays = planner.arrays()
    return Layout(
        arrays=arrays,
        groups=_group_attributes(gathered, arrays),
        starts=planner.start_arrays(),
        new_dims=planner.new_dims,
        chunks_per_shard=chunks_per_shard,
        inputs=len(gathered.present),
        failed=tuple(gathered.failed[key] for key in sorted(gathered.failed)),
        notes=tuple(sorted(planner.notes)),
    )


def _complete_numbers(gathered: SchemaAccumulator) -> dict[str, list[int]]:
    """The numbers along each dimension that inputs have, where these make a full product.

    Numbers of which every input failed are left out: the dimension closes up, and its coordinate tells.
    """
    dims = list(gathered.operations)
    present = gathered.present.keys()
    numbers = {dim: sorted({place[axis] for place in present}) for axis, dim in enumerate(dims)}
    absent = [place for place in itertools.product(*numbers.values()) if place not in gathered.present]
    known = present | gathered.failed.keys()
    sizes = [gathered.sizes[dim] or max(place[axis] for place in known) + 1 for axis, dim in enumerate(dims)]
    if len(known) < math.prod(sizes):
        absent = [place for place in itertools.product(*map(range, sizes)) if place not in known]
    if absent:
        listed = [
            gathered.failed.get(place) or ", ".join(f"{dim}={n}" for dim, n in zip(dims, place, strict=True))
            for place in absent[:10]
        ]
        raise HolesError(
            f"{len(absent)} of the pattern's inputs are absent:\n"
            + "\n".join(f"  * {text}" for text in listed)
            + "\nWay out: give the files, or leave their keys out of the pattern"
        )
    return numbers


class _Planner:
    """One planning pass: the ranks of numbers, and what follows from them."""

    def __init__(self, gathered: SchemaAccumulator, numbers: Mapping[str, list[int]], order_by: str) -> None:
        self.gathered = gathered
        dims_of_files = {dim for _, dim in gathered.lengths}
        self.concat_dims = [dim for dim, operation in gathered.operations.items() if operation == "concat"]
        self.new_dims = tuple(dim for dim in self.concat_dims if dim not in dims_of_files)
        self.notes: list[str] = []
        self.ranks: dict[str, dict[int, int]] = {}
        for dim in self.concat_dims:
            order = list(numbers[dim])
            if order_by == "coordinate":
                order = self._by_coordinate(dim, order)
            self.ranks[dim] = {number: rank for rank, number in enumerate(order)}
        self.lengths = {
            (group, dim): {number: int(first_witness(variants)) for number, variants in by_number.items()}
            for (group, dim), by_number in gathered.lengths.items()
        }

    def _by_coordinate(self, dim: str, order: list[int]) -> list[int]:
        axis = list(self.gathered.operations).index(dim)
        firsts: dict[int, Any] = {}
        for own, variants in self.gathered.values.get(dim, {}).items():
            _, loaded = next(iter(variants.values()))
            values = loaded.variable.values
            if own[axis] >= 0 and values.size:
                firsts[own[axis]] = values.min()
        if missing := [number for number in order if number not in firsts]:
            raise CombineError(
                f"order_by='coordinate' needs a loaded coordinate {dim!r} in every file, and input {dim}={missing[0]} "
                f"has none: load it (loadable_variables=[{dim!r}]), or order by index"
            )
        return sorted(order, key=lambda number: firsts[number])

    def start_arrays(self) -> dict[str, NDArray[np.int64]]:
        """``Layout.starts``."""
        starts = {}
        for dim in self.concat_dims:
            ranks = self.ranks[dim]
            for group, known in self.lengths:
                if known == dim:
                    starts[join_path(group, dim)] = self._starts(ranks, self.lengths[group, dim])
            if dim in self.new_dims:
                starts[dim] = self._starts(ranks, dict.fromkeys(ranks, 1))
        return starts

    def _starts(self, ranks: Mapping[int, int], lengths: Mapping[int, int]) -> NDArray[np.int64]:
        result = np.full(max(ranks) + 1, -1, np.int64)
        position = 0
        for number in sorted(ranks, key=ranks.__getitem__):
            result[number] = position
            position += lengths.get(number, 0)
        return result

    def total(self, group: str, dim: str) -> int:
        """Length of a dimension of the combined dataset, elements."""
        if dim in self.new_dims:
            return len(self.ranks[dim])
        lengths = self.lengths[group, dim]
        if dim in self.ranks:
            return sum(lengths.get(number, 0) for number in self.ranks[dim])
        return lengths[-1]

    def gained(self, known: Representative) -> tuple[str, ...]:
        """The new dimensions that a variable gains: data variables all of them, coordinates none."""
        return () if known.is_coordinate else self.new_dims

    def problems(self) -> list[str]:
        """Partial chunks in the middle, and coordinates that overlap or run backwards."""
        found = []
        for path, known in self.gathered.representatives.items():
            group = path.rpartition("/")[0]
            for axis, dim in enumerate(known.dims):
                if dim not in self.ranks:
                    continue
                if known.metadata is not None:
                    found += self._partial_chunks(path, group, dim, known.metadata.chunk_shape[axis])
                elif path.rpartition("/")[2] == dim:
                    check = check_positions(path, dim, self._ordered_pieces(path, dim))
                    found += check.problems
                    self.notes += check.notes
        return found

    def _partial_chunks(self, path: str, group: str, dim: str, chunk: int) -> list[str]:
        by_number = self.gathered.lengths[group, dim]
        order = sorted((n for n in by_number if n in self.ranks[dim]), key=self.ranks[dim].__getitem__)
        filled = [n for n in order if self.lengths[group, dim][n]]
        found = []
        for number in filled[:-1]:
            ((length, witness),) = by_number[number].items()
            if length % chunk:
                follower = next(iter(by_number[filled[filled.index(number) + 1]].values()))
                found.append(
                    f"{path!r} would have a partial chunk in the middle of {dim!r}: {length} elements in chunks of "
                    f"{chunk} in {witness.label}, followed by {follower.label}"
                )
        return found[:20]

    def _ordered_pieces(self, path: str, dim: str) -> list[tuple[str, xr.Variable]]:
        axis = list(self.gathered.operations).index(dim)
        pieces: dict[int, tuple[str, xr.Variable]] = {}
        for own, variants in self.gathered.values[path].items():
            witness, loaded = next(iter(variants.values()))
            pieces.setdefault(own[axis], (witness.label, loaded.variable))
        return [pieces[number] for number in sorted(pieces, key=self.ranks[dim].__getitem__)]

    def arrays(self) -> dict[str, ArrayLayout]:
        """``Layout.arrays``, in the order in which the first inputs hold them."""
        known = self.gathered.representatives
        paths = sorted(known, key=lambda path: (known[path].witness, known[path].order))
        clocks: dict[str, dict[str, Any]] = {}
        encoded: dict[str, ArrayLayout] = {}
        bounds_of = self._bounds_of_loaded_times()
        for path in sorted(paths, key=lambda path: path in bounds_of):
            if known[path].metadata is None:
                encoded[path] = self._loaded_array(path, known[path], clocks, bounds_of.get(path))
            else:
                encoded[path] = self._virtual_array(path, known[path])
        for bounds, time in bounds_of.items():
            self._keep_clock(encoded, bounds, time, clocks)
        result = {path: encoded[path] for path in paths}
        for dim in self.new_dims:
            if dim not in result and (coordinate := self._key_coordinate(dim)) is not None:
                result[dim] = coordinate
        return result

    def _virtual_array(self, path: str, known: Representative) -> ArrayLayout:
        assert known.metadata is not None
        group = path.rpartition("/")[0]
        gained = self.gained(known)
        dims = (*gained, *known.dims)
        metadata = replace(
            known.metadata,
            shape=tuple(self.total(group, dim) for dim in dims),
            chunk_shape=(1,) * len(gained) + known.metadata.chunk_shape,
            attributes=self.gathered.attributes[path].result(known.attribute_names),
            dimension_names=dims,
        )
        return ArrayLayout(metadata, placed_by=self._placed_by(known, dims))

    def _placed_by(self, known: Representative, dims: tuple[str, ...]) -> dict[str, int]:
        return {
            dim: number
            for dim, number in zip(self.gathered.operations, known.witness.numbers, strict=True)
            if dim not in dims
        }

    def _loaded_array(
        self, path: str, known: Representative, clocks: dict[str, dict[str, Any]], time: str | None
    ) -> ArrayLayout:
        dims = (*self.gained(known), *known.dims)
        axes = list(self.gathered.operations)
        pieces: dict[tuple[int, ...], xr.Variable] = {}
        for own, variants in sorted(self.gathered.values[path].items()):
            _, loaded = next(iter(variants.values()))
            key = tuple(self.ranks[d][n] if d in dims and n >= 0 else 0 for d, n in zip(axes, own, strict=True))
            pieces.setdefault(key, loaded.variable)
        joined = join_values(pieces, [dim if dim in dims else None for dim in axes])
        joined = joined.transpose(*dims)
        joined.attrs = self.gathered.attributes[path].result(known.attribute_names)
        metadata, chunks, used = encode_values(path, joined, clocks.get(time) if time else None)
        clocks[path] = used
        return ArrayLayout(metadata, chunks, is_loaded=True)

    def _bounds_of_loaded_times(self) -> dict[str, str]:
        """Path of the time coordinate by path of its bounds variable."""
        found = {}
        for path, known in self.gathered.representatives.items():
            attributes = self.gathered.attributes[path].values
            for name in (attributes.get("bounds"), attributes.get("climatology")):
                bounds = join_path(path.rpartition("/")[0], str(name))
                if known.metadata is None and bounds in self.gathered.representatives and bounds != path:
                    found[bounds] = path
        return found

    def _keep_clock(
        self, encoded: dict[str, ArrayLayout], bounds: str, time: str, clocks: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Virtual bounds hold raw numbers in their files' units of time: say so where the joined time has others."""
        array = encoded[bounds]
        if array.is_loaded or "units" in array.metadata.attributes or not clocks.get(time):
            return
        original = next(iter(next(iter(self.gathered.values[time].values())).values()))[1].variable.encoding
        units = {key: original[key] for key in ("units", "calendar") if key in original}
        if units != {key: clocks[time].get(key) for key in units}:
            metadata = replace(array.metadata, attributes={**array.metadata.attributes, **units})
            encoded[bounds] = replace(array, metadata=metadata)

    def _key_coordinate(self, dim: str) -> ArrayLayout | None:
        keys = self.gathered.keys.get(dim, {})
        ordered = [keys.get(number) for number in sorted(self.ranks[dim], key=self.ranks[dim].__getitem__)]
        if any(key is None for key in ordered):
            return None
        values = np.array(ordered)
        metadata, chunks, _ = encode_values(dim, xr.Variable((dim,), values))
        return ArrayLayout(metadata, chunks, is_loaded=True)


def _group_attributes(gathered: SchemaAccumulator, arrays: Mapping[str, ArrayLayout]) -> dict[str, Attributes]:
    """Attributes by group; coordinates that no variable's attribute names are named by their group's."""
    groups: dict[str, Attributes] = {}
    for path in sorted(key.removesuffix("/") for key in gathered.attributes if key.endswith("/")):
        attributes = gathered.attributes[f"{path}/"].result(())
        named: set[str] = set()
        coordinates = []
        for array_path, array in arrays.items():
            group, _, name = array_path.rpartition("/")
            if group == path:
                named.update(str(array.metadata.attributes.get("coordinates", "")).split())
                known = gathered.representatives.get(array_path)
                if known is not None and known.is_coordinate and name not in known.dims:
                    coordinates.append(name)
        if unnamed := [name for name in coordinates if name not in named]:
            attributes["coordinates"] = " ".join([*str(attributes.get("coordinates", "")).split(), *unnamed])
        groups[path] = attributes
    return groups
