"""Zarr stores in folders have the values that zarr reads, or a reason why they have none."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec

import vz_beam
from tests.parsers.zarr.stores import read, write, zipped
from vz_beam.errors import FormatError, InputError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.zarr import ZarrParser
from vz_beam.parsers.zipped_zarr import ZippedZarrParser
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.folder_source import FolderSource, open_file_or_folder
from vz_beam.storage.manifest_store import ManifestStore


def parse(path: Any, **words: Any) -> ManifestGroup:
    return ZarrParser(**words).parse(open_file_or_folder(path))


def values(group: ManifestGroup, name: str) -> Any:
    root: Any = zarr.open_group(ManifestStore(group), mode="r")
    return root[name][...]


@pytest.mark.parametrize(("version", "encoding"), [(2, "v2"), (3, "v2"), (3, "default")])
@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("is_consolidated", [False, True])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part in the Zarr format 3")
def test_both_versions_encodings_separators_and_orders(
    version: int, separator: str, encoding: str, order: str, is_consolidated: bool, tmp_path: Path
) -> None:
    words: dict[str, Any] = {"chunk_key_encoding": {"name": encoding, "separator": separator}}
    if version == 2:
        words["order"] = order
    elif order == "F":
        words["filters"] = [zarr.codecs.TransposeCodec(order=(1, 0))]
    path = write(tmp_path / "store.zarr", version, **words)
    if is_consolidated:
        zarr.consolidate_metadata(path)
    group, expected = parse(path), read(path)
    for name in ("t", "g/u"):
        np.testing.assert_array_equal(values(group, name), expected[name])
    assert group.arrays["t"].manifest.nrefs == 5
    assert group.attributes == {"title": "store"}
    assert group.arrays["t"].metadata.attributes["units"] == "K"


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_chunks_inside_shards_are_references(location: str, checksum: bool, is_zipped: bool, tmp_path: Path) -> None:
    index: Any = [BytesCodec(), *([Crc32cCodec()] if checksum else [])]
    sharding = ShardingCodec(
        chunk_shape=(2, 2), codecs=[BytesCodec(), GzipCodec()], index_codecs=index, index_location=location
    )
    path = tmp_path / "store.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=3)
    array = root.create_array(
        "v", shape=(7, 9), chunks=(4, 4), dtype="i4", fill_value=0, serializer=sharding, compressors=None
    )
    array[1:6, 3:9] = np.arange(30).reshape(5, 6) + 1
    if is_zipped:
        zipped(path, tmp_path / "store.zip")
        group = ZippedZarrParser().parse(open_file_or_folder(tmp_path / "store.zip"))
    else:
        group = parse(path)
    found = group.arrays["v"]
    assert found.metadata.chunk_shape == (2, 2)
    assert found.manifest.nrefs < found.manifest.location_ids.size
    np.testing.assert_array_equal(values(group, "v"), array[...])


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed`")
def test_shards_that_cannot_be_opened_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "store.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=3)
    sharding = ShardingCodec(chunk_shape=(2,), codecs=[BytesCodec()])
    array = root.create_array("v", shape=(8,), chunks=(4,), dtype="i4", serializer=sharding, compressors=[GzipCodec()])
    array[:] = np.arange(8)
    group = parse(path)
    assert group.arrays["v"].metadata.chunk_shape == (4,)
    np.testing.assert_array_equal(values(group, "v"), np.arange(8))


def test_a_damaged_index_is_named_with_its_shard(tmp_path: Path) -> None:
    path = tmp_path / "store.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=3)
    sharding = ShardingCodec(chunk_shape=(2,), codecs=[BytesCodec()])
    root.create_array("v", shape=(4,), chunks=(4,), dtype="i4", serializer=sharding, compressors=None)[:] = np.arange(4)
    shard = path / "v" / "c" / "0"
    data = bytearray(shard.read_bytes())
    data[-36:-28] = (10**6).to_bytes(8, "little")
    shard.write_bytes(data)
    with pytest.raises(UnsupportedError, match=r"v: the index of a shard .*v/c/0.* points behind its end"):
        parse(path)
    shard.write_bytes(data[-10:])
    with pytest.raises(UnsupportedError, match="has 10 bytes, and its index should have 36"):
        parse(path)


def test_what_is_below_an_array_and_no_chunk_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "store.zarr")
    (path / "t" / "notes.txt").write_text("hello")
    with pytest.raises(UnsupportedError, match=r"t: .*notes"):
        parse(path)
    assert list(parse(path, unsupported="skip").skipped) == ["t"]
    (path / "t" / "notes.txt").unlink()
    (path / "t" / "9.9").write_bytes(b"outside")
    assert parse(path).arrays["t"].manifest.nrefs == 5
    (path / "t" / "0.0").write_bytes(b"")
    with pytest.raises(UnsupportedError, match="t: one of its chunks is an empty file"):
        parse(path)


def test_a_damaged_document_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "store.zarr", 3)
    (path / "g" / "zarr.json").write_text('{"zarr_format": 3,')
    with pytest.raises(FormatError, match=r"store\.zarr holds no Zarr store .*'g/zarr\.json' is no JSON"):
        parse(path)
    (path / "g" / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "grape"}))
    with pytest.raises(FormatError, match="neither an array nor a group"):
        parse(path)


@pytest.mark.parametrize("version", [2, 3])
def test_the_parser_is_found_and_xarray_opens_the_store(version: int, tmp_path: Path) -> None:
    path = tmp_path / "store.zarr"
    dataset = xr.Dataset({"t": (("time", "x"), np.arange(12.0).reshape(3, 4))}, {"time": [1, 2, 3]})
    dataset.to_zarr(path, zarr_format=version, encoding={"t": {"chunks": (1, 4)}}, consolidated=False)
    found = vz_beam.open_virtual_dataset(path)
    assert found["t"].data.manifest.nrefs == 3
    with xr.open_dataset(str(path), engine="vz_beam") as ours:
        xr.testing.assert_equal(ours.load(), dataset)
    vz_beam.build([str(path)], tmp_path / "refs.parquet", progress=False)
    with xr.open_dataset(str(tmp_path / "refs.parquet"), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["t"].values, dataset["t"].values)


def test_a_store_of_objects_is_listed_once(tmp_path: Path) -> None:
    path = write(tmp_path / "store.zarr", 3)
    sink = open_sink("memory://zarr-parser")
    for file in path.rglob("*"):
        if file.is_file():
            sink.write(f"store.zarr/{file.relative_to(path)}", file.read_bytes())
    group, expected = parse("memory://zarr-parser/store.zarr"), read(path)
    for name in ("t", "g/u"):
        np.testing.assert_array_equal(values(group, name), expected[name])
    sink.delete("store.zarr")


def test_a_server_that_cannot_be_listed_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "store.zarr", 3)
    source = FolderSource("https://host.example/a.zarr", "zarr.json", open_file_or_folder(path / "zarr.json"))
    with pytest.raises(InputError, match="how to list"):
        ZarrParser().parse(source)


def test_a_store_in_a_folder_of_the_zip_file_and_mixed_members(tmp_path: Path) -> None:
    path = write(tmp_path / "store.zarr")
    target = zipped(path, tmp_path / "a.zip", zipfile.ZIP_DEFLATED, root="deep/store.zarr/")
    group = ZippedZarrParser().parse(open_file_or_folder(target))
    expected = read(path)
    for name in ("t", "g/u"):
        np.testing.assert_array_equal(values(group, name), expected[name])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        for member in sorted(path.rglob("*")):
            if member.is_file():
                kind = zipfile.ZIP_DEFLATED if member.name == "0.0" else zipfile.ZIP_STORED
                file.write(member, str(member.relative_to(path)), kind)
    with pytest.raises(UnsupportedError, match="t: of the zip file, some members are deflated, others not"):
        ZippedZarrParser().parse(open_file_or_folder(tmp_path / "b.zip"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(FormatError, match=r"c\.zip is a zip file without a Zarr store"):
        ZippedZarrParser().parse(open_file_or_folder(tmp_path / "c.zip"))
