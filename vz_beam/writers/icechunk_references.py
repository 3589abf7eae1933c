"""References and chunks of one array into an Icechunk session, in batches; any number of forked sessions may do so.

Source: https://icechunk.io/en/stable/virtual/. Measured with a million references into 2,500 files: icechunk 1.1.21
takes 9.7 s, and 3.1 s without its own logging, which ``ICECHUNK_NO_LOGS=1`` in the environment turns off where it is
set before the import; 2.3.0 takes 0.6 s from arrays, and 1.4 s from ``VirtualChunkSpec`` objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zarr.core.buffer import cpu
from zarr.core.sync import sync

from vz_beam.combine.fragment import Fragment
from vz_beam.errors import InputError
from vz_beam.manifests.chunk_manifest import MISSING
from vz_beam.writers.icechunk_locations import Checksum, icechunk_url

if TYPE_CHECKING:
    from icechunk import IcechunkStore

BATCH = 50_000
"""References handed over at once: some 20 MB as objects. Larger batches are no faster."""
AT_ONCE = 1_000
"""Chunks written or deleted at once."""
DENSE = 4
"""A box of chunks goes over as arrays where at least one chunk in this many is a reference."""


class Box(NamedTuple):
    """A part of a chunk grid that is one run of C-order numbers, and the rows of a fragment that lie in it."""

    corner: tuple[int, ...]
    shape: tuple[int, ...]
    start: int
    rows: slice

    @property
    def size(self) -> int:
        """Number of chunks."""
        return int(np.prod(self.shape, dtype=np.int64))


def boxes(numbers: NDArray[np.int64], grid_shape: tuple[int, ...], most: int = BATCH) -> Iterator[Box]:
    """The boxes of at most ``most`` chunks that hold the chunks of these ascending numbers, empty ones left out.

    >>> [(box.corner, box.shape, box.rows) for box in boxes(np.array([0, 1, 7]), (3, 4), 4)]
    [((0, 0), (1, 4), slice(0, 2, None)), ((1, 0), (1, 4), slice(2, 3, None))]
    """
    if not len(numbers):
        return
    inner = [int(np.prod(grid_shape[axis + 1 :], dtype=np.int64)) for axis in range(len(grid_shape))]
    axis = next((axis for axis, count in enumerate(inner) if count <= most), 0)
    if not grid_shape:
        yield Box((), (), 0, slice(0, 1))
        return
    length, count = grid_shape[axis], inner[axis]
    rows = max(1, most // count)
    leads, places = np.divmod(numbers, length * count)
    blocks = places // (rows * count)
    starts = np.flatnonzero(np.diff(leads, prepend=-1) | np.diff(blocks, prepend=-1))
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True):
        lead, first = int(leads[start]), int(blocks[start]) * rows
        above = tuple(int(i) for i in np.unravel_index(lead, grid_shape[:axis])) if axis else ()
        yield Box(
            (*above, first, *(0,) * (len(grid_shape) - axis - 1)),
            (*(1,) * axis, min(rows, length - first), *grid_shape[axis + 1 :]),
            lead * length * count + first * count,
            slice(start, stop),
        )


def write_references(
    store: IcechunkStore,
    path: str,
    grid_shape: tuple[int, ...],
    fragment: Fragment,
    checksums: Mapping[str, Checksum],
    *,
    validate_containers: bool = True,
) -> None:
    """Set the chunks of a fragment in the array at ``path``, which is there; all other chunks stay as they are.

    Args:
        store: of a writable session or of a fork of one.
        path: of the array.
        grid_shape: of the array, chunks.
        fragment: references, and inlined chunks, which are written as chunks of the store.
        checksums: by location of the fragment; locations without one are not checked by readers.
        validate_containers: whether Icechunk looks for a container of each reference.

    Raises:
        InputError: locations that Icechunk has no container for.
    """
    write_chunks(store, path, grid_shape, fragment.inlined)
    rows = np.flatnonzero(fragment.location_ids >= 0)
    if not len(rows):
        return
    if len(rows) < len(fragment):
        fragment = fragment.take(rows)
    urls = np.array([icechunk_url(url) for url in fragment.locations], object)
    marks = [checksums.get(url) for url in fragment.locations]
    mark_ids = _numbered(marks)[fragment.location_ids]
    takes_arrays = hasattr(store, "set_virtual_refs_arr")
    for box in boxes(fragment.numbers, grid_shape):
        part = box.rows
        ids = mark_ids[part]
        if takes_arrays and DENSE * len(ids) >= box.size and (ids == ids[0]).all():
            failed = _set_arrays(
                store, path, box, fragment, urls, marks[fragment.location_ids[part.start]], validate_containers
            )
        else:
            failed = _set_objects(store, path, grid_shape, part, fragment, urls, marks, validate_containers)
        if failed:
            number = int(np.ravel_multi_index(tuple(failed[0]), grid_shape)) if grid_shape else 0
            row = int(np.searchsorted(fragment.numbers, number))
            raise InputError(
                f"{path!r}: Icechunk has no virtual chunk container for {urls[fragment.location_ids[row]]}, the place "
                f"of chunk {tuple(failed[0])}. Way out: discard the session's changes, give the repository a container "
                "for that prefix, and write again"
            )


def write_chunks(store: IcechunkStore, path: str, grid_shape: tuple[int, ...], chunks: Mapping[int, bytes]) -> None:
    """Store encoded chunks, by C-order number."""
    items = sorted(chunks.items())
    _at_once(items, lambda item: store.set(chunk_key(path, item[0], grid_shape), cpu.Buffer.from_bytes(item[1])))


def delete_chunks(store: IcechunkStore, path: str, grid_shape: tuple[int, ...], numbers: NDArray[np.int64]) -> None:
    """Make the chunks of these numbers missing, so that they read as the fill value."""
    if len(numbers) > AT_ONCE:  # a deletion takes 0.1 ms, a look at what is there 1 microsecond
        numbers = numbers[np.isin(numbers, _present(store, path, grid_shape))]
    _at_once(numbers.tolist(), lambda number: store.delete(chunk_key(path, number, grid_shape)))


def chunk_key(path: str, number: int, grid_shape: tuple[int, ...]) -> str:
    """The key of a chunk in the store.

    >>> chunk_key("a/v", 5, (2, 3)), chunk_key("v", 0, ())
    ('a/v/c/1/2', 'v/c')
    """
    index = np.unravel_index(number, grid_shape) if grid_shape else ()
    return "/".join([path, "c", *(str(int(i)) for i in index)])


def _present(store: IcechunkStore, path: str, grid_shape: tuple[int, ...]) -> NDArray[np.int64]:
    async def collect() -> list[tuple[int, ...]]:
        return [tuple(index) async for index in store.session.chunk_coordinates(f"/{path}", batch_size=BATCH)]

    indexes = np.array(sync(collect()), np.int64).reshape(-1, len(grid_shape))
    numbers = np.zeros(len(indexes), np.int64)
    for axis, length in enumerate(grid_shape):
        numbers = numbers * length + indexes[:, axis]
    return numbers


def _at_once(items: Sequence[Any], act: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async def together(part: Sequence[Any]) -> None:
        await asyncio.gather(*map(act, part))

    for start in range(0, len(items), AT_ONCE):
        sync(together(items[start : start + AT_ONCE]))


def _numbered(marks: Sequence[Checksum]) -> NDArray[np.int64]:
    """Equal marks by equal numbers."""
    known: dict[Checksum, int] = {}
    return np.array([known.setdefault(mark, len(known)) for mark in marks], np.int64)


def _set_arrays(
    store: Any, path: str, box: Box, fragment: Fragment, urls: NDArray[Any], mark: Checksum, validate: bool
) -> Any:
    ids, offsets, lengths = (column[box.rows] for column in (fragment.location_ids, fragment.offsets, fragment.lengths))
    if len(ids) < box.size:
        here = fragment.numbers[box.rows] - box.start
        ids = _spread(ids, here, np.full(box.size, MISSING, np.int32))
        offsets, lengths = (_spread(column, here, np.zeros(box.size, np.uint64)) for column in (offsets, lengths))
    return store.set_virtual_refs_arr(
        f"/{path}",
        box.shape,
        np.append(urls, [""])[ids].tolist(),  # Icechunk leaves out those with an empty text; MISSING is the last
        np.ascontiguousarray(offsets, np.uint64),
        np.ascontiguousarray(lengths, np.uint64),
        validate_containers=validate,
        arr_offset=box.corner,
        checksum=mark,
    )


def _spread(values: NDArray[Any], places: NDArray[np.int64], column: NDArray[Any]) -> NDArray[Any]:
    column[places] = values
    return column


def _set_objects(
    store: IcechunkStore,
    path: str,
    grid_shape: tuple[int, ...],
    rows: slice,
    fragment: Fragment,
    urls: NDArray[Any],
    marks: Sequence[Checksum],
    validate: bool,
) -> Any:
    from icechunk import VirtualChunkSpec

    numbers, ids = fragment.numbers[rows], fragment.location_ids[rows]
    indexes = np.stack(np.unravel_index(numbers, grid_shape), axis=1) if grid_shape else np.empty((1, 0), np.int64)
    etags = np.array([mark if isinstance(mark, str) else None for mark in marks], object)
    times = np.array([mark if isinstance(mark, datetime) else None for mark in marks], object)
    columns = (urls[ids], fragment.offsets[rows], fragment.lengths[rows], etags[ids], times[ids])
    chunks = list(map(VirtualChunkSpec, indexes.tolist(), *(column.tolist() for column in columns)))
    return store.set_virtual_refs(f"/{path}", chunks, validate_containers=validate)
