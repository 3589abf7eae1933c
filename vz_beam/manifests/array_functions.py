"""The numpy functions that only rearrange chunks: what xarray needs to join and reshape virtual arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import ManifestError, ManifestTypeError, NeedsValuesError
from vz_beam.manifests.axis_order import expand_dims, moveaxis, normal_axis, swapaxes, transpose, with_axes
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest, has_missing
from vz_beam.manifests.chunk_selection import (
    HOLE,
    AxisPart,
    SubChunkIndexingError,
    take,
    whole_chunks,
    with_holes,
)
from vz_beam.manifests.constant_array import AssumedArray, compact, constant
from vz_beam.manifests.decoding import decodes_alike
from vz_beam.manifests.fill_choice import check_holds, metadata_with_holes, same_value
from vz_beam.manifests.metadata import check_even
from vz_beam.manifests.reshaping import reshape, squeeze
from vz_beam.manifests.zarr_v3 import has_byte_order

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray

ARRAY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.expand_dims: expand_dims,
    np.moveaxis: moveaxis,
    np.reshape: reshape,
    np.squeeze: squeeze,
    np.swapaxes: swapaxes,
    np.transpose: transpose,
}
"""Implementations by the numpy function that they stand for."""
CODING_ATTRIBUTES = ("_FillValue", "_Unsigned", "add_offset", "calendar", "missing_value", "scale_factor", "units")
"""Attributes that change which values the bytes mean: arrays that differ in one are not parts of one array."""


_DIFFERENT = {
    "dtype": "Cannot concatenate arrays with inconsistent dtypes: ",
    "chunk_shape": "Cannot concatenate arrays with inconsistent chunk shapes: ",
    "codecs": "cannot concatenate arrays which were stored using different codecs: ",
}
"""What VirtualiZarr, whose users look for it, says of such a difference."""
_REQUIRED = {"chunk_shape": ". Requires ZEP003 (Variable-length Chunks)"}


def _implements(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        ARRAY_FUNCTIONS[function] = implementation
        return implementation

    return register


@_implements(np.concatenate)
def concatenate(arrays: Sequence[ManifestArray], axis: int | None = 0) -> ManifestArray:
    """Arrays one after the other along ``axis``; a partial chunk is legal in the last one only."""
    if axis is None:
        raise NeedsValuesError("concatenate(axis=None) would have to flatten the arrays: give an axis")
    arrays = list(arrays)
    first = _check_joinable(arrays)
    axis = normal_axis(axis, first.ndim)
    for number, array in enumerate(arrays):
        if _without(array.shape, axis) != _without(first.shape, axis):
            raise ManifestError(
                f"Cannot concatenate arrays with shapes {[first.shape, array.shape]}: they differ off axis "
                f"{axis}{_files(first, array)}"
            )
        if number < len(arrays) - 1 and array.metadata.chunk_grid.is_partial(axis):
            raise ManifestError(
                "Cannot concatenate arrays with partial chunks because only regular chunk grids are currently "
                f"supported: array {number}{_files(array)} has {array.shape[axis]} elements along axis {axis}, not a "
                f"multiple of its chunk length {array.metadata.chunk_shape[axis]}, legal at the very end only. "
                "Chunks of uncompressed arrays can be cut to a length that divides it (rechunked())"
            )
    shape = (*first.shape[:axis], sum(array.shape[axis] for array in arrays), *first.shape[axis + 1 :])
    return _assemble(arrays, shape, first.metadata.chunk_shape, lambda cut: np.concatenate(cut, axis=axis))


@_implements(np.stack)
def stack(arrays: Sequence[ManifestArray], axis: int = 0) -> ManifestArray:
    """Arrays beside each other along a new axis of chunk length 1."""
    arrays = list(arrays)
    first = _check_joinable(arrays)
    axis = normal_axis(axis, first.ndim + 1)
    for array in arrays:
        if array.shape != first.shape:
            raise ManifestError(
                f"Cannot concatenate arrays with differing shapes: {first.shape} vs {array.shape} differ in shape"
                f"{_files(first, array)}"
            )
    stacked: ManifestArray = concatenate([expand_dims(array, axis) for array in arrays], axis)
    return stacked


@_implements(np.broadcast_to)
def broadcast_to(array: ManifestArray, shape: Sequence[int] | int, subok: bool = False) -> ManifestArray:
    """The array repeated along new axes and axes of length 1, whose chunks are 1 long or can be cut to that."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    new = len(shape) - array.ndim
    if new < 0:
        raise ManifestError(f"array of shape {array.shape} cannot be broadcast to shape {shape}")
    array = with_axes(array, [*(None,) * new, *range(array.ndim)])
    if shape == array.shape:
        return array
    check_even(array.metadata)
    parts = []
    for axis, (length, wanted, chunk) in enumerate(zip(array.shape, shape, array.metadata.chunk_shape, strict=True)):
        if length == wanted:
            parts.append(whole_chunks(length, chunk, np.arange(-(-length // chunk))))
        elif length == 1:
            parts.append(AxisPart(wanted, 1, np.zeros(wanted, np.int64), np.zeros(wanted, np.int64)))
        else:
            raise ManifestError(f"array of shape {array.shape} cannot be broadcast to shape {shape} (axis {axis})")
    try:
        return take(array, parts)
    except SubChunkIndexingError as error:
        raise SubChunkIndexingError(
            f"an axis of length 1 whose chunk is longer would show its padding: {error}"
        ) from error


@_implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> ManifestArray:
    """``x`` where the condition holds, ``y`` elsewhere; it must hold for whole chunks, or not at all.

    One of the two may be a scalar: its chunks become holes, which must read as it (unlike in VirtualiZarr, where they
    show the storage fill).

    Raises:
        ManifestError: a condition that divides a chunk, or a scalar that holes would not show.
    """
    first = x if _is_virtual(x) else y
    if isinstance(condition, AssumedArray) and not (_is_virtual(x) and _is_virtual(y) and np.all(x == y)):
        raise NeedsValuesError(
            "which values are missing is not known without reading data: load the variable, or fill later"
        )
    some, every = _by_chunk(condition, first.shape, first.metadata.chunk_shape)
    if every.all() or not some.any():
        chosen = x if every.all() else y
        if _is_virtual(chosen) and chosen.shape == first.shape:
            return chosen  # type: ignore[no-any-return]
    if (some != every).any():
        raise NeedsValuesError(
            f"numpy.where divides a chunk of {first.metadata.chunk_shape} elements: only whole chunks can be "
            "chosen. Load the variable (loadable_variables=[...]), or choose after opening the written store"
        )
    if _is_virtual(x) and _is_virtual(y):
        _check_joinable([x, y])
        if x.shape != y.shape:
            raise ManifestError(f"arrays to choose from differ in shape: {x.shape} and {y.shape}")
        return _assemble([x, y], x.shape, x.metadata.chunk_shape, lambda cut: np.where(every, cut[0], cut[1]))
    kept, fill = (every, y) if first is x else (~every, x)
    if np.ndim(fill):
        raise NeedsValuesError("numpy.where takes a scalar or a virtual array beside a virtual array, not a loaded one")
    return with_holes(first, ~kept, metadata_with_holes(first, fill))


@_implements(np.pad)
def pad(array: ManifestArray, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> ManifestArray:
    """The array with whole chunks of one value before and after it: what :meth:`xarray.Dataset.shift` adds."""
    if mode != "constant" or np.ndim(constant_values):
        raise ManifestError("a virtual array can be padded by one constant value only")
    widths = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    parts = []
    for axis, (before, after) in enumerate(widths):
        length, chunk = array.shape[axis], array.metadata.chunk_shape[axis]
        if before % chunk or (after and length % chunk):
            raise ManifestError(
                f"{before} and {after} elements cannot be added along axis {axis} to {length} in chunks of {chunk}: "
                "holes are whole chunks"
            )
        total = before + length + after
        numbers = np.arange(-(-total // chunk)) - before // chunk
        parts.append(
            whole_chunks(total, chunk, np.where((numbers < 0) | (numbers >= -(-length // chunk)), HOLE, numbers))
        )
    padded = any(before or after for before, after in widths)
    return take(array, parts, metadata_with_holes(array, constant_values) if padded else None)


@_implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The one dtype of all arrays; scalars beside them must be values of it, since nothing is converted."""
    dtypes = {
        getattr(x, "dtype", x) for x in arrays_and_dtypes if isinstance(x, np.dtype) or np.ndim(x) or _is_virtual(x)
    }
    if len(dtypes) != 1:
        raise ManifestError(
            f"Cannot combine arrays with inconsistent dtypes: virtual arrays cannot be converted, and their types "
            f"differ: {sorted(map(str, dtypes))}"
        )
    (dtype,) = dtypes
    assert isinstance(dtype, np.dtype)
    for scalar in arrays_and_dtypes:
        if not isinstance(scalar, np.dtype) and not np.ndim(scalar) and not _is_virtual(scalar):
            check_holds(scalar, dtype)
    return dtype


@_implements(np.full_like)
def full_like(a: ManifestArray, fill_value: Any, dtype: Any = None, **_: Any) -> NDArray[Any]:
    """A constant array in the memory of one element."""
    return constant(np.asarray(fill_value, dtype=dtype or a.dtype), a.shape)


@_implements(np.isnan)
def isnan(a: ManifestArray) -> NDArray[np.bool_]:
    """All ``False``, which xarray needs to compare arrays: references are not looked into.

    As a condition of :func:`where` the answer is refused, so that ``fillna`` does not do nothing in silence.
    """
    return constant(False, a.shape, AssumedArray)


@_implements(np.shape)
def shape_of(a: ManifestArray) -> tuple[int, ...]:
    """The array's shape."""
    return a.shape


@_implements(np.ndim)
def ndim_of(a: ManifestArray) -> int:
    """The array's number of dimensions."""
    return a.ndim


@_implements(np.size)
def size_of(a: ManifestArray, axis: int | None = None) -> int:
    """The array's number of elements, or that along an axis."""
    return a.size if axis is None else a.shape[axis]


def elementwise_equal(a: ManifestArray, b: ManifestArray) -> NDArray[np.bool_]:
    """Whether references and metadata are the same, bool[shape]: one answer for the whole array, O(chunks)."""
    if a.shape != b.shape:
        raise NeedsValuesError(f"arrays of shape {a.shape} and {b.shape} cannot be compared by element")
    return constant(a is b or (not _differences([a, b]) and a.manifest == b.manifest), a.shape)


def _is_virtual(array: Any) -> bool:
    return hasattr(array, "manifest")


def _by_chunk(
    condition: Any, shape: tuple[int, ...], chunk_shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a condition holds for some, and for every element of each chunk, bool[grid_shape] each."""
    small = np.asarray(compact(condition), np.bool_)
    small = small.reshape((1,) * (len(shape) - small.ndim) + small.shape)
    if small.ndim != len(shape) or any(have not in (1, n) for have, n in zip(small.shape, shape, strict=True)):
        raise ManifestError(f"a condition of shape {np.shape(condition)} does not fit a virtual array of shape {shape}")
    some = every = small
    for axis, (length, chunk) in enumerate(zip(shape, chunk_shape, strict=True)):
        if small.shape[axis] == length:
            borders = np.arange(0, length, chunk)
            some = np.logical_or.reduceat(some, borders, axis=axis)
            every = np.logical_and.reduceat(every, borders, axis=axis)
    grid_shape = tuple(-(-n // c) for n, c in zip(shape, chunk_shape, strict=True))
    return np.broadcast_to(some, grid_shape), np.broadcast_to(every, grid_shape)


def _check_joinable(arrays: Sequence[ManifestArray]) -> ManifestArray:
    """The first of the arrays, which can lie in one array with one metadata document."""
    if not arrays:
        raise ManifestError("there are no arrays to join")
    first = arrays[0]
    for array in arrays:
        if not _is_virtual(array):
            raise ManifestTypeError(
                f"a virtual array cannot be joined with a loaded one ({type(array).__name__}): load the variable in "
                "all files or in none"
            )
    if len(arrays) > 1:
        check_even(*(array.metadata for array in arrays))
    for array in arrays[1:]:
        if array.ndim != first.ndim:
            raise ManifestError(f"arrays have {first.ndim} and {array.ndim} dimensions{_files(first, array)}")
        if differences := _differences([first, array]):
            kind = ManifestError if {"dtype", "chunk_shape"} & differences.keys() else NeedsValuesError
            raise kind(
                f"arrays cannot be joined without reading data: {'; '.join(differences.values())}{_files(first, array)}"
            )
    with_fill = [array for array in arrays if has_missing(array.manifest)]
    for array in with_fill[1:]:
        if not same_value(array.metadata.fill_value, with_fill[0].metadata.fill_value):
            raise ManifestError(
                f"arrays cannot be joined without reading data: fill value {with_fill[0].metadata.fill_value!r} and "
                f"{array.metadata.fill_value!r}, and chunks of both were never written{_files(with_fill[0], array)}"
            )
    return first


def _differences(arrays: Sequence[ManifestArray]) -> dict[str, str]:
    """What keeps two arrays from having one metadata document, by what differs."""
    one, other = (array.metadata for array in arrays)
    found = {}
    for name in ("dtype", "chunk_shape", "byte_order", "serializer", "codecs"):
        left, right = getattr(one, name), getattr(other, name)
        counts = has_byte_order(one.dtype) if name == "byte_order" else True
        if counts and left != right and not (name == "codecs" and decodes_alike(left, right)):
            found[name] = f"{_DIFFERENT.get(name, '')}{name} {left} and {right}{_REQUIRED.get(name, '')}"
    names = one.dimension_names, other.dimension_names
    if None not in names and names[0] != names[1] and sorted(names[0] or ()) == sorted(names[1] or ()):
        found["dimension_names"] = f"dimensions {names[0]} and {names[1]}"
    for name in CODING_ATTRIBUTES:
        left, right = (_plain(metadata.attributes.get(name)) for metadata in (one, other))
        if left != right:
            found[name] = (
                f"attribute {name} {left!r} and {right!r} (where both mean the same, say so: "
                "ManifestArray(dataclasses.replace(array.metadata, attributes=...), array.manifest))"
            )
    return found


def _plain(value: Any) -> Any:
    """An attribute's value as it is compared: numbers by value, NaN like NaN, texts trimmed."""
    value = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return value.strip() if isinstance(value, str) else "NaN" if value != value else value


def _files(*arrays: ManifestArray) -> str:
    names = [array.manifest.locations[0] if array.manifest.locations else "no file" for array in arrays]
    return f" (in {' and '.join(names)})"


def _assemble(
    arrays: Sequence[ManifestArray],
    shape: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    arrange: Callable[[list[NDArray[Any]]], NDArray[Any]],
) -> ManifestArray:
    """One array whose columns are those of ``arrays``, arranged; inlined chunks follow by their numbers."""
    first = next((array for array in arrays if has_missing(array.manifest)), arrays[0])
    metadata = replace(arrays[0].metadata, fill_value=first.metadata.fill_value, shape=shape, chunk_shape=chunk_shape)
    manifests = [array.manifest for array in arrays]
    if not any(manifest.nrefs for manifest in manifests):
        return type(first)(metadata, ChunkManifest.empty(metadata.chunk_grid.grid_shape))
    table: dict[str, int] = {}
    ids = []
    for manifest in manifests:
        known = [table.setdefault(url, len(table)) for url in manifest.locations] + [INLINED, MISSING]
        ids.append(np.array(known, np.int32)[manifest.location_ids])
    offsets = arrange([manifest.offsets for manifest in manifests])
    lengths = arrange([manifest.lengths for manifest in manifests])
    inlined = _inlined(manifests, arrange)
    return type(first)(metadata, ChunkManifest.from_columns(tuple(table), arrange(ids), offsets, lengths, inlined))


def _inlined(
    manifests: Sequence[ChunkManifest], arrange: Callable[[list[NDArray[Any]]], NDArray[Any]]
) -> dict[int, bytes]:
    """The inlined chunks of several manifests by their number in the arranged grid."""
    if not any(manifest.inlined for manifest in manifests):
        return {}
    chunks: list[bytes] = []
    numbers = []
    for manifest in manifests:
        places = np.full(manifest.grid_shape, -1, np.int64)
        for number, data in manifest.inlined.items():
            places.reshape(-1)[number] = len(chunks)
            chunks.append(data)
        numbers.append(places)
    arranged = arrange(numbers).ravel()
    return {number: chunks[arranged[number]] for number in np.flatnonzero(arranged >= 0).tolist()}


def _without(lengths: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return lengths[:axis] + lengths[axis + 1 :]
