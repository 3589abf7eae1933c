"""Other chunks out of the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.manifests.stored_arrays import GZIP, INLINED, MISSING, REFERENCE, ArrayPlan, ChunkFile, values
from vz_beam.errors import ManifestError
from vz_beam.manifests import ManifestArray, rechunked


@pytest.fixture
def chunks(tmp_path: Path) -> ChunkFile:
    return ChunkFile(tmp_path / "chunks")


def same(array: ManifestArray, chunk_shape: tuple[int, ...]) -> ManifestArray:
    result = rechunked(array, chunk_shape)
    assert result.metadata.chunk_shape == chunk_shape
    np.testing.assert_array_equal(values(result), values(array))
    return result


def test_chunks_are_cut_where_their_bytes_lie_together(chunks: ChunkFile) -> None:
    array = chunks.store(ArrayPlan((7, 6), (4, 6), (REFERENCE, REFERENCE)))
    assert same(array, (2, 6)).manifest.lengths.tolist() == [[48]] * 4
    assert same(array, (1, 2)).manifest.grid_shape == (7, 3)
    same(array.T, (3, 1))
    with pytest.raises(ManifestError, match="along axis 1 chunks can be cut only where they are 1 long along axis 0"):
        rechunked(array, (2, 3))


def test_neighbours_in_one_file_become_one_chunk(chunks: ChunkFile) -> None:
    array = chunks.store(ArrayPlan((6, 2), (1, 2), (REFERENCE,) * 6), gap=b"")
    assert same(array, (3, 2)).manifest.lengths.tolist() == [[24]] * 2
    assert same(rechunked(array, (1, 1)), (6, 2)).manifest.nrefs == 1
    with pytest.raises(ManifestError, match="6 chunks of 1 along axis 0 do not make whole chunks of 4"):
        rechunked(array, (4, 2))
    apart = chunks.store(ArrayPlan((2, 2), (1, 2), (REFERENCE,) * 2), gap=b"?")
    with pytest.raises(ManifestError, match=r"the one at \(0, 0\) do not lie one after the other"):
        rechunked(apart, (2, 2))
    beside = chunks.store(ArrayPlan((2, 4), (2, 2), (REFERENCE,) * 2), gap=b"")
    with pytest.raises(ManifestError, match="interleave"):
        rechunked(beside, (2, 4))


def test_inlined_chunks_are_cut_in_any_way_and_joined(chunks: ChunkFile) -> None:
    array = chunks.store(ArrayPlan((4, 4), (4, 4), (INLINED,)))
    same(same(array, (2, 2)), (1, 2))
    rows = chunks.store(ArrayPlan((4, 2), (1, 2), (INLINED, INLINED, MISSING, MISSING)))
    same(rows, (2, 2))
    with pytest.raises(ManifestError, match="one after the other"):
        rechunked(rows, (4, 2))


def test_lengths_that_do_not_divide_and_compressed_chunks_are_refused(chunks: ChunkFile) -> None:
    array = chunks.store(ArrayPlan((8,), (4,), (REFERENCE, REFERENCE)))
    with pytest.raises(ManifestError, match=r"3, which does not divide 4.*greatest length that both share is 1"):
        rechunked(array, (3,))
    with pytest.raises(ManifestError, match="no multiple of 4"):
        rechunked(array, (6,))
    with pytest.raises(ManifestError, match="do not fit"):
        rechunked(array, (2, 2))
    with pytest.raises(ManifestError, match="encoded by gzip"):
        rechunked(chunks.store(ArrayPlan((8,), (4,), (REFERENCE, REFERENCE), GZIP)), (2,))


def test_an_array_without_chunks_takes_any(chunks: ChunkFile) -> None:
    array = chunks.store(ArrayPlan((8,), (4,), (MISSING, MISSING), GZIP))
    same(array, (2,))
