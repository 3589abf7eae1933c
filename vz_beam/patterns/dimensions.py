"""The dimensions of a pattern: which keys there are, and whether their inputs are joined or laid side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vz_beam.errors import PatternError
from vz_beam.patterns.index import Operation, Position
from vz_beam.patterns.keys import Key, normalise_key


@dataclass(frozen=True, slots=True)
class ConcatDim:
    """A dimension whose inputs are joined end to end.

    Args:
        name: of the dimension in the combined dataset, and the format function's keyword.
        keys: one for each place along the dimension, in order. The format function gets them as they were given.
        nitems_per_file: how many elements along the dimension each input has, where that is known and the same.

    Raises:
        PatternError: no keys, a key given twice, or a type that is no key.
    """

    name: str
    keys: tuple[Any, ...]
    nitems_per_file: int | None = None
    operation: ClassVar[Operation] = "concat"

    def __init__(self, name: str, keys: Iterable[Any], nitems_per_file: int | None = None) -> None:
        _fill(self, name, keys)
        object.__setattr__(self, "nitems_per_file", _items(nitems_per_file, name))

    def __repr__(self) -> str:
        return _describe(self)


@dataclass(frozen=True, slots=True)
class MergeDim:
    """A dimension whose inputs hold different variables of one dataset.

    Args:
        name: the format function's keyword.
        keys: one for each set of variables. The format function gets them as they were given.

    Raises:
        PatternError: no keys, a key given twice, or a type that is no key.
    """

    name: str
    keys: tuple[Any, ...]
    operation: ClassVar[Operation] = "merge"

    def __init__(self, name: str, keys: Iterable[Any]) -> None:
        _fill(self, name, keys)

    def __repr__(self) -> str:
        return _describe(self)


CombineDim = ConcatDim | MergeDim


def position_at(dim: CombineDim, number: int) -> Position:
    """The position of the dimension's key ``number``."""
    return Position(dim.name, dim.operation, number, len(dim.keys), dim.keys[number])


def _fill(dim: CombineDim, name: str, keys: Iterable[Any]) -> None:
    if not isinstance(name, str) or not name:
        raise PatternError(f"a dimension's name is a str that is not empty, not {name!r}")
    if isinstance(keys, str | bytes | Mapping | Set) or not isinstance(keys, Iterable):
        raise PatternError(
            f"the keys of dimension {name!r} are a {type(keys).__name__}; they are a list, in the order of the inputs. "
            f"Way out: keys=[...]"
        )
    given = tuple(keys)
    if not given:
        raise PatternError(f"dimension {name!r} has no keys; it needs one for each place along it")
    seen: dict[Key, int] = {}
    for number, key in enumerate(given):
        plain = normalise_key(key, name)
        if plain is None:
            raise PatternError(f"dimension {name!r} has None as key {number}; a place without a key gets its number")
        if plain in seen:
            raise PatternError(
                f"dimension {name!r} has the key {key!r} twice, at places {seen[plain]} and {number}; "
                "each key names one place"
            )
        seen[plain] = number
    object.__setattr__(dim, "name", name)
    object.__setattr__(dim, "keys", given)


def _items(nitems: Any, name: str) -> int | None:
    if nitems is None:
        return None
    if not isinstance(nitems, int | np.integer) or isinstance(nitems, bool) or nitems < 1:
        raise PatternError(f"nitems_per_file of dimension {name!r} is a whole number from 1 on or None, not {nitems!r}")
    return int(nitems)


def _describe(dim: CombineDim) -> str:
    keys = ", ".join(map(repr, dim.keys[:2])) + (", ..." if len(dim.keys) > 2 else "")
    return f"{type(dim).__name__}({dim.name!r}, {len(dim.keys)} keys: {keys})"
