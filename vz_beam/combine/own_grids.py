"""Where chunks of inputs do not make a regular grid, and the grid of any lengths that they make as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.loaded import MOST_LISTED
from vz_beam.combine.survey import Alike, Survey
from vz_beam.manifests.chunk_grid import UnevenChunks
from vz_beam.manifests.metadata import ArrayMetadata


class OwnGrid(NamedTuple):
    """The chunks of an array as its inputs have them, one input after the other.

    Args:
        chunk_shape: elements; of the longest chunk along the axes in ``uneven``.
        uneven: by axis, where chunks are not all of one length.
        problems: what no grid can say, in a sentence each.
    """

    chunk_shape: tuple[int, ...]
    uneven: Mapping[int, UnevenChunks]
    problems: list[str]


class _Along(NamedTuple):
    """Chunks of an array along one axis.

    Args:
        lengths: int64[numbers], elements of each input.
        chunks: int64[numbers], elements of the longest chunk of each, 0 where no input tells.
        uneven: by number, of inputs whose chunks are not all of one length.
        clashes: sentences about inputs with the same number and other chunks.
    """

    lengths: NDArray[np.int64]
    chunks: NDArray[np.int64]
    uneven: Mapping[int, UnevenChunks]
    clashes: list[str]

    def partial(self) -> NDArray[np.int64]:
        """The numbers whose last chunk reaches over their end."""
        reaches = self.lengths % np.maximum(self.chunks, 1) > 0
        for number, own in self.uneven.items():
            reaches[number] = own.stop > self.lengths[number]
        return np.flatnonzero(reaches & (self.lengths > 0) & (self.chunks > 0))

    def joined(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[chunks]: elements of each chunk of the inputs in ``order``, none of which is empty."""
        chunks = np.where(self.chunks > 0, self.chunks, self._usual(order))
        counts = -(-self.lengths // chunks)
        if not self.uneven:
            return np.repeat(chunks[order], counts[order])
        parts = [
            self.uneven[number].lengths if number in self.uneven else np.repeat(chunks[number], counts[number])
            for number in order.tolist()
        ]
        return np.concatenate(parts)

    def _usual(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[numbers]: the chunks that absent inputs are taken to have, one where others are one or it must be."""
        known = order[self.chunks[order] > 0]
        values, counts = np.unique(self.chunks[known], return_counts=True)
        usual = int(values[np.argmax(counts)])
        is_one = bool((self.chunks[known] == self.lengths[known]).all())
        return np.where(is_one or self.lengths % usual != 0, np.maximum(self.lengths, 1), usual)


def own_grid(survey: Survey, path: str, dims: tuple[str, ...], order: Mapping[str, NDArray[np.int64]]) -> OwnGrid:
    """The grid that the inputs' own chunks make.

    Args:
        survey: of all inputs.
        path: of a virtual array.
        dims: of the array.
        order: numbers along each concatenated dimension, in the order of their places.
    """
    chunk_shape, uneven, problems = [], {}, []
    group = path.rpartition("/")[0]
    for axis, dim in enumerate(dims):
        along = _along(survey, path, axis, dim)
        problems += along.clashes
        numbers = order.get(dim, np.zeros(1, np.int64))
        filled = numbers[along.lengths[numbers] > 0]
        if not len(filled):
            chunk_shape.append(max(1, int(along.chunks.max())))
            continue
        problems += list(_partial(survey, path, group, dim, filled, along))
        lengths = along.joined(filled)
        if (lengths == lengths[0]).all():
            chunk_shape.append(int(lengths[0]))
        else:
            uneven[axis] = UnevenChunks(lengths)
            chunk_shape.append(uneven[axis].longest)
    return OwnGrid(tuple(chunk_shape), uneven, problems)


def partial_chunks(
    survey: Survey,
    path: str,
    dims: tuple[str, ...],
    chunk_shape: tuple[int, ...],
    order: Mapping[str, NDArray[np.int64]],
) -> list[str]:
    """Where an array in chunks of one shape would have a partial chunk in the middle, in a sentence each."""
    group, found = path.rpartition("/")[0], []
    for dim, chunk in zip(dims, chunk_shape, strict=True):
        if dim in order:
            lengths = survey.lengths[group, dim]
            filled = order[dim][lengths[order[dim]] > 0]
            along = _Along(lengths, np.full(len(lengths), chunk, np.int64), {}, [])
            found += list(_partial(survey, path, group, dim, filled, along))
    return found


def partial_numbers(survey: Survey, path: str, axis: int, dim: str) -> list[int]:
    """The numbers along ``dim`` whose last chunk reaches over their end."""
    return _along(survey, path, axis, dim).partial().tolist()  # type: ignore[no-any-return]


def _along(survey: Survey, path: str, axis: int, dim: str) -> _Along:
    lengths = survey.lengths[path.rpartition("/")[0], dim]
    place = survey.axis(dim)
    chunks = np.zeros(len(lengths), np.int64)
    uneven: dict[int, UnevenChunks] = {}
    clashes: list[str] = []
    for one, metadata in _holders(survey, path):
        numbers = np.zeros(1, np.int64) if place is None else np.unique(one.numbers[:, place])
        numbers = numbers[lengths[numbers] > 0] if place is not None else numbers
        own, length = metadata.uneven_chunks.get(axis), metadata.chunk_shape[axis]
        known = numbers[chunks[numbers] > 0]
        odd = known[chunks[known] != length]
        if uneven or own is not None:
            odd = np.array(
                [number for number in known.tolist() if uneven.get(number) != own or number in odd], np.int64
            )
        for number in odd[: MOST_LISTED - len(clashes)].tolist():
            other = uneven.get(number) or int(chunks[number])
            clashes.append(
                f"{path!r} has chunks of {own or length} elements along {dim!r} in {one.first.label}, and of {other} "
                f"in an input before it at the same place of {dim!r}"
            )
        chunks[numbers[chunks[numbers] == 0]] = length
        if own is not None:
            uneven |= dict.fromkeys(numbers.tolist(), own)
    return _Along(lengths, chunks, uneven, clashes)


def _holders(survey: Survey, path: str) -> Iterator[tuple[Alike, ArrayMetadata]]:
    """The classes of inputs that have a virtual array, and its metadata there but for the shape."""
    for one in survey.alike:
        known = survey.gathered.known[one.form].representatives.get(path)
        if known is not None and known.metadata is not None:
            yield one, known.metadata


def _partial(
    survey: Survey, path: str, group: str, dim: str, filled: NDArray[np.int64], along: _Along
) -> Iterator[str]:
    """Sentences about the numbers ``filled``, all but the last of which must end where a chunk does."""
    partial = np.isin(filled[:-1], along.partial())
    for place in np.flatnonzero(partial)[:MOST_LISTED].tolist():
        number = int(filled[place])
        label, follower = (_label(survey, group, dim, int(n)) for n in filled[place : place + 2])
        yield (
            f"{path!r} would have a partial chunk in the middle of {dim!r}: {along.lengths[number]} elements in chunks "
            f"of {along.chunks[number]} in {label}, followed by {follower}"
        )


def _label(survey: Survey, group: str, dim: str, number: int) -> str:
    axis = survey.dims.index(dim)
    if not any((one.numbers[:, axis] == number).any() for one in survey.alike):
        return f"the absent input {dim}={number}"
    return survey.witness_of_length(group, dim, number).label
