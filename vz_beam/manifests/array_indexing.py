"""Indexing of virtual arrays as numpy indexes, where chunks, or parts of them that lie together, make the result."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import ManifestError, ManifestIndexError, ManifestTypeError
from vz_beam.manifests.axis_order import with_axes
from vz_beam.manifests.chunk_selection import (
    HOLE,
    AxisPart,
    SubChunkIndexingError,
    take,
    whole_chunks,
    whole_chunks_between,
)
from vz_beam.manifests.metadata import check_even

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray


def index_array(array: ManifestArray, indexer: Any) -> ManifestArray:
    """The part of ``array`` that ``indexer`` selects, as numpy would: integers, slices, ``...``, ``None``, 1-D arrays.

    Any slice from a chunk border works, and any selection of whole chunks in any order; of a rectilinear grid slices of
    whole chunks alone. Uncompressed chunks are cut,
    where the part that is taken is one run of bytes; inlined ones in any case.

    Unlike in VirtualiZarr, -1 in an array of integers is the last element, as in numpy. xarray's reindexing, which
    means a hole by it, comes in through :func:`vz_beam.manifests.reindexing.reindex_array`.

    Raises:
        SubChunkIndexingError: an indexer that would cut a chunk that cannot be cut.
    """
    entries = _orthogonal(_complete(indexer, array.ndim), array.shape)
    own = [entry for entry in entries if entry is not None]
    if array.metadata.uneven_chunks:
        if not all(isinstance(entry, range) for entry in own):
            check_even(array.metadata)
        taken = whole_chunks_between(array, own)
    else:
        try:
            taken = take(array, _parts(array, own, cut_tails=True))
        except SubChunkIndexingError:
            taken = take(array, _parts(array, own, cut_tails=False))
    axes: list[int | None] = []
    axis = 0
    for entry in entries:
        if entry is None:
            axes.append(None)
            continue
        if not isinstance(entry, int):
            axes.append(axis)
        axis += 1
    return with_axes(taken, axes)


def _parts(array: ManifestArray, entries: list[Any], cut_tails: bool) -> list[AxisPart]:
    """One part for each axis. Without ``cut_tails``, a slice that ends inside its first chunk keeps the chunk whole."""
    parts = []
    for axis, (entry, length) in enumerate(zip(entries, array.shape, strict=True)):
        chunk = array.metadata.chunk_shape[axis]
        if isinstance(entry, int):
            parts.append(_one_element(entry, chunk))
        elif isinstance(entry, range):
            parts.append(_range_part(entry, length, chunk, axis, cut_tails))
        else:
            parts.append(array_part(entry, length, chunk, axis))
    return parts


def _one_element(position: int, chunk: int) -> AxisPart:
    return AxisPart(1, 1, np.array([position // chunk]), np.array([position % chunk]))


def _range_part(positions: range, length: int, chunk: int, axis: int, cut_tails: bool) -> AxisPart:
    count = len(positions)
    if not count:
        return whole_chunks(0, chunk, [])
    start, stop = positions[0], positions[-1] + 1
    if positions.step == 1 or count == 1:
        first, last = start // chunk, (stop - 1) // chunk
        ends = stop % chunk == 0 or stop == length
        if first == last and (start % chunk or (cut_tails and not ends)):
            return AxisPart(count, count, np.array([first]), np.array([start % chunk]))
        if start % chunk == 0:
            return whole_chunks(count, chunk, np.arange(first, last + 1))
        raise SubChunkIndexingError(
            f"elements {start} to {stop} along axis {axis} begin inside a chunk of {chunk}: begin at a chunk border, "
            f"cut the chunks of an uncompressed array first (rechunked() to {np.gcd(start, chunk)}), load the "
            "variable, or select after opening the written store"
        )
    if abs(positions.step) >= chunk:  # at most one element of each chunk, so no more chunks than there were
        numbers = np.arange(positions.start, positions.stop, positions.step)
        return AxisPart(count, 1, numbers // chunk, numbers % chunk)
    raise SubChunkIndexingError(
        f"a step of {positions.step} along axis {axis} cannot be taken from whole chunks of {chunk}: cut the chunks of "
        "an uncompressed array first (rechunked() to 1), load the variable, or select after opening the written store"
    )


def array_part(positions: NDArray[np.int64], length: int, chunk: int, axis: int, holes: bool = False) -> AxisPart:
    """What an array of positions takes: each block of ``chunk`` positions one whole chunk, or with ``holes`` all -1."""
    count = len(positions)
    block_of = np.arange(count) // chunk
    starts = positions[::chunk]
    is_hole = (starts == -1) & holes
    expected = starts[block_of] + np.where(is_hole[block_of], 0, np.arange(count) % chunk)
    wrong = ~((starts % chunk == 0) | is_hole)[block_of] | (positions != expected)
    if not wrong.any():
        return whole_chunks(count, chunk, np.where(is_hole, HOLE, starts // chunk))
    if not holes and (count == 1 or (np.diff(positions) == 1).all()):
        return _range_part(range(int(positions[0]), int(positions[0]) + count), length, chunk, axis, cut_tails=True)
    block = int(block_of[wrong][0])
    found = positions[block * chunk : (block + 1) * chunk]
    raise SubChunkIndexingError(
        f"positions along axis {axis}: block {block}, {found.tolist()[:8]}, is not one whole chunk of "
        f"{chunk}{' or a hole' if holes else ''}: load the variable, or select after opening the written store"
    )


def _complete(indexer: Any, ndim: int) -> list[Any]:
    """One entry for each axis, plus those for new axes; ``...`` and trailing axes become full slices."""
    entries = list(indexer) if isinstance(indexer, tuple) else [indexer]
    dots = [place for place, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise ManifestIndexError(
            "Invalid indexer. Indexers containing multiple Ellipses are invalid: an index can only have a single "
            "ellipsis ('...')"
        )
    given = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if given > ndim:
        raise ManifestIndexError(
            f"Invalid indexer for array, too many indices: the array has {ndim} dimensions, {given} were indexed"
        )
    full = [slice(None)] * (ndim - given)
    place = dots[0] if dots else len(entries)
    return entries[:place] + full + entries[place + 1 :]


def _orthogonal(entries: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Each entry as ``None``, ``int``, ``range`` or int64[positions] of its axis alone; all within its length."""
    arrays = [place for place, entry in enumerate(entries) if isinstance(entry, (list, np.ndarray)) and np.ndim(entry)]
    entries = list(entries)
    if len(arrays) > 1 or any(np.ndim(entries[place]) > 1 for place in arrays):
        entries = _from_mesh(entries, arrays)
    elif arrays:
        scalars = [place for place, entry in enumerate(entries) if _is_scalar(entry)]
        advanced = sorted(arrays + scalars)
        if scalars and advanced != list(range(advanced[0], advanced[-1] + 1)):
            raise ManifestError("an array and an integer with a slice between them: index in two steps")
    lengths = iter(shape)
    return [None if entry is None else _positions(entry, next(lengths), place) for place, entry in enumerate(entries)]


