"""The arrays of the combined dataset, of inputs that agree: order, sizes, chunk grids, loaded values, attributes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from vz_beam.combine.accumulator import Representative
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.grids import common_chunk_shape, cutting
from vz_beam.combine.holes import (
    arrays_with_holes,
    from_keys,
    layout_ready_for_holes,
    layout_with_holes,
    missing_piece,
)
from vz_beam.combine.layout import ArrayLayout
from vz_beam.combine.loaded import encode_values, join_arrays
from vz_beam.combine.own_grids import OwnGrid, own_grid, partial_chunks
from vz_beam.combine.positions import Series, check_positions
from vz_beam.combine.schema import join_path
from vz_beam.combine.survey import Survey
from vz_beam.combine.variants import Majority, majority, stored_variants, unwritable, with_packing
from vz_beam.errors import CombineError

MOST_TOLD = 3
"""Reasons why an array is rewritten that a summary tells."""


class LayoutPlanner:
    """One planning pass: the order of numbers along each dimension, and what follows from it."""

    def __init__(self, survey: Survey, numbers: Mapping[str, NDArray[np.int64]], choices: CombineChoices) -> None:
        self.survey = survey
        self.gathered = survey.gathered
        self.new_dims = survey.new_dims
        self.known = dict(survey.representatives)
        self.choices = choices
        self.notes: list[str] = []
        self.with_holes: set[str] = set()
        """Paths of arrays of which no input gives some part."""
        if "missing" in choices.holes or choices.variables == "union":
            self.with_holes = arrays_with_holes(survey, numbers)
        self.order: dict[str, NDArray[np.int64]] = {}
        """Numbers along each concatenated dimension, in the order of their places."""
        for dim in survey.concat_dims:
            found = numbers[dim]
            self.order[dim] = self._by_coordinate(dim, found) if choices.order_by == "coordinate" else found
        self.odd: list[str] = []
        """Problems that were found on the way."""
        self.grids: dict[str, OwnGrid] = self._own_grids() if choices.chunk_grid == "rectilinear" else {}
        """The grids of the arrays whose inputs keep their chunks, whatever their lengths, by path."""
        self.cut = self._cut_chunks()
        """Chunk shapes of the arrays whose inputs' chunks are cut, by path."""
        self.majorities: dict[str, Majority] = self._majorities() if choices.mismatch == "rewrite" else {}
        """How most inputs store the arrays of which some chunks are written anew, by path."""
        self.ranks = {dim: _inverse(order, survey.size(dim)) for dim, order in self.order.items()}

    def _by_coordinate(self, dim: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        axis = self.survey.dims.index(dim)
        firsts: dict[int, Any] = {}
        for own, values in self.survey.values.get(dim, {}).items():
            array = values.array()
            if own[axis] >= 0 and array.size:
                firsts[own[axis]] = array.min()
        if missing := [number for number in numbers.tolist() if number not in firsts]:
            raise CombineError(
                f"order_by='coordinate' needs a loaded coordinate {dim!r} in every file, and input {dim}={missing[0]} "
                f"has none: load it (loadable_variables=[{dim!r}]), or order by index"
            )
        return np.array(sorted(numbers.tolist(), key=firsts.__getitem__), np.int64)

    def _own_grids(self) -> dict[str, OwnGrid]:
        found = {}
        for path, known in self.known.items():
            rewrites = self.choices.mismatch == "rewrite"
            if known.metadata is None or (rewrites and len(stored_variants(self.survey, path, ["chunk shape"])) > 1):
                continue
            grid = own_grid(self.survey, path, known.dims, self.order)
            if grid.problems and (rewrites or path in self.survey.cuttable):
                continue
            self.odd += grid.problems
            found[path] = grid
        return found

    def _cut_chunks(self) -> dict[str, tuple[int, ...]]:
        found = {}
        for path in sorted(self.survey.cuttable - self.grids.keys()):
            if self.choices.mismatch == "rewrite" and len(stored_variants(self.survey, path, ["chunk shape"])) > 1:
                continue
            known = self.known[path]
            assert known.metadata is not None
            common = common_chunk_shape(self.survey, path, known.metadata, known.dims, self.order)
            own = self.survey.chunk_shapes(path)
            if own.keys() == {common}:
                continue
            shape = tuple(self.total(path.rpartition("/")[0], dim) for dim in known.dims)
            told = cutting(path, own, common, shape, known.metadata.dtype.itemsize)
            if told.is_too_fine and self.choices.mismatch == "rewrite":
                continue
            if told.is_too_fine:
                self.odd.append(told.text)
            else:
                self.notes.append(told.text)
            found[path] = common
        return found

    def _majorities(self) -> dict[str, Majority]:
        found = {}
        for path, known in self.known.items():
            if known.metadata is None or path in self.cut or path in self.grids:
                continue
            most = majority(self.survey, path)
            self.known[path] = known._replace(metadata=most.metadata)
            uneven = self._partial_chunks(path)
            if not most.rewriting.of_input and not uneven:
                continue
            found[path] = most
            reasons = [*most.why, *uneven]
            self.odd += unwritable(path, most, reasons)
            count = len(most.rewriting.of_input)
            if count:
                self.notes.append(
                    f"{path!r} is stored in other ways in {count:,} inputs, whose chunks are written anew"
                )
            self.notes += [f"chunks are written anew, since {why}" for why in reasons[:MOST_TOLD]]
        return found

    def start_arrays(self) -> dict[str, NDArray[np.int64]]:
        """``Layout.starts``."""
        starts = {}
        for dim, order in self.order.items():
            for (group, known), lengths in self.survey.lengths.items():
                if known == dim:
                    starts[join_path(group, dim)] = self._starts(order, np.maximum(lengths, 0))
            if dim in self.new_dims:
                starts[dim] = self._starts(order, np.ones(self.survey.size(dim), np.int64))
        return starts

    def _starts(self, order: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        result = np.full(int(order.max()) + 1, -1, np.int64)
        ordered = lengths[order]
        result[order] = np.cumsum(ordered) - ordered
        return result

    def total(self, group: str, dim: str) -> int:
        """Length of a dimension of the combined dataset, elements."""
        if dim in self.new_dims:
            return len(self.order[dim])
        lengths = self.survey.lengths[group, dim]
        return int(np.maximum(lengths[self.order[dim]], 0).sum() if dim in self.order else lengths[0])

    def gained(self, known: Representative) -> tuple[str, ...]:
        """The new dimensions that a variable gains: data variables all of them, coordinates none."""
        return () if known.is_coordinate else self.new_dims

    def problems(self) -> list[str]:
        """Partial chunks in the middle, and coordinates that overlap or run backwards."""
        found = list(self.odd)
        for path, known in self.known.items():
            name = path.rpartition("/")[2]
            if known.metadata is not None:
                if not any(path in places for places in (self.cut, self.majorities, self.grids)):
                    found += self._partial_chunks(path)
            elif name in known.dims and name in self.order:
                found += self._checked_positions(path, name)
        return found

    def _partial_chunks(self, path: str) -> list[str]:
        known = self.known[path]
        assert known.metadata is not None
        return partial_chunks(self.survey, path, known.dims, known.metadata.chunk_shape, self.order)

    def _checked_positions(self, path: str, dim: str) -> list[str]:
        numbers = self.order[dim]
        series = self._series(path)
        if series is None:
            axis = self.survey.dims.index(dim)
            pieces = {own[axis]: array for own, array in self._pieces(path).items()}
            here = {place: pieces[n] for place, n in enumerate(numbers.tolist()) if _tells(pieces.get(n))}
            series = Series.of_pieces(here)

        def label_of(place: int) -> str:
            held = self.survey.values[path].get(self._place(dim, int(numbers[place])))
            return f"the absent input {dim}={numbers[place]}" if held is None else held.record.label

        check = check_positions(path, dim, series, label_of, overlaps=self.choices.overlaps, gaps=self.choices.gaps)
        self.notes += check.notes
        return check.problems

    def _place(self, dim: str, number: int) -> tuple[int, ...]:
        """The key of what has a number along one dimension and none along the others."""
        return tuple(number if known == dim else -1 for known in self.survey.dims)

    def _series(self, path: str) -> Series | None:
        """The values of a coordinate of one joined dimension, in its order; ``None`` where pieces are not bytes alike.

        Made without an array for each of what may be a million inputs.
        """
        known = self.known[path]
        if len(known.dims) != 1 or known.dims[0] not in self.order or self.gained(known) or path in self.with_holes:
            return None
        (dim,) = known.dims
        values = self.survey.values[path]
        if len(values) != len(self.order[dim]):
            return None
        ordered = [values[self._place(dim, number)] for number in self.order[dim].tolist()]
        if len({held.dtype for held in ordered}) > 1 or not all(isinstance(held.piece, bytes) for held in ordered):
            return None
        sizes = np.fromiter((held.shape[0] for held in ordered), np.int64, len(ordered))
        joined = np.frombuffer(b"".join(held.piece for held in ordered), ordered[0].dtype)  # type: ignore[misc]
        return Series(joined, sizes[sizes > 0], np.flatnonzero(sizes))

    def arrays(self) -> dict[str, ArrayLayout]:
        """``Layout.arrays``, in the order in which the first inputs hold them."""
        known = self.known
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
        attributes = self.survey.attributes[path].result(known.attribute_names, self.choices.attributes)
        if path in self.majorities:
            attributes = with_packing(self.majorities[path], attributes)
        grid = self.grids.get(path)
        chunk_shape = self.cut.get(path, known.metadata.chunk_shape) if grid is None else grid.chunk_shape
        uneven = known.metadata.uneven_chunks if grid is None else grid.uneven
        metadata = replace(
            known.metadata,
            shape=tuple(self.total(group, dim) for dim in dims),
            chunk_shape=(1,) * len(gained) + chunk_shape,
            attributes=attributes,
            dimension_names=dims,
            uneven_chunks={len(gained) + axis: chunks for axis, chunks in uneven.items()},
        )
        array = ArrayLayout(metadata)
        if path in self.with_holes:
            array = layout_with_holes(path, metadata, self.choices.fill_values)
        elif self.choices.holes == "missing" and not self.order.keys().isdisjoint(dims):
            array = layout_ready_for_holes(path, metadata, self.choices.fill_values)
        rewriting = None
        if path in self.majorities:
            rewriting = replace(self.majorities[path].rewriting, has_holes=path in self.with_holes)
        placed_by = self._placed_by(known, dims)
        substitutes: frozenset[tuple[int, ...]] = frozenset()
        if placed_by and (self.choices.holes == "missing" or self.choices.variables == "union"):
            substitutes = self.survey.substitutes(path, placed_by)
        references = None
        if path not in self.cut and rewriting is None:
            whole = array.unwritten is not None
            references = self.survey.references(path, placed_by, substitutes, whole=whole)
        return replace(
            array,
            placed_by=placed_by,
            substitutes=substitutes,
            is_cut=path in self.cut,
            rewriting=rewriting,
            references=references,
        )

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
        if (series := self._series(path)) is not None:
            array, joined_dims = series.values, dims
        else:
            array, joined_dims = self._joined(path, known, dims)
        joined = xr.Variable(joined_dims, array, encoding=dict(known.encoding)).transpose(*dims)
        joined.attrs = self.survey.attributes[path].result(known.attribute_names, self.choices.attributes)
        metadata, chunks, used = encode_values(path, joined, clocks.get(time) if time else None)
        clocks[path] = used
        return ArrayLayout(metadata, chunks, is_loaded=True)

    def _joined(self, path: str, known: Representative, dims: tuple[str, ...]) -> tuple[NDArray[Any], tuple[str, ...]]:
        pieces: dict[tuple[int, ...], NDArray[Any]] = {}
        for own, values in self._pieces(path).items():
            key = tuple(
                int(self.ranks[dim][number]) if dim in dims and number >= 0 else 0
                for dim, number in zip(self.survey.dims, own, strict=True)
            )
            pieces.setdefault(key, values)
        return join_arrays(pieces, [dim if dim in dims else None for dim in self.survey.dims], known.dims)

    def _pieces(self, path: str) -> dict[tuple[int, ...], NDArray[Any]]:
        """Loaded values by their numbers along the dimensions that are joined, -1 for the others; absent ones too."""
        pieces = {own: values.array() for own, values in self.survey.values[path].items()}
        if path not in self.with_holes:
            return pieces
        known, (group, _, name) = self.known[path], path.rpartition("/")
        dims = set(known.dims) | set(self.gained(known))
        axes = [self.order[dim].tolist() if dim in dims and dim in self.order else [-1] for dim in self.survey.dims]
        absent = [own for own in itertools.product(*axes) if own not in pieces]
        if name in self.order and known.dims == (name,):
            axis = self.survey.dims.index(name)
            by_number = {own[axis]: values for own, values in pieces.items()}
            found = from_keys(self.gathered.keys.get(name, {}), by_number, [own[axis] for own in absent])
            pieces |= {own: found[own[axis]] for own in absent if own[axis] in found}
            absent = [own for own in absent if own not in pieces]
            if absent:
                self.notes.append(f"coordinate {path!r} has no values for {len(absent)} absent inputs")
        dtype = np.result_type(*{values.dtype for values in pieces.values()})
        for own in absent:
            numbers = dict(zip(self.survey.dims, own, strict=True))
            shape = tuple(self._length(group, dim, numbers.get(dim, -1)) for dim in known.dims)
            pieces[own] = missing_piece(path, shape, dtype)
        return pieces

    def _length(self, group: str, dim: str, number: int) -> int:
        lengths = self.survey.lengths[group, dim]
        return int(lengths[number] if dim in self.order else lengths[0])

    def _bounds_of_loaded_times(self) -> dict[str, str]:
        """Path of the time coordinate by path of its bounds variable."""
        found = {}
        for path, known in self.known.items():
            attributes = self.survey.attributes[path].result((), {})
            for name in (attributes.get("bounds"), attributes.get("climatology")):
                bounds = join_path(path.rpartition("/")[0], str(name))
                if known.metadata is None and bounds in self.known and bounds != path:
                    found[bounds] = path
        return found

    def _keep_clock(
        self, encoded: dict[str, ArrayLayout], bounds: str, time: str, clocks: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Virtual bounds hold raw numbers in their files' units of time: say so where the joined time has others."""
        array = encoded[bounds]
        if array.is_loaded or "units" in array.metadata.attributes or not clocks.get(time):
            return
        original = self.known[time].encoding
        units = {key: original[key] for key in ("units", "calendar") if key in original}
        if units != {key: clocks[time].get(key) for key in units}:
            metadata = replace(array.metadata, attributes={**array.metadata.attributes, **units})
            encoded[bounds] = replace(array, metadata=metadata)

    def _key_coordinate(self, dim: str) -> ArrayLayout | None:
        keys = self.gathered.keys.get(dim, {})
        ordered = [keys.get(number) for number in self.order[dim].tolist()]
        if any(key is None for key in ordered):
            return None
        values = np.array(ordered)
        metadata, chunks, _ = encode_values(dim, xr.Variable((dim,), values))
        return ArrayLayout(metadata, chunks, is_loaded=True)


def _tells(values: NDArray[Any] | None) -> bool:
    """Whether values of a coordinate say where they belong; those of absent inputs may not."""
    return values is not None and not (values.size and values.dtype.kind in "fmM" and bool((values != values).all()))


def _inverse(order: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """int64[size]: place of each number in ``order``, -1 for those that are not in it."""
    ranks = np.full(size, -1, np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
