"""Grids whose chunks are not all of one length."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.errors import FormatError, ManifestError, UnsupportedError, UnsupportedGridError
from vz_beam.manifests import ArrayMetadata, ChunkGrid
from vz_beam.manifests.chunk_grid import UnevenChunks
from vz_beam.manifests.zarr_v2 import to_v2
from vz_beam.manifests.zarr_v3 import from_v3, to_v3


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(0, 4))
def test_every_element_is_in_the_chunk_that_says_so(lengths: list[int], over: int) -> None:
    size = sum(lengths) - min(over, lengths[-1] - 1)
    grid = ChunkGrid((size, 7), (max(lengths), 3), {0: UnevenChunks(lengths)})
    owners = np.repeat(np.arange(len(lengths)), lengths)[:size]
    assert [grid.place(0, element) for element in range(size)] == owners.tolist()
    for place in range(len(lengths)):
        region = grid.region((place, 2))
        assert np.flatnonzero(owners == place).tolist() == list(range(region[0].start, region[0].stop))
        assert grid.chunk_shape_at((place, 2)) == (lengths[place], 3)
    assert sum(grid.clipped(0)) == size
    assert grid.is_partial(0) == (sum(lengths) > size)
    assert grid.places(0, 0, size) == range(len(lengths))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=12))
def test_runs_say_every_length(lengths: list[int]) -> None:
    chunks = UnevenChunks(lengths)
    assert UnevenChunks.of_runs(chunks.runs()) == chunks
    assert len(chunks.runs()) == 1 + sum(one != other for one, other in itertools.pairwise(lengths))
    copied = pickle.loads(pickle.dumps(chunks))
    assert (copied, hash(copied)) == (chunks, hash(chunks))


@pytest.mark.parametrize(
    ("shape", "longest", "lengths"), [((59,), 31, [31, 28, 1]), ((60,), 31, [31, 28]), ((59,), 30, [31, 28])]
)
def test_lengths_that_do_not_fit_are_refused(shape: tuple[int, ...], longest: int, lengths: list[int]) -> None:
    with pytest.raises(ManifestError):
        ChunkGrid(shape, (longest,), {0: UnevenChunks(lengths)})


@pytest.mark.parametrize("lengths", [[], [3, 0], [[3]]])
def test_lengths_that_are_none_are_refused(lengths: Any) -> None:
    with pytest.raises(ManifestError):
        UnevenChunks(lengths)


def uneven_array() -> ArrayMetadata:
    chunks = {0: UnevenChunks([31, 28, 31, 31])}
    return ArrayMetadata((115, 10), np.dtype("f4"), (31, 4), fill_value=np.float32(0), uneven_chunks=chunks)


def test_a_document_says_the_grid_in_runs() -> None:
    document = to_v3(uneven_array())
    assert document["chunk_grid"] == {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[[31, 1], [28, 1], [31, 2]], [[4, 3]]]},
    }
    assert from_v3(document) == uneven_array()


@pytest.mark.parametrize(
    ("shapes", "chunk_shape", "uneven"),
    [
        ([[31, 28], 4], (31, 4), {0: [31, 28]}),
        ([[[31, 1], 28], [[4, 3]]], (31, 4), {0: [31, 28]}),
        ([[31, 28, 7], [4, 4, 2]], (31, 4), {0: [31, 28], 1: [4, 4, 2]}),  # the third holds no element
        ([[31, 31], [4, 4, 4]], (31, 4), {}),
        ([59, 10], (59, 10), {}),
        ([[[1, 10**15]], [[10, 1]]], (1, 10), {}),
        ([[[2, 1], [1, 10**15]], [10]], (2, 10), {0: [2] + [1] * 57}),
    ],
)
def test_other_ways_to_say_a_grid_are_read(shapes: Any, chunk_shape: Any, uneven: Any) -> None:
    document = to_v3(ArrayMetadata((59, 10), np.dtype("i2"), (59, 10)))
    document["chunk_grid"] = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": shapes}}
    metadata = from_v3(document)
    assert metadata.chunk_shape == chunk_shape
    assert {axis: chunks.lengths.tolist() for axis, chunks in metadata.uneven_chunks.items()} == uneven


@pytest.mark.parametrize(
    ("grid", "error"),
    [
        ({"name": "hexagonal"}, UnsupportedGridError),
        ({"name": "rectilinear", "configuration": {"kind": "elsewhere"}}, UnsupportedGridError),
        ({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[31], 4]}}, FormatError),
        ({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[31, 28]]}}, FormatError),
        ({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[], 4]}}, FormatError),
        ({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [["a"], 4]}}, FormatError),
        ({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[[2, -3]], 4]}}, FormatError),
        (
            {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[[1, 10], [2, 3]], 4]}},
            FormatError,
        ),
        ({"name": "rectilinear", "configuration": {"kind": "inline"}}, FormatError),
    ],
)
def test_grids_that_are_none_are_refused(grid: Any, error: type[Exception]) -> None:
    document = {**to_v3(ArrayMetadata((59, 10), np.dtype("i2"), (59, 10))), "chunk_grid": grid}
    with pytest.raises(error):
        from_v3(document)


def test_version_2_has_no_word_for_it() -> None:
    with pytest.raises(UnsupportedError, match=r"'rain'.*28-31 x 4 elements"):
        to_v2(uneven_array(), "rain")
