"""The pieces under ``to_icechunk``: URLs, containers, marks of versions, boxes of chunks, and forked sessions."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tests.icechunk_stores import new_repository, read
from vz_beam.combine.fragment import Fragment, fragment_of
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import InputError, UnsupportedError
from vz_beam.manifests import ArrayMetadata, ChunkManifest
from vz_beam.writers.icechunk_documents import new_nodes
from vz_beam.writers.icechunk_locations import check_containers, checksums_of, icechunk_url
from vz_beam.writers.icechunk_nodes import create_nodes
from vz_beam.writers.icechunk_references import BATCH, boxes, delete_chunks, write_references

NAMES = [
    "plain",
    "a b",
    "a#b",
    "a?b",
    "a%20b",
    "é",
    "a+b&c",
    "a[1]",
    "a%b",
    "a\\b",
    "a{x}",
    "a^b",
    "a|b",
    "a:b",
    "a\"<>'b",
]


def test_every_file_name_is_read_as_it_is(tmp_path: Path) -> None:
    repository = new_repository(tmp_path)
    arrays, fragments = {}, {}
    for number, name in enumerate(NAMES):
        (tmp_path / f"{name}.bin").write_bytes(np.int32(number).tobytes())
        arrays[f"v{number}"] = ArrayLayout(ArrayMetadata((), np.dtype("i4"), (), dimension_names=()))
        manifest = ChunkManifest.single((), f"file://{tmp_path}/{name}.bin", 0, 4)
        fragments[f"v{number}"] = fragment_of(manifest, (), ())
    session = repository.writable_session("main")
    create_nodes(session.store, "", "w-", new_nodes(Layout(arrays, {"": {}}), fragments), {})
    session.commit("written")
    assert [read(repository)[f"v{number}"].item() for number in range(len(NAMES))] == list(range(len(NAMES)))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/a b%.nc", "s3://bucket/a%20b%25.nc"),
        ("s3://bucket/a+b=c.nc", "s3://bucket/a+b=c.nc"),
        ("gs://bucket/a#b", "gs://bucket/a%23b"),
        ("https://host:8080/a%20b.nc", "https://host:8080/a%20b.nc"),
        ("vcc://name/a b", "vcc://name/a%20b"),
    ],
)
def test_keys_of_object_stores_are_encoded_once(url: str, expected: str) -> None:
    assert icechunk_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["memory://a/b", "zip://a.nc::s3://b/x.zip", "https://host/get?day=2", "s3://b/a/../c", "s3://b/./c", "ftp://h/a"],
)
def test_urls_that_icechunk_would_not_read_are_refused(url: str) -> None:
    with pytest.raises(UnsupportedError, match="Icechunk") as caught:
        icechunk_url(url)
    assert "rename_paths" in str(caught.value)


def test_a_location_needs_a_container_that_is_found_on_writing_and_on_reading() -> None:
    containers = {"s3://b/a/": SimpleNamespace(name=None), "gs://g/": SimpleNamespace(name="far")}
    check_containers(["s3://b/a/x", "gs://g/a%20b/x", "vcc://far/x"], containers)
    for url in ("s3://b/ab/x", "s3://b/x", "vcc://near/x"):
        with pytest.raises(InputError, match="no virtual chunk container"):
            check_containers([url], containers)
    # Icechunk would take this one on writing, and not find it on reading
    with pytest.raises(InputError, match=r"VirtualChunkContainer\('s3://b/'"):
        check_containers(["s3://b/a%20b/x"], {"s3://b/a%20b/": SimpleNamespace(name=None)})


def test_files_elsewhere_are_marked_with_a_time_to_come_and_local_ones_with_their_last_change(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    local, lost, far = f"file://{tmp_path}/a", f"file://{tmp_path}/lost", "s3://b/a"
    marks: dict[str, Any] = checksums_of([local, lost, far])
    assert 0 <= marks[local].timestamp() - (tmp_path / "a").stat().st_mtime < 1
    assert marks[lost] == marks[far] > marks[local] or marks[far].microsecond
    assert checksums_of([far, local], {far: "etag"})[far] == "etag"


@given(
    st.lists(st.integers(1, 7), max_size=4).map(tuple),
    st.integers(1, 30),
    st.data(),
)
def test_boxes_hold_every_chunk_once_and_are_runs_of_numbers(shape: tuple[int, ...], most: int, data: Any) -> None:
    size = int(np.prod(shape, dtype=np.int64))
    numbers = np.array(sorted(data.draw(st.sets(st.integers(0, size - 1)))), np.int64)
    seen: list[int] = []
    for box in boxes(numbers, shape, most):
        inside = np.arange(size).reshape(shape)[
            tuple(slice(i, i + n) for i, n in zip(box.corner, box.shape, strict=True))
        ]
        assert inside.ravel().tolist() == list(range(box.start, box.start + box.size))
        assert box.size <= max(most, 1) or not shape
        here = numbers[box.rows]
        assert np.isin(here, inside).all()
        seen += here.tolist()
    assert seen == numbers.tolist()


@pytest.mark.parametrize("density", [1.0, 0.01])
@pytest.mark.parametrize("last_updated_at", ["unchecked", None, {}], ids=["unchecked", "times", "mixed"])
def test_many_references_are_written_in_batches_by_forks_of_a_session(
    tmp_path: Path, density: float, last_updated_at: Any
) -> None:
    count = BATCH + 5_000
    shape = (5, count // 5)
    values = np.arange(count, dtype="i4")
    locations = []
    for part in range(3):
        (tmp_path / f"{part}.bin").write_bytes(values.tobytes())
        locations.append(f"file://{tmp_path}/{part}.bin")
    chosen = np.random.default_rng(0).random(count) < density
    numbers = np.flatnonzero(chosen)
    ids, lengths = (numbers % 3).astype(np.int32), np.full(len(numbers), 4, np.uint32)
    fragment = Fragment(tuple(locations), numbers, ids, (4 * numbers).astype(np.uint64), lengths)
    marks = {locations[0]: None} if last_updated_at == {} else last_updated_at
    checksums = checksums_of(locations, marks)
    metadata = ArrayMetadata(shape, np.dtype("i4"), (1, 1), fill_value=np.int32(-1), dimension_names=("y", "x"))
    repository = new_repository(tmp_path, icechunk.local_filesystem_storage(str(tmp_path / "store")))
    session = repository.writable_session("main")
    create_nodes(session.store, "", "w-", new_nodes(Layout({"v": ArrayLayout(metadata)}, {"": {}}), {}), {})
    session.commit("the array")
    session = repository.writable_session("main")
    half = len(numbers) // 2
    forks = [session.fork() for _ in range(2)]
    for fork, rows in zip(forks, (slice(0, half), slice(half, None)), strict=True):
        write_references(fork.store, "v", shape, fragment.take(rows), checksums)
    session.merge(*forks)
    session.commit("the references")
    sample = np.random.default_rng(1).choice(count, 200)
    array = zarr.open_array(repository.readonly_session("main").store, path="v", mode="r")
    found = array.get_coordinate_selection(np.unravel_index(sample, shape))
    np.testing.assert_array_equal(found, np.where(chosen, values, -1)[sample])


def test_deleting_looks_up_what_is_there_or_just_deletes(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\1\0\0\0")
    shape = (3, 2000)
    metadata = ArrayMetadata(shape, np.dtype("i4"), (1, 1), dimension_names=("y", "x"))
    manifest = ChunkManifest.single(shape, f"file://{tmp_path}/a.bin", 0, 4)
    fragment = fragment_of(manifest, shape, (0, 0)).take(np.arange(0, 6000, 100))
    repository = new_repository(tmp_path)
    session = repository.writable_session("main")
    nodes = new_nodes(Layout({"g/v": ArrayLayout(metadata)}, {"": {}}), {"g/v": fragment})
    create_nodes(session.store, "", "w-", nodes, checksums_of(fragment.locations))
    delete_chunks(session.store, "g/v", shape, np.arange(0, 2000))
    delete_chunks(session.store, "g/v", shape, np.array([5900, 5901]))
    session.commit("written")
    present = np.flatnonzero(read(repository, group="g")["v"].values)
    assert present.tolist() == list(range(2000, 5900, 100))


def test_errors_survive_pickle() -> None:
    with pytest.raises(InputError) as caught:
        check_containers(["s3://b/x"], None)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