def _from_mesh(entries: list[Any], arrays: list[int]) -> list[Any]:
    """Arrays as ``numpy.ix_`` makes them, and xarray for several axes, as one 1-D array or integer for each axis."""
    refusal = ManifestError(
        "several arrays select points, which are no chunks: give them as numpy.ix_ makes them, one for each axis"
    )
    if any(isinstance(entry, slice) or entry is None for entry in entries):
        raise refusal
    values = {place: np.asarray(entries[place]) for place in arrays}
    ndim = max(value.ndim for value in values.values())
    own = {place: [a for a, n in enumerate((1,) * (ndim - v.ndim) + v.shape) if n != 1] for place, v in values.items()}
    slot = 0
    for number, place in enumerate(arrays):
        if len(own[place]) > 1 or (own[place] and own[place][0] != slot):
            raise refusal
        fixed = next((own[later][0] for later in arrays[number:] if own[later]), ndim)
        if own[place] or slot < fixed:
            entries[place] = values[place].ravel()
            slot += 1
        else:
            entries[place] = int(values[place].ravel()[0])
    if slot != ndim:
        raise refusal
    return entries


def _is_scalar(entry: Any) -> bool:
    return entry is not None and not isinstance(entry, slice) and np.ndim(entry) == 0


def _positions(entry: Any, length: int, axis: int) -> int | range | NDArray[np.int64]:
    if isinstance(entry, slice):
        return range(length)[entry]
    if isinstance(entry, (list, np.ndarray)) and np.ndim(entry):
        return _normal(np.asarray(entry), length, axis)
    if isinstance(entry, (bool, np.bool_)):
        raise ManifestError("a single truth value selects no chunks")
    try:
        position = operator.index(entry.item() if isinstance(entry, np.ndarray) else entry)
    except TypeError:
        raise ManifestTypeError(
            "indexer must be of type int, slice, ellipsis, None, or np.ndarray; or a tuple of such types. "
            f"Got {entry!r} (axis {axis})"
        ) from None
    if not -length <= position < length:
        raise ManifestIndexError(f"index {position} is out of bounds for axis {axis} of length {length}")
    return position % length


def _normal(positions: NDArray[Any], length: int, axis: int) -> NDArray[np.int64]:
    """int64[count], 0 to length."""
    if positions.dtype.kind == "b":
        if positions.shape != (length,):
            raise ManifestIndexError(f"a mask of {positions.shape} does not fit axis {axis} of length {length}")
        return np.flatnonzero(positions)
    if positions.size and positions.dtype.kind not in "iu":
        raise ManifestIndexError(f"arrays used as indices must be of integers, not {positions.dtype} (axis {axis})")
    numbers = positions.astype(np.int64)
    if numbers.size and not -length <= numbers.min() <= numbers.max() < length:
        raise ManifestIndexError(f"an index is out of bounds for axis {axis} of length {length}")
    return np.where(numbers < 0, numbers + length, numbers)
