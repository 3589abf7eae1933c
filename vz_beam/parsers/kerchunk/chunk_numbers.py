"""Keys of chunks as the C-order numbers of the chunks, many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError

OUTSIDE = -1
"""The number of a chunk outside the grid, which no reader of Zarr ever looks at."""
_SCALAR_KEYS = ("", "0", "c")
"""Of the one chunk of a scalar: Zarr v2 has ``0``, v3 ``c``, and VirtualiZarr writes nothing after the slash."""
_MOST_DIGITS = 18
_ZERO, _NINE, _BREAK = ord("0"), ord("9"), ord("\n")


def chunk_numbers(
    keys: Sequence[str], grid_shape: tuple[int, ...], separator: str, prefix: str = ""
) -> NDArray[np.int64]:
    """int64[len(keys)], the number of the chunk that each key names, ``OUTSIDE`` where the grid has no such chunk.

    Args:
        keys: as the store has them, each beginning with ``prefix``.
        grid_shape: chunks.
        separator: ``"."`` or ``"/"``.
        prefix: the array's path and the slash after it, and ``c/`` in Zarr v3.

    Raises:
        FormatError: a key that is not as many whole numbers as the grid has dimensions.

    >>> chunk_numbers(["v/1.2", "v/0.0", "v/2.0"], (2, 3), ".", "v/").tolist()
    [5, 0, -1]
    """
    if not grid_shape:
        _check_scalar_keys(keys)
        return np.zeros(len(keys), np.int64)
    if not keys:
        return np.empty(0, np.int64)
    text = "\n" + "\n".join(keys)
    if text.count("\n") != len(keys):
        raise _malformed(next(key for key in keys if "\n" in key), separator, len(grid_shape))
    text = text.replace("\n" + prefix, "\n")
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    indexes = _indexes(data, len(keys), len(grid_shape), separator)
    if indexes is None:
        raise _malformed(_first_malformed(keys, prefix, len(grid_shape), separator), separator, len(grid_shape))
    inside = (indexes < np.asarray(grid_shape, np.int64)).all(axis=1)
    if math.prod(grid_shape) > np.iinfo(np.int64).max:
        raise FormatError(f"a grid of {grid_shape} chunks has more than can be counted")
    numbers = np.zeros(len(keys), np.int64)
    for axis, length in enumerate(grid_shape):
        numbers = numbers * length + np.where(inside, indexes[:, axis], 0)
    numbers[~inside] = OUTSIDE
    return numbers


def _indexes(data: NDArray[np.uint8], count: int, ndim: int, separator: str) -> NDArray[np.int64] | None:
    """int64[count, ndim], the numbers in lines that each begin with a line break; ``None`` where something is odd."""
    marks = np.flatnonzero((data < _ZERO) | (data > _NINE))
    if len(marks) != count * ndim:
        return None
    expected = np.full(ndim, ord(separator), np.uint8)
    expected[0] = _BREAK
    if not (data[marks].reshape(count, ndim) == expected).all():
        return None
    lengths = np.diff(marks, append=len(data)) - 1
    if lengths.min() < 1 or lengths.max() > _MOST_DIGITS:
        return None
    starts = marks + 1
    if ((data[starts] == _ZERO) & (lengths > 1)).any():  # "01" is no key of chunk 1
        return None
    numbers = (data[starts] - _ZERO).astype(np.int64)
    for place in range(1, int(lengths.max())):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] = numbers[longer] * 10 + (data[starts[longer] + place] - _ZERO)
    return numbers.reshape(count, ndim)


def _check_scalar_keys(keys: Sequence[str]) -> None:
    for key in keys:
        if key.rpartition("/")[2] not in _SCALAR_KEYS:
            raise FormatError(f"{key!r} names no chunk of a scalar, whose one chunk is '0'")


def _first_malformed(keys: Sequence[str], prefix: str, ndim: int, separator: str) -> str:
    for key in keys:
        parts = key.removeprefix(prefix).split(separator)
        if len(parts) != ndim or not all(
            part.isascii() and part.isdecimal() and str(int(part[:_MOST_DIGITS])) == part for part in parts
        ):
            return key
    return keys[0]


def _malformed(key: str, separator: str, ndim: int) -> FormatError:
    return FormatError(
        f"{key!r} names no chunk of an array of {ndim} dimensions, whose keys are {ndim} whole numbers"
        + (f" with {separator!r} between" if ndim > 1 else "")
    )
