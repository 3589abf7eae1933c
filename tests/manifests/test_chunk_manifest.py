"""Chunk manifests: columns, sizes, equality."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.errors import ManifestError
from vz_beam.manifests import ChunkEntry, ChunkGrid, ChunkManifest
from vz_beam.manifests.chunk_manifest import MISSING

ENTRIES = {
    "0.0": {"path": "s3://b/a", "offset": 1, "length": 2},
    "1.1": {"path": "s3://b/b", "offset": 3, "length": 4},
}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=4))
def test_a_grid_has_enough_chunks_and_none_too_many(axes: list[tuple[int, int]]) -> None:
    grid = ChunkGrid(tuple(n for n, _ in axes), tuple(c for _, c in axes))
    for (length, chunk), count in zip(axes, grid.grid_shape, strict=True):
        assert (count - 1) * chunk < length <= count * chunk or (length == 0 and count == 0)


def test_a_reference_takes_at_most_20_bytes_however_long_its_url() -> None:
    count = 100_000
    urls = [f"s3://{'long' * 20}/{n}.nc" for n in range(50)]
    manifest = ChunkManifest.from_columns(
        urls,
        np.arange(count, dtype=np.int32) % 50,
        np.arange(count, dtype=np.uint64) * 2**33,
        np.full(count, 2**33, np.uint64),
    )
    assert manifest.nbytes <= 20 * count + 50 * 120
    assert len(pickle.dumps(manifest)) <= 20 * count + 50 * 150
    assert pickle.loads(pickle.dumps(manifest)) == manifest


def test_entries_come_back_as_they_were_given() -> None:
    manifest = ChunkManifest(ENTRIES, shape=(2, 3))
    assert manifest.dict() == ENTRIES
    assert manifest.grid_shape == (2, 3)
    assert len(manifest) == 2
    assert manifest.get_entry((0, 1)) is None
    assert manifest["1.1"].offset == 3
    with pytest.raises(KeyError):
        manifest["0.1"]


def test_a_scalar_has_one_chunk_named_c() -> None:
    manifest = ChunkManifest.single((), "s3://b/a", 5, 6)
    assert manifest.dict() == {"c": {"path": "s3://b/a", "offset": 5, "length": 6}}
    assert ChunkManifest(manifest.dict(), shape=()) == manifest


def test_missing_chunks_stay_missing_when_paths_change() -> None:
    renamed = ChunkManifest(ENTRIES, shape=(2, 3)).rename_paths(lambda url: url.replace("s3://b", "file:///c"))
    assert renamed["0.0"].path == "file:///c/a"
    assert renamed.nrefs == 2
    assert ChunkManifest(ENTRIES, shape=(2, 3)).rename_paths("/x").locations == ("file:///x",)


def test_equality_does_not_depend_on_the_order_of_locations() -> None:
    one = ChunkManifest.from_columns(("a", "b"), np.array([0, 1]), np.array([1, 2]), np.array([3, 4]))
    other = ChunkManifest.from_columns(("b", "a"), np.array([1, 0]), np.array([1, 2]), np.array([3, 4]))
    assert one == other
    assert one != ChunkManifest.from_columns(("a", "c"), np.array([0, 1]), np.array([1, 2]), np.array([3, 4]))
    assert one != ChunkManifest.empty((3,))


def test_an_empty_manifest_costs_nothing() -> None:
    manifest = ChunkManifest.empty((1000, 1000, 1000))
    assert manifest.nbytes < 100
    assert len(pickle.dumps(manifest)) < 300
    assert manifest.nrefs == 0


def test_arrays_of_paths_are_stored_once_a_path() -> None:
    paths = np.array([["s3://b/a", "s3://b/a"], ["", "/b"]], dtype=np.dtypes.StringDType())
    manifest = ChunkManifest.from_arrays(
        paths=paths, offsets=np.arange(4, dtype=np.uint64).reshape(2, 2), lengths=np.full((2, 2), 9, np.uint64)
    )
    assert manifest.locations == ("s3://b/a", "file:///b")
    assert manifest.location_ids.tolist() == [[0, 0], [MISSING, 1]]
    assert manifest.offsets.tolist() == [[0, 1], [0, 3]]


@pytest.mark.parametrize(
    ("entries", "shape", "word"),
    [
        ({"0.x": ENTRIES["0.0"]}, None, "whole numbers"),
        ({"0.5": ENTRIES["0.0"]}, (1, 2), "outside"),
        ({"0": {"path": "a"}}, (1,), "must be of the form"),
        ({"0": {"path": "a", "offset": -1, "length": 1}}, (1,), "must be a positive"),
        ({}, None, "neither"),
    ],
)
def test_entries_that_cannot_be_are_refused(entries: dict, shape: object, word: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ManifestError, match=word):
        ChunkManifest(entries, shape=shape)  # type: ignore[arg-type]


def test_a_manifest_is_walked_like_a_dict_without_its_missing_chunks() -> None:
    manifest = ChunkManifest({**ENTRIES, "1.0": {"path": "", "offset": 0, "length": 2, "data": b"xy"}}, shape=(2, 3))
    assert list(manifest) == list(manifest.keys()) == ["0.0", "1.0", "1.1"]
    assert list(manifest.values()) == [manifest[key] for key in manifest]
    assert list(manifest.items()) == list(zip(manifest.keys(), manifest.values(), strict=True))
    assert dict(manifest.iter_refs())[1, 0] == ChunkEntry("", 0, 2, b"xy")
    assert list(manifest.iter_nonempty_paths()) == ["s3://b/a", "s3://b/b"]
    assert manifest["1.1"]["path"] == manifest["1.1"].path == manifest["1.1"][0] == "s3://b/b"
    assert ChunkManifest(dict(manifest.items()), shape=(2, 3)) == manifest
    assert "1.1" in manifest
    for key in ("0.1", "9.9", "0", "c"):
        assert key not in manifest
        with pytest.raises(KeyError):
            manifest[key]
    huge = ChunkManifest.empty((10**6, 10**6))
    assert not list(huge.iter_refs())
    assert not huge.keys()
    assert dict(ChunkManifest.single((), "a", 1, 2).items()) == {"c": ChunkEntry("a", 1, 2)}


def test_manifests_of_other_grids_are_unequal_and_have_no_common_elements() -> None:
    assert ChunkManifest.empty((2,)) != ChunkManifest.empty((2, 1))
    with pytest.raises(ManifestError, match="no common elements"):
        ChunkManifest.empty((2,)).elementwise_eq(ChunkManifest.empty((3,)))


def test_entries_are_checked_and_paths_become_urls() -> None:
    def made(path: str = "s3://b/a", offset: object = 1, length: object = 2, **options: object) -> dict[str, object]:
        return ChunkEntry.with_validation(path=path, offset=offset, length=length, **options)  # type: ignore[arg-type]

    assert made() == {"path": "s3://b/a", "offset": 1, "length": 2}
    assert made("/a b.nc")["path"] == "file:///a b.nc"
    assert made("a.nc", fs_root="/d/")["path"] == made("./a.nc", fs_root="file:///d")["path"] == "file:///d/a.nc"
    assert made(offset=np.int64(3), inlined_data=b"x") == {"path": "s3://b/a", "offset": 3, "length": 2, "data": b"x"}
    with pytest.raises(ValueError, match="fs_root"):
        made("a.nc")
    with pytest.raises(ValueError, match="length must be a positive integer"):
        made(length=-1)
    with pytest.raises(TypeError, match=r"offset is 1\.5"):
        made(offset=1.5)


def test_columns_of_wrong_types_are_type_errors() -> None:
    numbers = np.zeros(1, np.uint64)
    paths = np.array(["s3://b/a"], np.dtypes.StringDType())
    with pytest.raises(TypeError, match="numpy array"):
        ChunkManifest.from_arrays(paths=["a"], offsets=numbers, lengths=numbers)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be consistent"):
        ChunkManifest.from_arrays(paths=paths.repeat(2), offsets=numbers, lengths=numbers)
    for dtype in ("f8", "i8"):
        with pytest.raises(ValueError, match="unsigned integer"):
            ChunkManifest.from_arrays(paths=paths, offsets=numbers.astype(dtype), lengths=numbers)
    with pytest.raises(ValueError, match="variable-length string"):
        ChunkManifest.from_arrays(paths=np.array(["s3://b/a"]), offsets=numbers, lengths=numbers)


def test_paths_that_alternate_are_stored_once_each() -> None:
    paths = np.array(["/b", "/a", "", "/b", "/a", "", "/b"], dtype=np.dtypes.StringDType())
    numbers = np.arange(7, dtype=np.uint64)
    manifest = ChunkManifest.from_arrays(paths=paths, offsets=numbers, lengths=numbers)
    assert manifest.locations == ("file:///b", "file:///a")
    assert manifest.location_ids.tolist() == [0, 1, MISSING, 0, 1, MISSING, 0]


def test_many_references_are_made_and_pickled_in_little_memory() -> None:
    count = 100_000
    paths = np.repeat(np.array([f"s3://bucket/{n:06}.nc" for n in range(100)], dtype=np.dtypes.StringDType()), 1000)
    numbers = np.arange(count, dtype=np.uint64)
    tracemalloc.start()
    manifest = ChunkManifest.from_arrays(paths=paths, offsets=numbers, lengths=numbers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * count
    assert len(pickle.dumps(manifest)) < 20 * count
