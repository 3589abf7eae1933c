"""Which inputs of a pattern a store does not have yet, and their places among those that are left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from vz_beam.errors import InputError
from vz_beam.patterns.index import Index

Pairs = Sequence[tuple[Index, str]]
_SHOWN = 5
"""Inputs that an error names."""


def new_inputs(
    pairs: Pairs, absent: Collection[Index], is_known: Callable[[str], bool], append_dim: str | None
) -> tuple[list[tuple[Index, str]], list[Index]]:
    """The (index, URL) of those that are not known, numbered anew along ``append_dim``, and the absent ones as well.

    Args:
        pairs: (index, URL) of every input.
        absent: inputs that the pattern promises and that are known not to be there.
        is_known: whether a store has the input at a URL.
        append_dim: along which the store grows; ``None`` is the one concatenated dimension.

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
    places = np.cumsum(is_new) - 1
    total = int(is_new.sum())

    def moved(index: Index) -> Index:
        return Index(
            tuple(
                replace(one, number=int(places[one.number]), size=total if one.size else 0)
                if one.dimension == dim
                else one
                for one in index.positions
            )
        )

    left = [(moved(index), url) for index, url in pairs if is_new[_number(index, dim)]]
    return left, [moved(index) for index in absent if is_new[_number(index, dim)]]


def _number(index: Index, dim: str | None) -> int:
    """The place along the dimension; 0 for an input that has none."""
    return next((one.number for one in index.positions if one.dimension == dim), 0)
