"""Where an input stands in its pattern: one position along each of the pattern's dimensions."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from vz_beam.errors import PatternError
from vz_beam.patterns.keys import Key, decode_key, describe_key, encode_key, normalise_key

Operation = Literal["concat", "merge"]
"""What becomes of the inputs along a dimension: joined end to end, or laid side by side."""

PositionTuple = tuple[str, Operation, int, int, str, str]
"""dimension, operation, number, size, type of the key, text of the key."""


@functools.total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """A place along one dimension of a pattern.

    Positions are equal where their tuples are, so that a key 1 and a key 1.0 stay two keys, as they do once written.

    Args:
        dimension: its name.
        operation: ``"concat"`` or ``"merge"``.
        number: the place in the list of keys, counted from 0.
        size: how many keys the dimension has; 0 where that is not known.
        key: what the list of keys says at that place, ``None`` where that is not known.
    """

    dimension: str
    operation: Operation
    number: int
    size: int = 0
    key: Key = None

    def __post_init__(self) -> None:
        if not isinstance(self.dimension, str) or not self.dimension:
            raise PatternError(f"a dimension's name is a str that is not empty, not {self.dimension!r}")
        if self.operation not in ("concat", "merge"):
            raise PatternError(
                f"dimension {self.dimension!r} has the operation {self.operation!r}; it is 'concat' or 'merge'"
            )
        for field in ("number", "size"):
            object.__setattr__(self, field, _count(getattr(self, field), f"{field} along {self.dimension!r}"))
        if self.size and self.number >= self.size:
            raise PatternError(
                f"position {self.number} along {self.dimension!r} is outside its {self.size} keys, "
                f"which are counted from 0 to {self.size - 1}"
            )
        object.__setattr__(self, "key", normalise_key(self.key, self.dimension))

    def to_tuple(self) -> PositionTuple:
        """The position in ``str`` and ``int`` only."""
        return (self.dimension, self.operation, self.number, self.size, *encode_key(self.key))

    @classmethod
    def from_tuple(cls, fields: PositionTuple) -> Position:
        """The position that :meth:`to_tuple` wrote."""
        dimension, operation, number, size, kind, text = fields
        return cls(dimension, operation, number, size, decode_key(kind, text))

    def __eq__(self, other: object) -> bool:
        return self.to_tuple() == other.to_tuple() if isinstance(other, Position) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.to_tuple() < other.to_tuple() if isinstance(other, Position) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_tuple())

    def __str__(self) -> str:
        place = f"{self.dimension}={self.number}"
        return place if self.key is None else f"{place} ({describe_key(self.key)})"


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Index:
    """Where an input stands: a position along each dimension, in the order of the pattern's dimensions.

    Indexes of one pattern sort as the pattern lists them: the last dimension runs fastest.

    >>> index = Index((Position("time", "concat", 3, 10, "1999"), Position("variable", "merge", 1, 2, "sst")))
    >>> print(index)
    time=3 ('1999'), variable=1 ('sst')
    >>> index.numbers, index.concat_dims, index.merge_dims
    ((3, 1), ('time',), ('variable',))
    """

    positions: tuple[Position, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", tuple(self.positions))
        for position in self.positions:
            if not isinstance(position, Position):
                raise PatternError(f"an Index is made of Positions, not of {position!r}")
        if len(set(self.dimensions)) < len(self.positions):
            raise PatternError(f"an Index has two positions along one dimension: {', '.join(map(str, self.positions))}")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of all dimensions, in order."""
        return tuple(position.dimension for position in self.positions)

    @property
    def concat_dims(self) -> tuple[str, ...]:
        """Names of the dimensions that are joined end to end, in order."""
        return tuple(position.dimension for position in self.positions if position.operation == "concat")

    @property
    def merge_dims(self) -> tuple[str, ...]:
        """Names of the dimensions that are laid side by side, in order."""
        return tuple(position.dimension for position in self.positions if position.operation == "merge")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The place along each dimension, counted from 0."""
        return tuple(position.number for position in self.positions)

    def position(self, name: str) -> Position:
        """The position along the dimension ``name``.

        Raises:
            PatternError: the index has no such dimension.
        """
        for position in self.positions:
            if position.dimension == name:
                return position
        raise PatternError(f"index [{self}] has no dimension {name!r}; it has {list(self.dimensions)}")

    def to_tuple(self) -> tuple[PositionTuple, ...]:
        """The index in nested tuples of ``str`` and ``int``: equal indexes, and only those, give equal tuples."""
        return tuple(position.to_tuple() for position in self.positions)

    @classmethod
    def from_tuple(cls, positions: tuple[PositionTuple, ...]) -> Index:
        """The index that :meth:`to_tuple` wrote."""
        return cls(tuple(map(Position.from_tuple, positions)))

    def __lt__(self, other: object) -> bool:
        return self.positions < other.positions if isinstance(other, Index) else NotImplemented

    def __str__(self) -> str:
        return ", ".join(map(str, self.positions)) or "the only input"


def _count(value: Any, what: str) -> int:
    try:
        count = value.__index__()
    except AttributeError:
        _refuse_count(value, what)
    if isinstance(value, bool) or count < 0:
        _refuse_count(value, what)
    return int(count)


def _refuse_count(value: Any, what: str) -> NoReturn:
    raise PatternError(f"the {what} is a whole number from 0 on, not {value!r}")
