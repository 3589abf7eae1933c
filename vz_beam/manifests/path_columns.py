"""Arrays of one path a chunk, as those who know VirtualiZarr have them: checked, and made columns of ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import ManifestError, ManifestTypeError


def check_columns(paths: NDArray[Any], offsets: NDArray[Any], lengths: NDArray[Any]) -> None:
    """Refuses what is no array of texts and two of unsigned integers, all of one shape.

    Raises:
        ManifestTypeError: no numpy array.
        ManifestError: other types of elements, or shapes that differ.
    """
    columns = {"paths": paths, "offsets": offsets, "lengths": lengths}
    for name, column in columns.items():
        if not isinstance(column, np.ndarray):
            raise ManifestTypeError(f"{name} must be a numpy array, but got type {type(column)}")
    if paths.dtype.kind != "T":
        raise ManifestError(
            f"paths array must have a numpy variable-length string dtype, but got dtype {paths.dtype}: "
            "paths.astype(numpy.dtypes.StringDType())"
        )
    for name in ("offsets", "lengths"):
        if (dtype := columns[name].dtype).kind != "u":
            raise ManifestError(
                f"{name} array must have 64-bit unsigned integer dtype, but got dtype {dtype}: {name}.astype('uint64')"
            )
    for name in ("offsets", "lengths"):
        if (shape := columns[name].shape) != paths.shape:
            raise ManifestError(
                f"Shapes of the arrays must be consistent, but shapes of paths array and {name} array do not match: "
                f"{paths.shape} vs {shape}"
            )


def factorize(paths: NDArray[Any], names: list[str], missing: int) -> NDArray[np.int32]:
    """int32[paths.size], places in ``names``, which grows in order of first use; ``missing`` for empty paths."""
    flat = paths.ravel()
    if flat.size == 0:
        return np.empty(0, np.int32)
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    runs = 2 * len(starts) < flat.size  # taking texts out of an array costs more than reading some of them twice
    texts = (flat[starts] if runs else flat).tolist()
    numbers = {path: number for number, path in enumerate(path for path in dict.fromkeys(texts) if path)}
    names.extend(numbers)
    numbers[""] = missing
    ids = np.fromiter(map(numbers.__getitem__, texts), np.int32, len(texts))
    return ids if not runs else np.repeat(ids, np.diff(np.append(starts, flat.size)))


def check_new_paths(new: object) -> None:
    """Refuses what cannot rename paths.

    Raises:
        TypeError: neither a text nor a function.
    """
    if not isinstance(new, str) and not callable(new):
        raise TypeError(
            "Argument 'new' must be either a string or a callable that accepts and returns strings, "
            f"but got type {type(new)}"
        )
