"""Axes of virtual arrays: in another order, new, or dropped, without a byte moving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vz_beam.errors import ManifestError, ManifestIndexError
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray

TRANSPOSE = "transpose"
"""Zarr's codec that stores the axes of a chunk in another order."""
_SHARDING = "sharding_indexed"


def with_axes(array: ManifestArray, axes: Sequence[int | None]) -> ManifestArray:
    """The array with the axes ``axes``: numbers of its own, ``None`` for a new one of length 1.

    Axes that are not named are dropped; they have one element, in a chunk of one. Where the elements of a chunk lie
    in another order than the axes say, the codec ``transpose`` says so.

    Raises:
        ManifestError: codecs that depend on the number of axes, where that changes.
    """
    metadata, manifest = array.metadata, array.manifest
    kept = [axis for axis in axes if axis is not None]
    dropped = [axis for axis in range(array.ndim) if axis not in kept]
    assert all(array.shape[axis] == metadata.chunk_shape[axis] == 1 for axis in dropped)
    if list(axes) == list(range(array.ndim)):
        return array
    new = replace(
        metadata,
        shape=tuple(1 if axis is None else metadata.shape[axis] for axis in axes),
        chunk_shape=tuple(1 if axis is None else metadata.chunk_shape[axis] for axis in axes),
        codecs=_reordered_codecs(metadata, axes),
        dimension_names=_names(metadata, axes),
        uneven_chunks={
            place: metadata.uneven_chunks[axis]
            for place, axis in enumerate(axes)
            if axis is not None and axis in metadata.uneven_chunks
        },
    )
    grid_shape = new.chunk_grid.grid_shape
    if not manifest.nrefs:
        return type(array)(new, ChunkManifest.empty(grid_shape))
    order = (*kept, *dropped)
    ids, offsets, lengths = (
        column.transpose(order).reshape(grid_shape)
        for column in (manifest.location_ids, manifest.offsets, manifest.lengths)
    )
    inlined = dict(manifest.inlined)
    if inlined and kept != sorted(kept):
        places = np.unravel_index(np.fromiter(inlined, np.int64, len(inlined)), manifest.grid_shape)
        numbers = np.ravel_multi_index(
            tuple(places[axis] for axis in order), tuple(manifest.grid_shape[axis] for axis in order)
        )
        inlined = dict(zip(numbers.tolist(), inlined.values(), strict=True))
    return type(array)(new, ChunkManifest.from_columns(manifest.locations, ids, offsets, lengths, inlined))


def transpose(a: ManifestArray, axes: Sequence[int] | None = None) -> ManifestArray:
    """The array with its axes in another order, as :func:`numpy.transpose`.

    VirtualiZarr has no transpose. Where chunks are longer than 1 along axes that change places, the result has the
    codec ``transpose``, which Zarr v3 knows; Zarr v2 can say it where the order is reversed as a whole.
    """
    order = range(a.ndim)[::-1] if axes is None else [normal_axis(axis, a.ndim) for axis in axes]
    if sorted(order) != list(range(a.ndim)):
        raise ManifestError(f"axes {axes} are no order of {a.ndim} axes")
    return with_axes(a, list(order))


def moveaxis(a: ManifestArray, source: int | Sequence[int], destination: int | Sequence[int]) -> ManifestArray:
    """The array with some axes at other places, as :func:`numpy.moveaxis`."""
    sources, places = (
        [normal_axis(axis, a.ndim) for axis in ((axes,) if isinstance(axes, (int, np.integer)) else axes)]
        for axes in (source, destination)
    )
    if len(sources) != len(places) or len(set(sources)) != len(sources) or len(set(places)) != len(places):
        raise ManifestError(f"axes {source} cannot be moved to {destination}: each must be named once")
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return with_axes(a, order)


def swapaxes(a: ManifestArray, axis1: int, axis2: int) -> ManifestArray:
    """The array with two axes exchanged."""
    order = list(range(a.ndim))
    one, other = normal_axis(axis1, a.ndim), normal_axis(axis2, a.ndim)
    order[one], order[other] = other, one
    return with_axes(a, order)


def expand_dims(a: ManifestArray, axis: int | Sequence[int]) -> ManifestArray:
    """The array with new axes of length 1; negative axes count from the end of the result."""
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    ndim = a.ndim + len(axes)
    places = {normal_axis(place, ndim) for place in axes}
    if len(places) != len(axes):
        raise ManifestError(f"an axis is named twice in {axis}")
    own = iter(range(a.ndim))
    return with_axes(a, [None if place in places else next(own) for place in range(ndim)])


def stored_order(metadata: ArrayMetadata) -> tuple[int, ...]:
    """The array's axes in the order in which a chunk's bytes hold them, the slowest first."""
    order = list(range(metadata.ndim))
    for codec in metadata.codecs[: _leading(metadata)]:
        order = [order[axis] for axis in codec.configuration["order"]]
    return tuple(order)


def is_fortran_order(metadata: ArrayMetadata) -> bool:
    """Whether a chunk's bytes hold the first axis fastest and the last one slowest.

    >>> is_fortran_order(ArrayMetadata((4, 6), np.dtype("f4"), (2, 3), codecs=(Codec("transpose", {"order": [1, 0]}),)))
    True
    """
    order = [axis for axis in stored_order(metadata) if metadata.chunk_shape[axis] > 1]
    return len(order) > 1 and order == sorted(order, reverse=True)


def without_transpose(metadata: ArrayMetadata) -> tuple[Codec, ...]:
    """The codecs after those that :func:`stored_order` tells of."""
    return metadata.codecs[_leading(metadata) :]


def normal_axis(axis: Any, ndim: int) -> int:
    """The axis counted from the front.

    >>> normal_axis(-1, 3)
    2
    """
    if not -ndim <= axis < ndim:
        raise ManifestIndexError(f"axis {axis} is out of bounds for array of dimension {ndim}")
    return int(axis) % ndim


def _leading(metadata: ArrayMetadata) -> int:
    count = 0
    for codec in metadata.codecs:
        if codec.name != TRANSPOSE or not isinstance(codec.configuration.get("order"), (list, tuple)):
            break
        count += 1
    return count


def _reordered_codecs(metadata: ArrayMetadata, axes: Sequence[int | None]) -> tuple[Codec, ...]:
    rest = without_transpose(metadata)
    serializer = metadata.serializer
    rigid = [codec.name for codec in rest if codec.name == TRANSPOSE]
    rigid += [_SHARDING] if serializer is not None and serializer.name == _SHARDING else []
    if rigid and (len(axes) != metadata.ndim or None in axes):
        raise ManifestError(f"codec {rigid[0]!r} is made for {metadata.ndim} axes: none can be added or dropped")
    new = [place for place, axis in enumerate(axes) if axis is None]
    order = new + [list(axes).index(axis) for axis in stored_order(metadata) if axis in axes]
    lengths = [1 if axis is None else metadata.chunk_shape[axis] for axis in axes]
    counted = [axis for axis in order if lengths[axis] > 1 or rigid]
    if counted == sorted(counted):
        return rest
    return (Codec(TRANSPOSE, {"order": order}), *rest)


def _names(metadata: ArrayMetadata, axes: Sequence[int | None]) -> tuple[str, ...] | None:
    names = metadata.dimension_names
    if names is None or None in axes:
        return None
    return tuple(names[axis] for axis in axes if axis is not None)
