"""What the records of all inputs say together, found in one pass over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.accumulator import (
    Form,
    InputRecord,
    Piece,
    Representative,
    SchemaAccumulator,
    VariableForm,
    unpacked,
)
from vz_beam.combine.attributes import PACKING, AttributeUnion
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.schema import STORED, Facts
from vz_beam.combine.witness import Witness
from vz_beam.manifests.chunk_selection import are_bytes_elements

NOT_KNOWN = -1
"""A length that no input tells."""

REWRITABLE = STORED | {f"attribute {name}" for name in PACKING}
"""What inputs need not agree on where chunks may be written anew."""


class Values(NamedTuple):
    """Loaded values of one variable in one input."""

    record: InputRecord
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    piece: Piece

    def array(self) -> NDArray[Any]:
        """The values themselves."""
        return unpacked(self.piece, self.dtype, self.shape)


class LengthClash(NamedTuple):
    """Inputs that give one dimension different lengths: at ``number`` of it, or -1 where it is not the pattern's."""

    group: str
    dim: str
    number: int
    lengths: Mapping[int, Witness]


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """The inputs that have the same variables of the same shapes, and the same values of those that are not joined.

    Args:
        first: in the pattern's order.
        numbers: int64[inputs, dimensions], ascending.
        constants: loaded values of the variables without a concatenated dimension, by path.
    """

    first: InputRecord
    numbers: NDArray[np.int64]
    constants: Mapping[str, Values]

    @property
    def form(self) -> Form:
        """Their variables."""
        return self.first.form


