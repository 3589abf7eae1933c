"""One mapping of a virtual dataset together with the array that it takes its elements from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.parsers.hdf5.block_runs import AxisPairs, axis_pairs
from vz_beam.parsers.hdf5.selections import AxisSelection, Selection, whole
from vz_beam.parsers.hdf5.source_values import SourceValues
from vz_beam.parsers.hdf5.virtual_mappings import VirtualMapping


@dataclass(frozen=True, slots=True)
class MappedSource:
    """``pairs`` says how the axes of both sides run along each other; ``None`` where they do not."""

    mapping: VirtualMapping
    array: ManifestArray
    pairs: AxisPairs | None

    def is_fill(self, fill_value: Any) -> bool:
        """Whether the source was never written, and all of it reads as ``fill_value``."""
        if self.array.manifest.nrefs:
            return False
        own = self.array.metadata.fill_value
        return own is None or same_value(np.asarray(own, self.array.dtype), fill_value)

    def copy_values(
        self, chunk: NDArray[Any], start: tuple[int, ...], stop: tuple[int, ...], values: SourceValues
    ) -> None:
        """Write the elements of the mapping that lie from ``start`` to ``stop`` into ``chunk``."""
        virtual, source = self.mapping.virtual, self.mapping.source
        if self.pairs is None:
            ours, theirs = virtual.coordinates(), source.coordinates()
            inside = np.all((ours >= np.array(start)) & (ours < np.array(stop)), axis=1)
            if inside.any():
                wanted = theirs[inside]
                low, high = wanted.min(axis=0), wanted.max(axis=0) + 1
                box = values.box(self.array, tuple(low.tolist()), tuple(high.tolist()))
                chunk[tuple((ours[inside] - np.array(start)).T)] = box[tuple((wanted - low).T)]
            return
        ours_along: list[NDArray[np.int64]] = []
        theirs_along: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * self.array.ndim
        for axis, of in enumerate(self.pairs.sources):
            numbers = _numbers_between(virtual.axes[axis], start[axis], stop[axis])
            ours_along.append(virtual.axes[axis].positions(numbers) - start[axis])
            if of is not None:
                theirs_along[of] = source.axes[of].positions(numbers)
        for axis, position in self.pairs.lone:
            theirs_along[axis] = np.array([position])
        counts = tuple(map(len, ours_along))
        if 0 in counts:
            return
        lows = tuple(int(column.min()) for column in theirs_along)
        box = values.box(self.array, lows, tuple(int(column.max()) + 1 for column in theirs_along))
        picked = box[np.ix_(*(column - low for column, low in zip(theirs_along, lows, strict=True)))]
        chunk[np.ix_(*ours_along)] = picked.reshape(counts)


def mapped_source(
    mapping: VirtualMapping, array: ManifestArray, dtype: np.dtype[Any], inner_shape: tuple[int, ...]
) -> MappedSource:
    """``mapping``, checked against the array of its source.

    Args:
        mapping: ended.
        array: of the source.
        dtype: of the virtual dataset.
        inner_shape: the trailing axes that an array datatype adds to both.

    Raises:
        UnsupportedError: a source of another shape than the mapping says, or of values that would be changed.
    """
    inner = tuple(AxisSelection(0, 1, 1, length) for length in inner_shape)
    rank = array.ndim - len(inner_shape)
    if array.shape[rank:] != inner_shape:
        raise UnsupportedError(f"{mapping} has elements of another shape: arrays of {array.shape[max(rank, 0) :]}")
    if array.dtype != dtype and not _keeps_values(array.dtype, dtype):
        raise UnsupportedError(f"{mapping} has values of type {array.dtype}, not all of which {dtype} can hold")
    source = whole(array.shape[:rank]) if mapping.source.is_all else mapping.source
    _check_inside(mapping, source, array.shape[:rank])
    if source.size != mapping.virtual.size:
        raise UnsupportedError(
            f"{mapping} takes {mapping.virtual.size} elements of a source that has {source.size} for it"
        )
    virtual = mapping.virtual
    if inner:
        if virtual.points is not None or source.points is not None:
            raise UnsupportedError(f"{mapping} selects single elements, which are arrays")
        virtual, source = replace(virtual, axes=virtual.axes + inner), replace(source, axes=source.axes + inner)
    mapping = replace(mapping, virtual=virtual, source=source)
    pairs = axis_pairs(virtual, source)
    if pairs is None:
        virtual.coordinates()  # raises where there are too many to go through one by one
    return MappedSource(mapping, array, pairs)


def same_value(values: NDArray[Any], fill_value: Any) -> bool:
    """Whether all of ``values`` are the fill value, bit by bit; one that is not defined is 0."""
    if values.dtype.kind in "OT":
        return bool(np.all(values == (fill_value or "")))
    fill: NDArray[Any] = np.zeros((), values.dtype) if fill_value is None else np.asarray(fill_value, values.dtype)
    return values.tobytes() == fill.tobytes() * values.size


def _keeps_values(ours: np.dtype[Any], theirs: np.dtype[Any]) -> bool:
    return ours.kind in "iufc" and theirs.kind in "iufc" and np.can_cast(ours, theirs, "safe")


def _check_inside(mapping: VirtualMapping, source: Selection, shape: tuple[int, ...]) -> None:
    if source.points is not None:
        outside = source.points.shape[1] != len(shape) or bool((source.points >= np.array(shape)).any())
    else:
        outside = len(source.axes) != len(shape) or any(
            axis.stop(axis.length) > length for axis, length in zip(source.axes, shape, strict=True)
        )
    if outside:
        raise UnsupportedError(f"{mapping} reaches over its source, which has the shape {shape}")


def _numbers_between(axis: AxisSelection, start: int, stop: int) -> NDArray[np.int64]:
    """The numbers of the elements of ``axis`` from ``start`` to ``stop``."""
    return np.arange(axis.length_below(start), axis.length_below(stop))
