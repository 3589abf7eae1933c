"""The schemas of many inputs, gathered in any order and grouping: a zero, ``add``, ``merge``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.attributes import AttributeUnion
from vz_beam.combine.schema import Facts, FailedInput, InputSchema, VariableSchema
from vz_beam.combine.skipped import SkippedInput
from vz_beam.combine.witness import Witness
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.patterns.index import Index, Position
from vz_beam.patterns.keys import Key

Piece = bytes | tuple[Any, ...]
"""The loaded values of one variable of one input, in C order: bytes, or objects where numpy has no bytes for them."""


class VariableForm(NamedTuple):
    """What many inputs share of a variable: what is neither a length nor a value, nor may differ.

    ``dtype`` is that of loaded values, ``object`` for texts; ``None`` where the variable is virtual, and has a
    ``chunk_shape``, elements.
    """

    path: str
    order: int
    is_coordinate: bool
    dims: tuple[str, ...]
    facts: Facts
    dtype: np.dtype[Any] | None
    chunk_shape: tuple[int, ...] | None


Form = tuple[VariableForm, ...]
"""The variables of an input, in its order."""


class InputRecord(NamedTuple):
    """All that is kept of one input: few objects of its own, the others shared by many inputs.

    Args:
        numbers: along the pattern's dimensions.
        label: its URL.
        form: its variables.
        shapes: elements, of each variable.
        values: of the loaded variables.
        references: number of chunks that are somewhere, of each variable.
    """

    numbers: tuple[int, ...]
    label: str
    form: Form
    shapes: tuple[tuple[int, ...], ...]
    values: tuple[Piece, ...]
    references: tuple[int, ...]

    @property
    def witness(self) -> Witness:
        """The input as messages name it."""
        return Witness(self.numbers, self.label)

    def loaded(self) -> Iterator[tuple[VariableForm, tuple[int, ...], Piece]]:
        """Each loaded variable with its shape and values."""
        pieces = iter(self.values)
        for form, shape in zip(self.form, self.shapes, strict=True):
            if form.dtype is not None:
                yield form, shape, next(pieces)


class Representative(NamedTuple):
    """The variable as the first input that has it (in the pattern's order) knows it.

    ``metadata`` is that of a virtual variable, ``encoding`` that of a loaded one.
    """

    witness: Witness
    order: int
    is_coordinate: bool
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    metadata: ArrayMetadata | None
    attribute_names: tuple[str, ...]
    encoding: Mapping[str, Any]


class FormKnowledge:
    """What the inputs of one form say beyond it: their variables as the first of them knows each, and attributes.

    ``attributes`` are by path, of variables and (with a slash at the end) of groups.
    """

    __slots__ = ("attributes", "representatives")

    def __init__(self) -> None:
        self.representatives: dict[str, Representative] = {}
        self.attributes: dict[str, AttributeUnion] = {}

    def offer(self, path: str, candidate: Representative) -> None:
        """Take in what one more input knows of a variable."""
        known = self.representatives.get(path)
        if known is None or candidate.witness < known.witness:
            self.representatives[path] = candidate

    def merge(self, other: FormKnowledge) -> None:
        """Take in what another one knows, which stays as it is."""
        for path, candidate in other.representatives.items():
            self.offer(path, candidate)
        for path, union in other.attributes.items():
            self.attributes.setdefault(path, AttributeUnion()).merge(union)


class SchemaAccumulator:
    """What is known of all inputs so far: a record of some hundred bytes for each, however many references it has.

    An empty accumulator changes nothing; adding an input twice changes nothing; order and grouping do not matter.
    """

    __slots__ = (
        "failed",
        "inputs",
        "keys",
        "known",
        "operations",
        "rivals",
        "shared",
        "sizes",
        "skipped",
    )

    def __init__(self) -> None:
        self.operations: dict[str, str] = {}
        """``"concat"`` or ``"merge"`` by dimension, in the pattern's order."""
        self.sizes: dict[str, int] = {}
        """Number of keys by dimension, 0 where unknown."""
        self.keys: dict[str, dict[int, Key]] = {}
        """Key by dimension and number."""
        self.inputs: dict[tuple[int, ...], InputRecord] = {}
        """Who arrived, by its numbers."""
        self.rivals: dict[tuple[int, ...], dict[Any, InputRecord]] = {}
        """All that arrived where different inputs have the same numbers, by their ranks."""
        self.failed: dict[tuple[int, ...], FailedInput | str] = {}
        """By its numbers, what went wrong with each input that could not be opened, or why it was left out."""
        self.skipped: dict[tuple[str, ...], SkippedInput] = {}
        """The first input of each distinct list of variables that were left out: inputs have few such lists."""
        self.known: dict[Form, FormKnowledge] = {}
        """What else the inputs of each form say."""
        self.shared: dict[Any, Any] = {}
        """One object for each value that many records hold."""

    def add(self, schema: InputSchema) -> SchemaAccumulator:
        """Take in one input; returns the accumulator."""
        self._add_index(schema.index)
        concat = set(schema.index.concat_dims)
        forms, shapes, values = [], [], []
        for path, variable in schema.variables.items():
            dtype = None
            if variable.values is not None:
                dtype, piece = _packed(variable.values.values)
                values.append(self._shared(piece) if concat.isdisjoint(variable.dims) else piece)
            chunks = None if variable.metadata is None else variable.metadata.chunk_shape
            fixed = (path, variable.order, variable.is_coordinate, variable.dims, variable.facts)
            forms.append(VariableForm(*fixed, dtype, chunks))
            shapes.append(variable.shape)
        form = self._shared(tuple(forms))
        known = self.known.setdefault(form, FormKnowledge())
        for group, attributes in schema.groups.items():
            known.attributes.setdefault(f"{group}/", AttributeUnion()).add(schema.witness, attributes)
        for path, variable in schema.variables.items():
            known.attributes.setdefault(path, AttributeUnion()).add(schema.witness, variable.attributes)
            if path not in known.representatives or schema.witness < known.representatives[path].witness:
                known.representatives[path] = _representative(schema.witness, variable)
        references = tuple(variable.references for variable in schema.variables.values())
        self._keep(InputRecord(*schema.witness, form, tuple(shapes), tuple(values), references))
        return self

    def fail(self, failure: FailedInput) -> SchemaAccumulator:
        """Take in one input that could not be opened; returns the accumulator."""
        self._add_index(failure.index)
        known = self.failed.get(failure.index.numbers, failure)
        self.failed[failure.index.numbers] = min(known, failure, key=str)
        return self

    def expect(self, index: Index) -> SchemaAccumulator:
        """Take in that the pattern has an input, whether it arrives or not; returns the accumulator."""
        self._add_index(index)
        return self

    def skip(self, skipped: SkippedInput) -> SchemaAccumulator:
        """Take in what was left out of one input; returns the accumulator."""
        paths = tuple(skipped.reasons)
        known = self.skipped.get(paths)
        if known is None or skipped.rank < known.rank:
            self.skipped[paths] = skipped
        return self

    def first_skipped(self) -> list[SkippedInput]:
        """The inputs of ``skipped`` in the pattern's order."""
        return sorted(self.skipped.values(), key=lambda skipped: skipped.rank)

    def records(self) -> Iterator[InputRecord]:
        """All inputs in the pattern's order."""
        for numbers in sorted(self.inputs):
            yield from self.records_at(numbers)

    def records_at(self, numbers: tuple[int, ...]) -> list[InputRecord]:
        """The input with these numbers; all of them where there are several."""
        if numbers in self.rivals:
            return [record for _, record in sorted(self.rivals[numbers].items())]
        return [self.inputs[numbers]]

    def merge(self, other: SchemaAccumulator) -> SchemaAccumulator:
        """Take in all that another accumulator knows, which stays as it is; returns the accumulator."""
        for dim, operation in other.operations.items():
            self._add_dimension(dim, operation, other.sizes[dim])
            self.keys.setdefault(dim, {}).update(other.keys.get(dim, {}))
        for numbers in other.inputs:
            for record in other.records_at(numbers):
                self._keep(record)
        for numbers, failure in other.failed.items():
            self.failed[numbers] = min(self.failed.get(numbers, failure), failure, key=str)
        for skipped in other.skipped.values():
            self.skip(skipped)
        for form, known in other.known.items():
            self.known.setdefault(self._shared(form), FormKnowledge()).merge(known)
        return self

    def index_of(self, numbers: tuple[int, ...]) -> Index:
        """The index of the input with these numbers."""
        return Index(
            tuple(
                Position(dim, "merge" if operation == "merge" else "concat", number, self.sizes[dim], key)
                for (dim, operation), number in zip(self.operations.items(), numbers, strict=True)
                for key in [self.keys.get(dim, {}).get(number)]
            )
        )

    def without(self, left_out: Mapping[tuple[int, ...], FailedInput | str]) -> SchemaAccumulator:
        """The same without some inputs, which count as failed for the reasons given."""
        rest = SchemaAccumulator()
        rest.operations, rest.sizes, rest.keys = self.operations, self.sizes, self.keys
        rest.skipped, rest.known, rest.shared = self.skipped, self.known, self.shared
        rest.inputs = {numbers: record for numbers, record in self.inputs.items() if numbers not in left_out}
        rest.rivals = {numbers: records for numbers, records in self.rivals.items() if numbers not in left_out}
        rest.failed = {**self.failed, **left_out}
        return rest

    def with_left_out(self, failures: Iterable[FailedInput], skipped: Iterable[SkippedInput]) -> SchemaAccumulator:
        """The same with what was left out: inputs that failed, and variables that were skipped."""
        result = self.without({})
        result.operations, result.sizes, result.skipped = dict(self.operations), dict(self.sizes), dict(self.skipped)
        result.keys = {dim: dict(keys) for dim, keys in self.keys.items()}
        for failure in failures:
            result.fail(failure)
        for one in skipped:
            result.skip(one)
        return result

    def _keep(self, record: InputRecord) -> None:
        form, shapes = self._shared(record.form), self._shared(record.shapes)
        values = tuple(self.shared.get(piece, piece) for piece in record.values)
        references = self._shared(record.references)
        record = InputRecord(record.numbers, record.label, form, shapes, values, references)
        known = self.inputs.setdefault(record.numbers, record)
        if known is not record and known != record:
            rivals = self.rivals.setdefault(record.numbers, {_rank(known): known})
            rivals.setdefault(_rank(record), record)
            self.inputs[record.numbers] = rivals[min(rivals)]

    def _shared(self, value: Any) -> Any:
        return self.shared.setdefault(value, value)

    def _add_index(self, index: Index) -> None:
        for position in index.positions:
            self._add_dimension(position.dimension, position.operation, position.size)
            if position.key is not None:
                self.keys.setdefault(position.dimension, {})[position.number] = position.key

    def _add_dimension(self, dim: str, operation: str, size: int) -> None:
        self.operations.setdefault(dim, operation)
        self.sizes[dim] = max(self.sizes.get(dim, 0), size)


def unpacked(piece: Piece, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The values of a piece."""
    if isinstance(piece, bytes):
        return np.frombuffer(piece, dtype).reshape(shape)
    values: NDArray[Any] = np.empty(len(piece), object)
    values[:] = piece
    return values.reshape(shape)


def _packed(values: NDArray[Any]) -> tuple[np.dtype[Any], Piece]:
    if values.dtype.kind in "OT":
        return np.dtype(object), tuple(values.ravel().tolist())
    return values.dtype, values.tobytes()


def _representative(witness: Witness, variable: VariableSchema) -> Representative:
    return Representative(
        witness,
        variable.order,
        variable.is_coordinate,
        variable.dims,
        variable.shape,
        variable.metadata,
        tuple(variable.attributes),
        {} if variable.values is None else dict(variable.values.encoding),
    )


def _rank(record: InputRecord) -> tuple[str, ...]:
    return (record.label, *map(repr, record[2:]))