class Survey:
    """What is the same in all inputs, and where they differ.

    Args:
        gathered: the records of all inputs.
        choices: which differences there may be. With ``variables="intersection"`` variables that only some inputs have
            are left out of everything that is said here.

    Attributes:
        dims: the pattern's dimensions.
        concat_dims: those that are joined end to end.
        new_dims: those of them that no file has.
        alike: the inputs in classes of the same variables and shapes, in the order of their first ones.
        facts: variants of what inputs must agree on, by variable, with the first input of each.
        lengths: int64[numbers], elements, by group and dimension: of each number, or of number 0 alone where the
            dimension is not the pattern's.
        clashes: where lengths differ.
        values: loaded values by variable, then by their numbers along the dimensions that it has or gains, -1 for the
            others; those of the first input that has them.
        left_out: paths of the variables that are left out.
        representatives: each variable as the first input that has it knows it.
        cuttable: paths of the virtual arrays whose chunks can be cut.
        attributes: those of variables by path, and of groups by path with a slash at the end.
        rivals: (path, first, other): pairs of loaded values for one place that are not the same bytes.
    """

    def __init__(self, gathered: SchemaAccumulator, choices: CombineChoices) -> None:
        self.gathered = gathered
        self.choices = choices
        self._counted: dict[tuple[tuple[int, int], ...], list[tuple[InputRecord, int]]] = {}
        self._overridden = frozenset(f"attribute {name}" for name in choices.overridden)
        self.dims = tuple(gathered.operations)
        self.concat_dims = tuple(dim for dim, operation in gathered.operations.items() if operation == "concat")
        self.alike = _classes(gathered)
        self.left_out = frozenset(self._not_common() if choices.variables == "intersection" else ())
        self.representatives: dict[str, Representative] = {}
        self.attributes: dict[str, AttributeUnion] = {}
        self._survey_knowledge()
        self.cuttable = frozenset(
            path
            for path, known in self.representatives.items()
            if known.metadata is not None and not known.metadata.uneven_chunks and are_bytes_elements(known.metadata)
        )
        self.facts: dict[str, dict[Facts, Witness]] = {}
        for one in self.alike:
            for form in self.variables(one):
                self.facts.setdefault(form.path, {}).setdefault(self.facts_of(form), one.first.witness)
        dims_of_files = {dim for one in self.alike for form in self.variables(one) for dim in form.dims}
        self.new_dims = tuple(dim for dim in self.concat_dims if dim not in dims_of_files)
        self.lengths: dict[tuple[str, str], NDArray[np.int64]] = {}
        self.clashes: list[LengthClash] = []
        self._survey_lengths()
        self.values: dict[str, dict[tuple[int, ...], Values]] = {}
        self.rivals: list[tuple[str, Values, Values]] = []
        self._survey_values()

    def variables(self, one: Alike) -> Iterator[VariableForm]:
        """Those of a class of inputs that are not left out."""
        return (form for form in one.form if form.path not in self.left_out)

    def facts_of(self, form: VariableForm) -> Facts:
        """What inputs must agree on: not what can be rewritten, nor the chunk shape where it is free."""
        free = self._overridden
        if self.choices.mismatch == "rewrite" and form.chunk_shape is not None:
            free = free | REWRITABLE
        if form.path in self.cuttable or (self.choices.chunk_grid == "rectilinear" and form.chunk_shape is not None):
            free = free | {"chunk shape"}
        return tuple(fact for fact in form.facts if fact[0] not in free) if free else form.facts

    def chunk_shapes(self, path: str) -> dict[tuple[int, ...], Witness]:
        """The distinct chunk shapes of a virtual array, elements, with the first input of each."""
        found: dict[tuple[int, ...], Witness] = {}
        for one in self.alike:
            for form in one.form:
                if form.path == path and form.chunk_shape is not None:
                    found.setdefault(form.chunk_shape, one.first.witness)
        return found

    def references(
        self,
        path: str,
        placed_by: Mapping[str, int],
        substitutes: Iterable[tuple[int, ...]] = (),
        *,
        whole: bool = False,
    ) -> int:
        """How many references the inputs have for a virtual array.

        Args:
            path: of the array.
            placed_by: numbers of the inputs that count, by dimension.
            substitutes: numbers of others that count as well.
            whole: whether chunks that were never written count too.
        """
        fixed = tuple((self.dims.index(dim), number) for dim, number in placed_by.items())
        if fixed not in self._counted:
            found: dict[tuple[int, int], tuple[InputRecord, int]] = {}
            for record in self.gathered.inputs.values():
                if not fixed or all(record.numbers[axis] == number for axis, number in fixed):
                    key = (id(record.form), id(record.references))  # equal ones are one object
                    first, count = found.get(key, (record, 0))
                    found[key] = (first, count + 1)
            self._counted[fixed] = list(found.values())
        others = ((self.gathered.inputs[numbers], 1) for numbers in substitutes)
        return sum(
            count * (_chunks(form, shape) if whole else references)
            for record, count in (*self._counted[fixed], *others)
            for form, shape, references in zip(record.form, record.shapes, record.references, strict=True)
            if form.path == path
        )

    def substitutes(self, path: str, placed_by: Mapping[str, int]) -> frozenset[tuple[int, ...]]:
        """Numbers of the first inputs of those parts of an array that no input with the numbers ``placed_by`` has."""
        having = [one for one in self.alike if any(form.path == path for form in one.form)]
        rows = np.unique(np.concatenate([one.numbers for one in having]), axis=0)  # in the pattern's order
        fixed = [self.dims.index(dim) for dim in placed_by]
        own = [axis for axis in range(len(self.dims)) if axis not in fixed]
        is_default = (rows[:, fixed] == list(placed_by.values())).all(axis=1)
        order = np.argsort(~is_default, kind="stable")  # those with the numbers first
        _, firsts = np.unique(rows[order][:, own], axis=0, return_index=True)
        return frozenset(tuple(rows[one].tolist()) for one in order[firsts] if not is_default[one])

    def parts(self) -> dict[tuple[int, ...], dict[frozenset[str], Witness]]:
        """The distinct lists of variables of the inputs that are to have the same ones, with the first of each.

        Inputs are to have the same variables where their numbers along all merged dimensions are the same.
        """
        merged = [axis for axis, dim in enumerate(self.dims) if dim not in self.concat_dims]
        found: dict[tuple[int, ...], dict[frozenset[str], Witness]] = {}
        for one in self.alike:
            paths = frozenset(form.path for form in one.form)
            parts, firsts = np.unique(one.numbers[:, merged], axis=0, return_index=True)
            for part, first in zip(parts.tolist(), firsts.tolist(), strict=True):
                witness = self.witness(one, one.numbers[first])
                variants = found.setdefault(tuple(part), {})
                variants[paths] = min(witness, variants.get(paths, witness))
        return found

    def own_axes(self, form: VariableForm) -> tuple[int, ...]:
        """Axes of the pattern along which the variable is joined: the concatenated dimensions that it has or gains."""
        own = set(form.dims) | (set() if form.is_coordinate else set(self.new_dims))
        return tuple(axis for axis, dim in enumerate(self.dims) if dim in own and dim in self.concat_dims)

    def axis(self, dim: str) -> int | None:
        """Place of a concatenated dimension among the pattern's; ``None`` for all other dimensions."""
        return self.dims.index(dim) if dim in self.concat_dims else None

    def size(self, dim: str) -> int:
        """Numbers along a dimension of the pattern, those of failed inputs included."""
        axis = self.dims.index(dim)
        arrived = [int(one.numbers[:, axis].max()) + 1 for one in self.alike]
        failed = [numbers[axis] + 1 for numbers in self.gathered.failed]
        return max([self.gathered.sizes[dim], *arrived, *failed])

    def witness(self, one: Alike, numbers: NDArray[np.int64]) -> Witness:
        """The input of the class ``one`` with these numbers."""
        found = self.gathered.records_at(tuple(numbers.tolist()))
        return next(record.witness for record in found if record.form is one.form)

    def witness_of_length(self, group: str, dim: str, number: int, length: int | None = None) -> Witness:
        """The first input that has ``number`` along ``dim`` and (with that ``length``) the dimension in ``group``."""
        return min(witness for witness, found in self._told(group, dim, number) if length in (None, found))

    def _told(self, group: str, dim: str, number: int) -> Iterator[tuple[Witness, int]]:
        axis = self.axis(dim)
        for one in self.alike:
            for known_group, known_dim, length in self.lengths_in(one):
                if (known_group, known_dim) != (group, dim):
                    continue
                rows = one.numbers if axis is None else one.numbers[one.numbers[:, axis] == number]
                if len(rows):
                    yield self.witness(one, rows[0]), length

    def _survey_knowledge(self) -> None:
        merged: set[int] = set()
        for one in self.alike:
            known = self.gathered.known[one.form]
            for path, found in known.representatives.items():
                if path not in self.representatives and path not in self.left_out:
                    # the first input of the form may be one that is not surveyed
                    self.representatives[path] = found._replace(witness=one.first.witness)
            if id(one.form) not in merged:
                merged.add(id(one.form))
                for path, union in known.attributes.items():
                    self.attributes.setdefault(path, AttributeUnion()).merge(union)

    def lengths_in(self, one: Alike) -> Iterator[tuple[str, str, int]]:
        """(group, dimension, length), each once."""
        seen: dict[tuple[str, str], int] = {}
        for form, shape in zip(one.form, one.first.shapes, strict=True):
            if form.path not in self.left_out:
                group = form.path.rpartition("/")[0]
                seen.update(((group, dim), length) for dim, length in zip(form.dims, shape, strict=True))
        for (group, dim), length in seen.items():
            yield group, dim, length

    def _not_common(self) -> Iterator[str]:
        for variants in self.parts().values():
            lists = list(variants)
            yield from frozenset().union(*lists).difference(frozenset.intersection(*lists))

    def _survey_lengths(self) -> None:
        unsure: set[tuple[str, str, int]] = set()
        sizes = {dim: self.size(dim) for dim in self.concat_dims}
        for one in self.alike:
            for group, dim, length in self.lengths_in(one):
                axis = self.axis(dim)
                places = np.zeros(1, np.int64) if axis is None else one.numbers[:, axis]
                known = self.lengths.setdefault((group, dim), np.full(sizes.get(dim, 1), NOT_KNOWN, np.int64))
                clash = places[(known[places] != NOT_KNOWN) & (known[places] != length)]
                unsure.update((group, dim, number) for number in np.unique(clash).tolist())
                fresh = places[known[places] == NOT_KNOWN]
                known[fresh] = length
        for group, dim, number in sorted(unsure):
            variants: dict[int, Witness] = {}
            for witness, length in self._told(group, dim, number):
                variants[length] = min(witness, variants.get(length, witness))
            first = min(variants, key=variants.__getitem__)
            self.lengths[group, dim][number] = first
            shown = NOT_KNOWN if self.axis(dim) is None else number
            self.clashes.append(LengthClash(group, dim, shown, variants))

    def _survey_values(self) -> None:
        axes: dict[int, tuple[int, ...]] = {}  # by form, of which equal ones are one object
        for record in self.gathered.records():
            for form, shape, piece in record.loaded():
                if form.path in self.left_out:
                    continue
                own = axes.get(id(form))
                if own is None:
                    own = axes[id(form)] = self.own_axes(form)
                place = _along(record.numbers, own)
                assert form.dtype is not None
                known = self.values.setdefault(form.path, {}).get(place)
                if known is None:
                    self.values[form.path][place] = Values(record, form.dtype, shape, piece)
                elif (known.dtype, known.shape, known.piece) != (form.dtype, shape, piece):
                    self.rivals.append((form.path, known, Values(record, form.dtype, shape, piece)))


