"""Values read through manifests by plain zarr and xarray, against numpy."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from vz_beam.errors import SourceNotFoundError, TruncatedFileError, UnsupportedError
from vz_beam.manifests import ArrayMetadata, ChunkManifest, Codec, ManifestArray, ManifestGroup
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.request_log import RequestLog

PROTOTYPE = default_buffer_prototype()


def _chunked(
    folder: Path, name: str, values: NDArray[Any], chunk_shape: tuple[int, ...], order: str = "little", **how: Any
) -> ManifestArray:
    """A manifest array of ``values``, whose chunks lie in a file between other bytes."""
    metadata = ArrayMetadata(
        values.shape, values.dtype, chunk_shape, byte_order=order, dimension_names=how.get("names"), fill_value=-1
    )
    grid_shape = metadata.chunk_grid.grid_shape
    entries, content = {}, b"\xffhead"
    for index in np.ndindex(grid_shape):
        chunk = np.full(chunk_shape, -7, values.dtype)
        where = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk_shape, strict=True))
        part = values[where]
        chunk[tuple(slice(0, length) for length in part.shape)] = part
        data = chunk.astype(chunk.dtype.newbyteorder("<" if order == "little" else ">")).tobytes()
        entry = {"path": f"file://{folder}/{name}", "offset": len(content), "length": len(data)}
        content += data + b"\xff"
        key = ".".join(map(str, index)) or "c"
        if key in how.get("inlined", ()):
            entry = {"path": "", "offset": 0, "length": len(data), "data": data}
        if key not in how.get("missing", ()):
            entries[key] = entry
    (folder / name).write_bytes(content)
    return ManifestArray(metadata, ChunkManifest(entries, shape=grid_shape))


@pytest.fixture
def group(tmp_path: Path) -> ManifestGroup:
    values = np.arange(35, dtype="i4").reshape(5, 7)
    return ManifestGroup(
        {
            "little": _chunked(tmp_path, "little#1 ?.bin", values, (2, 3), names=("y", "x")),
            "big": _chunked(tmp_path, "big", values, (5, 7), "big", names=("y", "x")),
            "holes": _chunked(tmp_path, "holes", values, (2, 7), missing={"1.0"}, inlined={"2.0"}, names=("y", "x")),
            "scalar": _chunked(tmp_path, "scalar", np.array(3.5), (), names=()),
        },
        {
            "deep": ManifestGroup(
                {"x": _chunked(tmp_path, "x", np.arange(4.0), (3,), names=("t",))}, attributes={"a": 1}
            )
        },
        {"title": "a file"},
    )


@pytest.fixture
def store(group: ManifestGroup) -> ManifestStore:
    return ManifestStore(group)


def _get(store: ManifestStore, key: str, part: ByteRequest | None = None) -> bytes | None:
    found = asyncio.run(store.get(key, PROTOTYPE, part))
    return None if found is None else found.to_bytes()


async def _all(keys: Any) -> list[str]:
    return sorted([key async for key in keys])


def test_zarr_reads_the_values(store: ManifestStore) -> None:
    values = np.arange(35, dtype="i4").reshape(5, 7)
    opened = zarr.open_group(store=store, mode="r")
    np.testing.assert_array_equal(opened["little"][:], values)  # type: ignore[index]
    np.testing.assert_array_equal(opened["big"][:], values)  # type: ignore[index]
    values[2:4] = -1
    np.testing.assert_array_equal(opened["holes"][:], values)  # type: ignore[index]
    assert opened["scalar"][()] == 3.5  # type: ignore[index]
    np.testing.assert_array_equal(opened["deep/x"][:], np.arange(4.0))  # type: ignore[index]
    assert dict(opened.attrs) == {"title": "a file"}
    assert sorted(opened.keys()) == ["big", "deep", "holes", "little", "scalar"]
    np.testing.assert_array_equal(zarr.open_array(store=store, path="deep/x", mode="r")[:], np.arange(4.0))


def test_xarray_reads_the_values_without_a_warning(store: ManifestStore) -> None:
    with xr.open_dataset(store, engine="zarr") as opened:  # type: ignore[arg-type]
        assert opened["little"].dims == ("y", "x")
        np.testing.assert_array_equal(opened["little"].values, np.arange(35).reshape(5, 7))
    with xr.open_dataset(store, engine="zarr", group="deep") as opened:  # type: ignore[arg-type]
        np.testing.assert_array_equal(opened["x"].values, np.arange(4.0))
    with xr.open_datatree(store, engine="zarr") as tree:  # type: ignore[arg-type]
        np.testing.assert_array_equal(tree["deep/x"].values, np.arange(4.0))


def test_codecs_are_undone(tmp_path: Path) -> None:
    import zlib

    values = np.arange(100, dtype="f4")
    (tmp_path / "a").write_bytes(b"head" + zlib.compress(values.tobytes()))
    length = (tmp_path / "a").stat().st_size - 4
    metadata = ArrayMetadata((100,), values.dtype, (100,), codecs=(Codec("numcodecs.zlib", {"level": 1}),))
    array = ManifestArray(metadata, ChunkManifest.single((1,), f"file://{tmp_path}/a", 4, length))
    opened = zarr.open_group(store=ManifestStore(ManifestGroup({"x": array})), mode="r")
    np.testing.assert_array_equal(opened["x"][:], values)  # type: ignore[index]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, slice(0, 24)),
        (RangeByteRequest(0, 10), slice(0, 10)),
        (RangeByteRequest(20, 40), slice(20, 24)),
        (RangeByteRequest(24, 30), slice(0, 0)),
        (RangeByteRequest(30, 40), slice(0, 0)),
        (OffsetByteRequest(4), slice(4, 24)),
        (OffsetByteRequest(99), slice(0, 0)),
        (SuffixByteRequest(8), slice(16, 24)),
        (SuffixByteRequest(99), slice(0, 24)),
    ],
)
def test_a_byte_range_never_shows_the_neighbour_of_its_chunk(
    store: ManifestStore, part: ByteRequest | None, expected: slice
) -> None:
    whole = np.arange(35, dtype="<i4").reshape(5, 7)[:2, :3].tobytes()
    assert _get(store, "little/c/0/0", part) == whole[expected]
    document = _get(store, "little/zarr.json")
    assert document is not None
    part = RangeByteRequest(3, 9)
    assert _get(store, "little/zarr.json", part) == document[3:9]
    assert _get(store, "holes/c/2/0", part) == (np.arange(28, 35, dtype="<i4").tobytes())[3:9]


def test_many_parts_come_in_order(store: ManifestStore) -> None:
    parts = [("holes/c/1/0", None), ("scalar/c", None), ("scalar/c", RangeByteRequest(0, 2))]
    found = asyncio.run(store.get_partial_values(PROTOTYPE, parts))
    assert [None if part is None else part.to_bytes() for part in found] == [
        None,
        np.array(3.5).tobytes(),
        np.array(3.5).tobytes()[:2],
    ]


@pytest.mark.parametrize(
    "key",
    [
        "holes/c/1/0", "holes/c/3/0", "holes/c/0", "holes/c/0/0/0", "holes/c/x/0", "holes/c/-1/0", "holes/c/²/0",
        "holes/0.0", "holes", "gone/zarr.json", "gone/c/0", "holes/.zarray", ".zgroup", "", "scalar/c/0",
        "holes/c/zarr.json", "deep/gone/c/0",
    ],
)  # fmt: skip
def test_what_is_missing_is_none(store: ManifestStore, key: str) -> None:
    assert _get(store, key) is None
    assert not asyncio.run(store.exists(key))


def test_every_key_is_listed_and_there(store: ManifestStore) -> None:
    keys = asyncio.run(_all(store.list()))
    assert len(keys) == len(set(keys)) == 22  # 7 documents, 9 + 1 + 2 + 1 + 2 chunks
    assert all(asyncio.run(store.exists(key)) for key in keys)
    for prefix in (
        "",
        "little",
        "little/",
        "little/c/1",
        "little/c/1/",
        "deep/x/c",
        "de",
        "holes/zarr",
        "scalar/c",
        "x",
    ):
        expected = [key for key in keys if key.startswith(prefix)]
        assert asyncio.run(_all(store.list_prefix(prefix))) == expected
    for folder in ("", "little", "little/", "little/c", "little/c/1", "deep", "deep/x/c", "scalar", "gone"):
        start = f"{folder.strip('/')}/" if folder else ""
        names = {key[len(start) :].split("/")[0] for key in keys if key.startswith(start)}
        assert asyncio.run(_all(store.list_dir(folder))) == sorted(names)


def test_sizes_come_from_the_manifest(store: ManifestStore) -> None:
    assert asyncio.run(store.getsize("little/c/0/0")) == 24
    assert asyncio.run(store.getsize("zarr.json")) == len(_get(store, "zarr.json") or b"")
    with pytest.raises(FileNotFoundError):
        asyncio.run(store.getsize("holes/c/1/0"))


def test_nothing_can_be_written(store: ManifestStore) -> None:
    assert (store.read_only, store.supports_writes, store.supports_deletes, store.supports_listing) == (
        True,
        False,
        False,
        True,
    )
    assert store.with_read_only(True) is store
    for act in (
        lambda: store.with_read_only(False),
        lambda: asyncio.run(store.set("a", PROTOTYPE.buffer.from_bytes(b""))),
        lambda: asyncio.run(store.delete("zarr.json")),
    ):
        with pytest.raises(UnsupportedError):
            act()


def test_a_pickled_store_reads_the_same(store: ManifestStore) -> None:
    zarr.open_group(store=store, mode="r")["little"][:]  # type: ignore[index]
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(zarr.open_array(store=again, path="scalar", mode="r")[()], 3.5)
    assert again == store


def test_stores_of_one_group_are_equal(store: ManifestStore, group: ManifestGroup) -> None:
    assert store == ManifestStore(group, storage_options={"region": "x"})
    assert store.group is group
    assert store != ManifestStore(ManifestGroup())
    assert store != 3


def test_stores_that_differ_in_one_chunk_or_attribute_differ(tmp_path: Path) -> None:
    def store(offset: int, fill: float) -> ManifestStore:
        metadata = ArrayMetadata((4,), np.dtype("f4"), (4,), fill_value=np.float32(fill))
        array = ManifestArray(metadata, ChunkManifest.single((1,), "file:///a", offset, 16))
        return ManifestStore(ManifestGroup({"x": array}, attributes={"nan": float("nan")}))

    assert store(0, np.nan) == store(0, np.nan)
    assert store(0, np.nan) != store(1, np.nan)
    assert store(0, np.nan) != store(0, 0)


def test_a_file_that_is_gone_or_too_short_is_an_error_and_not_fill(tmp_path: Path, store: ManifestStore) -> None:
    (tmp_path / "little#1 ?.bin").write_bytes(b"short")
    (tmp_path / "big").unlink()
    opened = zarr.open_group(store=store, mode="r")
    with pytest.raises(TruncatedFileError, match="little#1"):
        opened["little"][:]  # type: ignore[index]
    with pytest.raises(SourceNotFoundError, match="big is not there"):
        opened["big"][:]  # type: ignore[index]


def test_sources_that_are_open_are_used(tmp_path: Path, group: ManifestGroup) -> None:
    log = RequestLog(open_source(tmp_path / "big"))
    store = ManifestStore(group, sources={log.url: log})
    zarr.open_group(store=store, mode="r")["big"][:]  # type: ignore[index]
    assert log.requests == [(5, 5 + 35 * 4)]
    store.close()
    assert log.read(0, 1) == b"\xff"


def test_more_files_than_may_be_open_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vz_beam.storage.manifest_store._MAX_SOURCES", 3)
    entries = {}
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(np.array([number], "<i2").tobytes())
        entries[f"{number}"] = {"path": f"file://{tmp_path}/{number}", "offset": 0, "length": 2}
    array = ManifestArray(ArrayMetadata((10,), np.dtype("i2"), (1,)), entries)
    store = ManifestStore(ManifestGroup({"x": array}))
    for _ in range(2):
        np.testing.assert_array_equal(zarr.open_group(store=store, mode="r")["x"][:], np.arange(10))  # type: ignore[index]
    assert len(store._opened) == 3


def test_a_store_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="not a dict"):
        ManifestStore({})  # type: ignore[arg-type]
