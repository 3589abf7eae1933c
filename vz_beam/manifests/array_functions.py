"""The numpy functions that only rearrange chunks: what xarray needs to join and reshape virtual arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import ManifestError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray

ARRAY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""Implementations by the numpy function that they stand for."""


def _implements(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        ARRAY_FUNCTIONS[function] = implementation
        return implementation

    return register


@_implements(np.concatenate)
def concatenate(arrays: Sequence[ManifestArray], axis: int | None = 0) -> ManifestArray:
    """Arrays one after the other along ``axis``; a partial chunk is legal in the last one only."""
    if axis is None:
        raise ManifestError("concatenate(axis=None) would have to flatten the arrays: give an axis")
    arrays = list(arrays)
    first = _check_joinable(arrays)
    axis = _axis(axis, first.ndim)
    for number, array in enumerate(arrays):
        if _without(array.shape, axis) != _without(first.shape, axis):
            raise ManifestError(f"shapes {first.shape} and {array.shape} differ off axis {axis}")
        if number < len(arrays) - 1 and array.metadata.chunk_grid.is_partial(axis):
            raise ManifestError(
                f"array {number} has {array.shape[axis]} elements along axis {axis}, not a multiple of its chunk "
                f"length {array.metadata.chunk_shape[axis]}: a partial chunk is legal at the very end only"
            )
    shape = _with(first.shape, axis, sum(array.shape[axis] for array in arrays))
    return _assemble(first, arrays, shape, first.metadata.chunk_shape, lambda cut: np.concatenate(cut, axis=axis))


@_implements(np.stack)
def stack(arrays: Sequence[ManifestArray], axis: int = 0) -> ManifestArray:
    """Arrays beside each other along a new axis of chunk length 1."""
    arrays = list(arrays)
    first = _check_joinable(arrays)
    axis = _axis(axis, first.ndim + 1)
    for array in arrays:
        if array.shape != first.shape:
            raise ManifestError(f"arrays to stack differ in shape: {first.shape} and {array.shape}")
    shape = (*first.shape[:axis], len(arrays), *first.shape[axis:])
    chunk_shape = (*first.metadata.chunk_shape[:axis], 1, *first.metadata.chunk_shape[axis:])
    return _assemble(first, arrays, shape, chunk_shape, lambda cut: np.stack(cut, axis=axis))


@_implements(np.expand_dims)
def expand_dims(a: ManifestArray, axis: int | Sequence[int]) -> ManifestArray:
    """The array with new axes of length 1."""
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    places = sorted(_axis(int(place), a.ndim + len(axes)) for place in axes)
    shape, chunk_shape = list(a.shape), list(a.metadata.chunk_shape)
    for place in places:
        shape.insert(place, 1)
        chunk_shape.insert(place, 1)
    return _assemble(a, [a], tuple(shape), tuple(chunk_shape), lambda cut: np.expand_dims(cut[0], tuple(places)))


@_implements(np.broadcast_to)
def broadcast_to(array: ManifestArray, shape: Sequence[int] | int, subok: bool = False) -> ManifestArray:
    """The array repeated along new axes, and along axes of length 1 whose chunks are 1 long."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    new = len(shape) - array.ndim
    if new < 0:
        raise ManifestError(f"shape {array.shape} cannot be broadcast to {shape}")
    chunk_shape = (1,) * new + array.metadata.chunk_shape
    grid_shape = list(shape[:new])
    for length, wanted, chunk in zip(array.shape, shape[new:], array.metadata.chunk_shape, strict=True):
        if length == wanted:
            grid_shape.append(-(-length // chunk))
        elif length == 1 and chunk == 1:
            grid_shape.append(wanted)
        elif length == 1:
            raise ManifestError(f"an axis of length 1 in a chunk of {chunk} cannot be repeated: its padding would show")
        else:
            raise ManifestError(f"shape {array.shape} cannot be broadcast to {shape}")
    return _assemble(array, [array], shape, chunk_shape, lambda cut: np.broadcast_to(cut[0], grid_shape))


@_implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The one dtype of all arrays; scalars beside them do not count, since nothing is converted."""
    dtypes = {x.dtype for x in arrays_and_dtypes if isinstance(getattr(x, "dtype", None), np.dtype)}
    dtypes |= {x for x in arrays_and_dtypes if isinstance(x, np.dtype)}
    if len(dtypes) != 1:
        raise ManifestError(f"virtual arrays cannot be converted, and their types differ: {sorted(map(str, dtypes))}")
    (dtype,) = dtypes
    assert isinstance(dtype, np.dtype)
    return dtype


@_implements(np.full_like)
def full_like(a: ManifestArray, fill_value: Any, dtype: Any = None, **_: Any) -> NDArray[Any]:
    """A constant array in the memory of one element."""
    return np.broadcast_to(np.asarray(fill_value, dtype=dtype or a.dtype), a.shape)


@_implements(np.isnan)
def isnan(a: ManifestArray) -> NDArray[np.bool_]:
    """All ``False``, in the memory of one element: references are not looked into."""
    return np.broadcast_to(np.False_, a.shape)


@_implements(np.shape)
def shape_of(a: ManifestArray) -> tuple[int, ...]:
    """The array's shape."""
    return a.shape


@_implements(np.ndim)
def ndim_of(a: ManifestArray) -> int:
    """The array's number of dimensions."""
    return a.ndim


def elementwise_equal(a: ManifestArray, b: ManifestArray) -> NDArray[np.bool_]:
    """Whether references and metadata are the same, bool[shape]: one answer for the whole array, O(chunks)."""
    if a.shape != b.shape:
        raise ManifestError(f"arrays of shape {a.shape} and {b.shape} cannot be compared by element")
    same = not _differences(a, b) and a.manifest == b.manifest
    return np.broadcast_to(np.bool_(same), a.shape)


def _check_joinable(arrays: Sequence[ManifestArray]) -> ManifestArray:
    if not arrays:
        raise ManifestError("there are no arrays to join")
    first = arrays[0]
    for array in arrays:
        if not hasattr(array, "manifest"):
            raise ManifestError(
                f"a virtual array cannot be joined with a loaded one ({type(array).__name__}): load the variable in "
                "all files or in none"
            )
        if array.ndim != first.ndim:
            raise ManifestError(f"arrays have {first.ndim} and {array.ndim} dimensions")
        if differences := _differences(first, array):
            raise ManifestError("arrays cannot be joined without reading data: " + "; ".join(differences))
    return first


def _differences(a: ManifestArray, b: ManifestArray) -> list[str]:
    found = []
    for name in ("dtype", "chunk_shape", "byte_order", "serializer", "codecs"):
        left, right = getattr(a.metadata, name), getattr(b.metadata, name)
        if left != right:
            found.append(f"{name} {left} and {right}")
    fills = a.metadata.fill_value, b.metadata.fill_value
    if repr(fills[0]) != repr(fills[1]):
        found.append(f"fill value {fills[0]!r} and {fills[1]!r}")
    return found


def _assemble(
    first: ManifestArray,
    arrays: Sequence[ManifestArray],
    shape: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    arrange: Callable[[list[NDArray[Any]]], NDArray[Any]],
) -> ManifestArray:
    """One array whose columns are those of ``arrays``, arranged; inlined chunks follow by their numbers."""
    table: dict[str, int] = {}
    ids, numbers = [], []
    chunks: list[bytes] = []
    for array in arrays:
        manifest = array.manifest
        known = np.array(
            [table.setdefault(url, len(table)) for url in manifest.locations] + [INLINED, MISSING], np.int32
        )
        ids.append(known[manifest.location_ids])
        places = np.full(manifest.grid_shape, -1, np.int64)
        for number, data in manifest.inlined.items():
            places.reshape(-1)[number] = len(chunks)
            chunks.append(data)
        numbers.append(places)
    inlined = {}
    if chunks:
        arranged = arrange(numbers).ravel()
        inlined = {int(n): chunks[arranged[n]] for n in np.flatnonzero(arranged >= 0)}
    manifest = ChunkManifest.from_columns(
        tuple(table),
        arrange(ids),
        arrange([array.manifest.offsets for array in arrays]),
        arrange([array.manifest.lengths for array in arrays]),
        inlined,
    )
    metadata = replace(
        first.metadata,
        shape=shape,
        chunk_shape=chunk_shape,
        dimension_names=first.metadata.dimension_names if len(shape) == first.ndim else None,
    )
    return type(first)(metadata, manifest)


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise ManifestError(f"axis {axis} is out of bounds for {ndim} dimensions")
    return axis % ndim


def _without(lengths: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return lengths[:axis] + lengths[axis + 1 :]


def _with(lengths: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    return (*lengths[:axis], length, *lengths[axis + 1 :])
