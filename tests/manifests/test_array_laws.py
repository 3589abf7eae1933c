"""Whatever a virtual array can do gives the values that numpy gives on the loaded array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.manifests.stored_arrays import FILL, INLINED, MISSING, ChunkFile, plans, values, with_grid
from vz_beam.errors import ManifestError
from vz_beam.manifests import ManifestArray, rechunked

law = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def chunks(tmp_path: Path) -> ChunkFile:
    return ChunkFile(tmp_path / "chunks")


def holds(operation: Callable[[Any], Any], *arrays: Any) -> ManifestArray | None:
    """Applies an operation to virtual and loaded arrays; both results must be the same, or the first refused."""
    argument: Any = arrays[0] if len(arrays) == 1 else list(arrays)
    loaded: Any = values(arrays[0]) if len(arrays) == 1 else [values(array) for array in arrays]
    expected = operation(loaded)
    try:
        result: ManifestArray = operation(argument)
    except ManifestError:
        event("refused")
        return None
    event("done")
    assert result.shape == expected.shape
    np.testing.assert_array_equal(values(result), expected)
    return result


@law
@given(st.data())
def test_basic_indexing(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    indexer = data.draw(npst.basic_indices(plan.shape, allow_newaxis=True, allow_ellipsis=True))
    array = chunks.store(plan)
    if np.ndim(values(array)[indexer]) or array[..., :] is not None:
        holds(lambda a: _indexed(a, indexer), array)


@law
@given(st.data())
def test_slices_from_a_chunk_border_are_never_refused(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    indexer = tuple(
        slice(data.draw(st.integers(0, n // c)) * c, data.draw(st.integers(0, n)))
        for n, c in zip(plan.shape, plan.chunk_shape, strict=True)
    )
    assert holds(lambda a: a[indexer], chunks.store(plan)) is not None


@law
@given(st.data())
def test_any_part_of_inlined_chunks(chunks: ChunkFile, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    array = chunks.store(data.draw(with_grid(shape, shape, (INLINED, MISSING), codecs=())))
    indexer = tuple(
        data.draw(st.one_of(st.integers(-n, n - 1), st.slices(n).map(lambda s: slice(s.start, s.stop)))) for n in shape
    )
    assert holds(lambda a: _indexed(a, indexer), array) is not None


@law
@given(st.data())
def test_arrays_of_positions(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    axis = data.draw(st.integers(0, len(plan.shape) - 1))
    positions = np.array(data.draw(_positions(plan.shape[axis], plan.chunk_shape[axis])), np.int64)
    holds(lambda a: a[(slice(None),) * axis + (positions,)], chunks.store(plan))


@law
@given(st.data())
def test_whole_chunks_in_any_order_along_several_axes(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    picked = [_chunk_positions(data, n, c) for n, c in zip(plan.shape, plan.chunk_shape, strict=True)]
    assert holds(lambda a: a[np.ix_(*picked)], chunks.store(plan)) is not None


@law
@given(st.data())
def test_reordering_axes(chunks: ChunkFile, data: st.DataObject) -> None:
    array = chunks.store(data.draw(plans()))
    axes, again = (data.draw(st.permutations(range(array.ndim))) for _ in range(2))
    turned = holds(lambda a: np.transpose(a, axes), array)
    assert turned is not None
    assert holds(lambda a: a.transpose(*again), turned) is not None
    source, place = (data.draw(st.integers(-array.ndim, array.ndim - 1)) for _ in range(2))
    assert holds(lambda a: np.moveaxis(a, source, place), turned) is not None
    assert holds(lambda a: np.swapaxes(a, source, place), turned) is not None
    assert holds(lambda a: a.T, turned) is not None
    indexer = data.draw(npst.basic_indices(turned.shape, min_dims=1, allow_ellipsis=False))
    holds(lambda a: _indexed(a, indexer), turned)


@law
@given(st.data())
def test_new_and_dropped_axes(chunks: ChunkFile, data: st.DataObject) -> None:
    array = chunks.store(data.draw(plans(max_dims=2)))
    turned = np.transpose(array) if data.draw(st.booleans()) else array
    count = data.draw(st.integers(1, 2))
    ndim = array.ndim + count
    axes = data.draw(st.lists(st.integers(0, ndim - 1), min_size=count, max_size=count, unique=True))
    axes = [axis - ndim if data.draw(st.booleans()) else axis for axis in axes]
    grown: Any = holds(lambda a: np.expand_dims(a, tuple(axes)), turned)
    assert grown is not None
    assert holds(lambda a: np.squeeze(a, tuple(axes)), grown) is not None
    holds(np.squeeze, grown)
    holds(lambda a: np.broadcast_to(a, tuple(3 if n == 1 else n for n in a.shape)), grown)
    holds(lambda a: np.broadcast_to(a, (2, *a.shape)), grown)


@law
@given(st.data())
def test_reshaping(chunks: ChunkFile, data: st.DataObject) -> None:
    array = chunks.store(data.draw(plans()))
    lengths = [n for n in array.shape if n > 1]
    shape = data.draw(
        st.sampled_from([(-1,), (1, -1), (-1, 1), (2, -1), (-1, 2), (-1, 3), (*lengths, 1), tuple(lengths)])
    )
    known = int(np.prod([n for n in shape if n > 0]))
    if array.size % known == 0 and (-1 in shape or known == array.size):
        holds(lambda a: np.reshape(a, shape), array)


@law
@given(st.data())
def test_joining(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    axis = data.draw(st.integers(-len(plan.shape), len(plan.shape) - 1))
    place = axis % len(plan.shape)
    arrays = []
    for _ in range(data.draw(st.integers(1, 3))):
        length = data.draw(st.integers(1, 2)) * plan.chunk_shape[place]
        shape = tuple(length if a == place else n for a, n in enumerate(plan.shape))
        grid = with_grid(shape, plan.chunk_shape, codecs=plan.codecs, byte_order=plan.byte_order)
        arrays.append(chunks.store(data.draw(grid)))
    last = chunks.store(plan)
    whole = plan.shape[place] % plan.chunk_shape[place] == 0
    assert (holds(lambda a: np.concatenate(a, axis=axis), *arrays, last, last) is not None) == whole
    assert (holds(lambda a: np.concatenate(a, axis=axis), last, *arrays) is not None) == whole
    assert holds(lambda a: np.concatenate(a, axis=axis), *arrays, *arrays[:1], last) is not None
    assert holds(lambda a: np.stack(a, axis=axis), last, last) is not None


@law
@given(st.data())
def test_other_chunks_hold_the_same_values(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    gap = data.draw(st.sampled_from([b"", b"?"]))
    chunk_shape = tuple(data.draw(st.integers(1, 6)) for _ in plan.shape)
    array = chunks.store(plan, gap)
    turned = np.transpose(array) if data.draw(st.booleans()) else array
    holds(lambda a: rechunked(a, chunk_shape) if isinstance(a, ManifestArray) else a, turned)


@law
@given(st.data())
def test_choosing_whole_chunks(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    first = chunks.store(plan)
    grid = with_grid(plan.shape, plan.chunk_shape, codecs=plan.codecs, byte_order=plan.byte_order)
    second = chunks.store(data.draw(grid))
    by_chunk = data.draw(npst.arrays(bool, first.manifest.grid_shape))
    condition = by_chunk
    for axis, (n, c) in enumerate(zip(plan.shape, plan.chunk_shape, strict=True)):
        condition = condition.repeat(c, axis).take(np.arange(n), axis)
    assert holds(lambda a: np.where(condition, a, FILL), first) is not None
    assert holds(lambda a: np.where(condition, FILL, a), first) is not None
    assert holds(lambda a: np.where(condition, *a), first, second) is not None
    holds(lambda a: np.where(condition, a, np.int32(3)), first)
    anything = data.draw(npst.arrays(bool, plan.shape))
    holds(lambda a: np.where(anything, a, FILL), first)


@law
@given(st.data())
def test_padding_with_whole_chunks(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans())
    widths = [tuple(data.draw(st.integers(0, 4)) for _ in "ab") for _ in plan.shape]
    holds(lambda a: np.pad(a, widths, mode="constant", constant_values=FILL), chunks.store(plan))


@law
@given(st.data())
def test_reindexing_by_xarray(chunks: ChunkFile, data: st.DataObject) -> None:
    plan = data.draw(plans(max_dims=2))
    dims = ("t", "x")[: len(plan.shape)]
    new = {
        dim: np.array(
            [
                p if p >= 0 else 100 + k
                for k, p in enumerate(data.draw(_positions(n, c, holes=True).filter(_at_most_once)))
            ],
            np.int64,
        )
        for dim, n, c in zip(dims, plan.shape, plan.chunk_shape, strict=True)
    }
    coords = {dim: np.arange(n) for dim, n in zip(dims, plan.shape, strict=True)}

    def reindexed(a: Any) -> Any:
        dataset = xr.Dataset({"v": (dims, a)}, coords=coords)
        return dataset.reindex(new, fill_value=int(FILL))["v"].data

    holds(reindexed, chunks.store(plan))


def _indexed(array: Any, indexer: Any) -> Any:
    return np.asarray(array[indexer]) if isinstance(array, np.ndarray) else array[indexer]


def _at_most_once(positions: list[int]) -> bool:
    known = [p for p in positions if p >= 0]
    return len(set(known)) == len(known)


def _positions(length: int, chunk: int, holes: bool = False) -> st.SearchStrategy[list[int]]:
    """Whole chunks and holes mostly, now and then anything."""
    blocks: st.SearchStrategy[list[int]] = st.integers(-1 if holes else 0, (length - 1) // chunk).map(
        lambda b: [-1] * chunk if b < 0 else list(range(b * chunk, min((b + 1) * chunk, length)))
    )
    joined = st.lists(blocks, max_size=4).map(lambda parts: [p for part in parts for p in part])
    return st.one_of(joined, joined, st.lists(st.integers(-1 if holes else -length, length - 1), max_size=6))


def _chunk_positions(data: st.DataObject, length: int, chunk: int) -> Any:
    whole = list(range(length // chunk))
    picked = data.draw(st.lists(st.sampled_from(whole), min_size=1, max_size=3)) if whole else [0]
    return np.array([p for b in picked for p in range(b * chunk, min((b + 1) * chunk, length))])
