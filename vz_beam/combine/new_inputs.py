"""Which inputs of a pattern a store does not have yet, and their places among those that are left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vz_beam.errors import InputError
from vz_beam.patterns.index import Index

Pairs = Sequence[tuple[Index, str]]
_SHOWN = 5
"""Inputs that an error names."""


def new_inputs(
    pairs: Pairs,
    absent: Collection[Index],
    is_known: Callable[[str], bool],
    append_dim: str | None,
    has_hole: Callable[[Index], bool] = lambda index: False,
) -> tuple[list[tuple[Index, str]], list[Index]]:
    """The (index, URL) of those that are not known, numbered anew along ``append_dim``, and the absent ones as well.

    Args:
        pairs: (index, URL) of every input.
        absent: inputs that the pattern promises and that are known not to be there.
        is_known: whether a store has the input at a URL.
        append_dim: along which the store grows; ``None`` is the one concatenated dimension.
        has_hole: whether a store has the place of an absent input already.

    Raises:
        InputError: inputs of one place along the dimension of which the store has some.
    """
    dims = {dim for index, _ in pairs for dim in index.concat_dims}
    dim = append_dim if append_dim is not None or len(dims) != 1 else next(iter(dims))
    known: dict[int, list[str]] = {}
    others: dict[int, list[str]] = {}
    for index, url in pairs:
        (known if is_known(url) else others).setdefault(_number(index, dim), []).append(url)
    if halved := sorted(known.keys() & others.keys()):
        number = halved[0]
        raise InputError(
            f"the store has some of the inputs of {dim}={number} ({', '.join(known[number][:_SHOWN])}) and lacks "
            f"others ({', '.join(others[number][:_SHOWN])}). Way out: build the store anew (mode='overwrite')"
        )
    if not known:
        return list(pairs), list(absent)
    size = max(_number(index, dim) for index in [*(index for index, _ in pairs), *absent]) + 1
    is_new = np.ones(size, bool)
    is_new[list(known)] = False
    is_new[[number for index in absent if has_hole(index) and (number := _number(index, dim)) not in others]] = False
    places = np.cumsum(is_new) - 1
    total = int(is_new.sum())
    left = [
        (_moved(index, dim, int(places[number]), total), url)
        for index, url in pairs
        if is_new[number := _number(index, dim)]
    ]
    still_absent = [
        _moved(index, dim, int(places[number]), total) for index in absent if is_new[number := _number(index, dim)]
    ]
    return left, still_absent


def split_in_rounds(
    pairs: Pairs, absent: Collection[Index], append_dim: str | None, most: int
) -> Iterator[tuple[list[tuple[Index, str]], list[Index]]]:
    """The inputs in parts that follow each other along ``append_dim``, each numbered from 0, and the absent ones of it.

    Args:
        pairs: (index, URL) of every input.
        absent: inputs that the pattern promises and that are known not to be there.
        append_dim: along which the store grows; ``None`` is the one concatenated dimension.
        most: inputs of one part, but those of one place stay together.

    Raises:
        InputError: several dimensions, and none is named.
    """
    dims = {dim for index, _ in pairs for dim in index.concat_dims}
    if append_dim is None and len(dims) > 1:
        raise InputError(f"rounds follow each other along one dimension of {sorted(dims)}. Way out: append_dim=...")
    dim = append_dim if append_dim is not None else next(iter(dims), None)
    places: dict[int, tuple[list[tuple[Index, str]], list[Index]]] = {}
    for index, url in pairs:
        places.setdefault(_number(index, dim), ([], []))[0].append((index, url))
    for index in absent:
        places.setdefault(_number(index, dim), ([], []))[1].append(index)
    part: list[int] = []
    count = 0
    for number in sorted(places):
        if part and count + len(places[number][0]) > most:
            yield _numbered(places, part, dim)
            part, count = [], 0
        part.append(number)
        count += len(places[number][0])
    if part:
        yield _numbered(places, part, dim)


def _numbered(
    places: Mapping[int, tuple[list[tuple[Index, str]], list[Index]]], numbers: Sequence[int], dim: str | None
) -> tuple[list[tuple[Index, str]], list[Index]]:
    total = len(numbers)
    pairs = [
        (_moved(index, dim, place, total), url)
        for place, number in enumerate(numbers)
        for index, url in places[number][0]
    ]
    absent = [_moved(index, dim, place, total) for place, number in enumerate(numbers) for index in places[number][1]]
    return pairs, absent


def _moved(index: Index, dim: str | None, number: int, total: int) -> Index:
    """The index with another number along the dimension, of ``total``."""
    return Index(
        tuple(
            replace(one, number=number, size=total if one.size else 0) if one.dimension == dim else one
            for one in index.positions
        )
    )


def _number(index: Index, dim: str | None) -> int:
    """The place along the dimension; 0 for an input that has none."""
    return next((one.number for one in index.positions if one.dimension == dim), 0)