def _classes(gathered: SchemaAccumulator) -> list[Alike]:
    concat = {dim for dim, operation in gathered.operations.items() if operation == "concat"}
    constant: dict[int, list[int]] = {}  # by form: which of its loaded values are not joined
    firsts: dict[tuple[int, ...], InputRecord] = {}
    numbers: dict[tuple[int, ...], list[Sequence[int]]] = {}
    for record in gathered.records():
        # equal ones are one object
        places = constant.get(id(record.form))
        if places is None:
            loaded = [form for form in record.form if form.dtype is not None]
            places = [place for place, form in enumerate(loaded) if concat.isdisjoint(form.dims)]
            constant[id(record.form)] = places
        key = (id(record.form), id(record.shapes), *(id(record.values[place]) for place in places))
        firsts.setdefault(key, record)
        numbers.setdefault(key, []).append(record.numbers)
    width = len(gathered.operations)
    return [
        Alike(first, np.array(numbers[key], np.int64).reshape(len(numbers[key]), width), _constants(first, concat))
        for key, first in firsts.items()
    ]


def _constants(record: InputRecord, concat: set[str]) -> dict[str, Values]:
    return {
        form.path: Values(record, form.dtype, shape, piece)
        for form, shape, piece in record.loaded()
        if form.dtype is not None and concat.isdisjoint(form.dims)
    }


def _chunks(form: VariableForm, shape: tuple[int, ...]) -> int:
    """Chunks of a virtual variable of one input, written or not."""
    return math.prod(-(-length // chunk) for length, chunk in zip(shape, form.chunk_shape or (), strict=True))


def _along(numbers: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """``numbers`` along some axes, -1 for the others; the same object where all count."""
    if len(axes) == len(numbers):
        return numbers
    return tuple(number if axis in axes else -1 for axis, number in enumerate(numbers))
