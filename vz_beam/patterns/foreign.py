"""Patterns and indexes of pangeo-forge-recipes, known by what they have rather than by what they are.

Its index maps dimensions (``name``, ``operation``) to positions (``value``, ``indexed``, ``dimsize``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from vz_beam.errors import PatternError
from vz_beam.patterns.index import Index, Operation, Position

_OPERATIONS: dict[str, Operation] = {"concat": "concat", "merge": "merge"}


def as_pattern_items(pattern: Any) -> Iterator[tuple[Index, str]]:
    """Every input of a pattern, ours or one of pangeo-forge-recipes, with its URL.

    Raises:
        PatternError: no pattern, an index that is none, a URL that is no text.
    """
    if not callable(getattr(pattern, "items", None)):
        raise PatternError(
            f"{pattern!r} is no pattern: it has no items() that give pairs of index and URL. Way out: "
            "pattern_from_file_sequence(files, concat_dim=...) makes one of a list, FilePattern one of a function"
        )
    return _items(pattern)


def _items(pattern: Any) -> Iterator[tuple[Index, str]]:
    for number, item in enumerate(pattern.items()):
        if not isinstance(item, tuple) or len(item) != 2:
            raise PatternError(f"item {number} of the pattern is {item!r}, and no pair of index and URL")
        index = as_index(item[0])
        path = item[1].__fspath__() if hasattr(type(item[1]), "__fspath__") else item[1]
        if not isinstance(path, str) or not path:
            raise PatternError(f"input [{index}] of the pattern has the URL {item[1]!r}, which is no text")
        yield index, str.__str__(path)


def as_index(index: Any) -> Index:
    """The index as one of ours; keys of foreign ones are not known and become ``None``.

    Raises:
        PatternError: anything that is neither ours nor laid out as in pangeo-forge-recipes.
    """
    if isinstance(index, Index):
        return index
    if not isinstance(index, Mapping):
        raise PatternError(
            f"{index!r} of type {type(index).__name__} is no Index: it does not say along which dimension. Way out: "
            "let a pattern number the inputs, beam.Create(pattern.items()), or make one: "
            "Index((Position('time', 'concat', number),))"
        )
    return Index(tuple(_position(dimension, position) for dimension, position in index.items()))


def _position(dimension: Any, position: Any) -> Position:
    absent = [f"dimension.{name}" for name in ("name", "operation") if not hasattr(dimension, name)]
    absent += [] if hasattr(position, "value") else ["position.value"]
    if absent:
        raise PatternError(
            f"an index maps {dimension!r} to {position!r}, which is not the index of a pattern: it lacks "
            f"{', '.join(absent)}. Way out: the indexes that pattern.items() gives"
        )
    operation = dimension.operation.name if isinstance(dimension.operation, Enum) else dimension.operation
    known = _OPERATIONS.get(str(operation).lower())
    if known is None:
        raise PatternError(
            f"dimension {dimension.name!r} has the operation {operation!r}; "
            "vz_beam joins ('concat') and merges ('merge')"
        )
    if getattr(position, "indexed", False):
        raise PatternError(
            f"the position along {dimension.name!r} counts elements (indexed=True), and vz_beam needs the one that "
            "counts files. Way out: use the indexes of pattern.items(), before IndexItems"
        )
    return Position(dimension.name, known, position.value, getattr(position, "dimsize", 0))
