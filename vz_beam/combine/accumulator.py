"""The schemas of many inputs, gathered in any order and grouping: a zero, ``add``, ``merge``."""

from __future__ import annotations

from typing import Any, NamedTuple

from vz_beam.combine.attributes import AttributeUnion
from vz_beam.combine.schema import Facts, FailedInput, InputSchema, LoadedValues, Witness
from vz_beam.combine.skipped import SkippedInput
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.patterns.index import Index
from vz_beam.patterns.keys import Key


class Presence(NamedTuple):
    """An input that arrived, and the paths of its variables in sorted order."""

    witness: Witness
    paths: tuple[str, ...]


class Representative(NamedTuple):
    """The variable as the first input that has it (in the pattern's order) knows it."""

    witness: Witness
    order: int
    is_coordinate: bool
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    metadata: ArrayMetadata | None
    attribute_names: tuple[str, ...]


class SchemaAccumulator:
    """What is known of all inputs so far. Its size is O(inputs) small numbers, however many references there are.

    An empty accumulator changes nothing; adding an input twice changes nothing; order and grouping do not matter.
    Of every variant of every fact the first witness in the pattern's order is kept, so that errors can name files.
    """

    __slots__ = (
        "attributes",
        "facts",
        "failed",
        "keys",
        "lengths",
        "operations",
        "present",
        "representatives",
        "signatures",
        "sizes",
        "skipped",
        "values",
    )

    def __init__(self) -> None:
        self.operations: dict[str, str] = {}
        """``"concat"`` or ``"merge"`` by dimension, in the pattern's order."""
        self.sizes: dict[str, int] = {}
        """Number of keys by dimension, 0 where unknown."""
        self.keys: dict[str, dict[int, Key]] = {}
        """Key by dimension and number."""
        self.present: dict[tuple[int, ...], Presence] = {}
        """Who arrived, by its numbers."""
        self.signatures: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Each distinct list of variables once, since inputs have few."""
        self.failed: dict[tuple[int, ...], str] = {}
        """What went wrong by the numbers of each input that could not be opened."""
        self.skipped: dict[tuple[str, ...], SkippedInput] = {}
        """The first input of each distinct list of variables that were left out: inputs have few such lists."""
        self.lengths: dict[tuple[str, str], dict[int, dict[int, Witness]]] = {}
        """Lengths by group and dimension, then by number (-1 for dimensions that are not the pattern's)."""
        self.facts: dict[str, dict[Facts, Witness]] = {}
        """Variants of what inputs must agree on, by variable."""
        self.representatives: dict[str, Representative] = {}
        self.attributes: dict[str, AttributeUnion] = {}
        """Attributes by path, of variables and (with a slash at the end) of groups."""
        self.values: dict[str, dict[tuple[int, ...], dict[str, tuple[Witness, LoadedValues]]]] = {}
        """Loaded values by variable, then by the numbers of the input, then by digest."""

    def add(self, schema: InputSchema) -> SchemaAccumulator:
        """Take in one input; returns the accumulator."""
        numbers, witness = schema.index.numbers, schema.witness
        self._add_index(schema.index)
        self._add_presence(numbers, Presence(witness, tuple(sorted(schema.variables))))
        concat = {p.dimension: p.number for p in schema.index.positions if p.operation == "concat"}
        here = {dim for variable in schema.variables.values() for dim in variable.dims}
        for group, attributes in schema.groups.items():
            self.attributes.setdefault(f"{group}/", AttributeUnion()).add(attributes)
        for path, variable in schema.variables.items():
            group = path.rpartition("/")[0]
            for dim, length in zip(variable.dims, variable.shape, strict=True):
                number = concat.get(dim, -1)
                _keep_first(self.lengths.setdefault((group, dim), {}).setdefault(number, {}), length, witness)
            _keep_first(self.facts.setdefault(path, {}), variable.facts, witness)
            self.attributes.setdefault(path, AttributeUnion()).add(variable.attributes)
            candidate = Representative(
                witness,
                variable.order,
                variable.is_coordinate,
                variable.dims,
                variable.shape,
                variable.metadata,
                tuple(variable.attributes),
            )
            self._offer(path, candidate)
            if variable.values is not None:
                # a data variable gains the dimensions that its file lacks, so each input has its own values
                gains = set() if variable.is_coordinate else concat.keys() - here
                own = tuple(concat.get(dim, -1) if dim in gains.union(variable.dims) else -1 for dim in self.operations)
                variants = self.values.setdefault(path, {}).setdefault(own, {})
                _keep_first_values(variants, witness, variable.values)
        return self

    def fail(self, failure: FailedInput) -> SchemaAccumulator:
        """Take in one input that could not be opened; returns the accumulator."""
        self._add_index(failure.index)
        text = str(failure)
        self.failed[failure.index.numbers] = min(self.failed.get(failure.index.numbers, text), text)
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

    def merge(self, other: SchemaAccumulator) -> SchemaAccumulator:
        """Take in all that another accumulator knows, which stays as it is; returns the accumulator."""
        for dim, operation in other.operations.items():
            self._add_dimension(dim, operation, other.sizes[dim])
            self.keys.setdefault(dim, {}).update(other.keys.get(dim, {}))
        for numbers, presence in other.present.items():
            self._add_presence(numbers, presence)
        for numbers, text in other.failed.items():
            self.failed[numbers] = min(self.failed.get(numbers, text), text)
        for skipped in other.skipped.values():
            self.skip(skipped)
        for where, by_number in other.lengths.items():
            for number, variants in by_number.items():
                for length, witness in variants.items():
                    _keep_first(self.lengths.setdefault(where, {}).setdefault(number, {}), length, witness)
        for path, facts_variants in other.facts.items():
            for facts, witness in facts_variants.items():
                _keep_first(self.facts.setdefault(path, {}), facts, witness)
        for path, candidate in other.representatives.items():
            self._offer(path, candidate)
        for path, union in other.attributes.items():
            self.attributes.setdefault(path, AttributeUnion()).merge(union)
        for path, by_place in other.values.items():
            for place, variants_of_values in by_place.items():
                known = self.values.setdefault(path, {}).setdefault(place, {})
                for witness, values in variants_of_values.values():
                    _keep_first_values(known, witness, values)
        return self

    def _add_index(self, index: Index) -> None:
        for position in index.positions:
            self._add_dimension(position.dimension, position.operation, position.size)
            if position.key is not None:
                self.keys.setdefault(position.dimension, {})[position.number] = position.key

    def _add_dimension(self, dim: str, operation: str, size: int) -> None:
        self.operations.setdefault(dim, operation)
        self.sizes[dim] = max(self.sizes.get(dim, 0), size)

    def _add_presence(self, numbers: tuple[int, ...], presence: Presence) -> None:
        known = self.present.get(numbers)
        if known is None or presence < known:
            paths = self.signatures.setdefault(presence.paths, presence.paths)
            self.present[numbers] = Presence(presence.witness, paths)

    def _offer(self, path: str, candidate: Representative) -> None:
        known = self.representatives.get(path)
        if known is None or candidate.witness < known.witness:
            self.representatives[path] = candidate


def _keep_first(variants: dict[Any, Witness], value: Any, witness: Witness) -> None:
    known = variants.get(value)
    if known is None or witness < known:
        variants[value] = witness


def first_witness(variants: dict[Any, Witness]) -> Any:
    """The value whose witness comes first in the pattern."""
    return min(variants, key=lambda value: variants[value])


def _keep_first_values(
    variants: dict[str, tuple[Witness, LoadedValues]], witness: Witness, values: LoadedValues
) -> None:
    known = variants.get(values.digest)
    if known is None or witness < known[0]:
        variants[values.digest] = (witness, values)
