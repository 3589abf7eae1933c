"""JSON written by hand, as the specification has it; values against fsspec, zarr and numpy."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
import zarr

import vz_beam
from tests.parsers.kerchunk.stores import (
    GROUP,
    VALUES,
    V,
    array_document,
    assert_same_dataset,
    chunks,
    dimensions,
    open_ours,
    open_theirs,
    stored_by_zarr,
    write_json,
)
from tests.parsers.kerchunk.stores import (
    json_refusal as refused,
)
from tests.parsers.kerchunk.stores import (
    read_json as read,
)
from vz_beam.errors import TruncatedFileError
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.parsers.parser import find_parser
from vz_beam.storage.byte_source import open_source
from vz_beam.testing.parser_suite import assert_same_values


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_are_read_with_documents_as_objects_or_texts(
    tmp_path: Path, data: str, version: int, texts: bool
) -> None:
    documents = {key: json.dumps(value) if texts else value for key, value in {**GROUP, **V}.items()}
    refs = {**documents, **chunks(data)}
    path = write_json(tmp_path / "refs", {"version": 1, "refs": refs} if version else refs)
    source = open_source(path)
    assert isinstance(find_parser(source), KerchunkJSONParser)
    source.close()
    np.testing.assert_array_equal(read(path)["v"], VALUES[:5])
    with open_ours(path) as ours, open_theirs(path) as theirs:
        assert_same_dataset(ours, theirs)


def test_version_0_said_outright_and_version_1_left_unsaid_are_read(tmp_path: Path, data: str) -> None:
    refs = {**GROUP, **V, **chunks(data)}
    unsaid = write_json(tmp_path / "unsaid.json", {"refs": refs})
    np.testing.assert_array_equal(read(unsaid)["v"], VALUES[:5])
    said = write_json(tmp_path / "said.json", {"version": 0, "refs": refs})
    assert "version 0" in refused(said)
    for version in (2, "1", 1.5, True, [1]):
        path = write_json(tmp_path / "later.json", {"version": version, "refs": refs})
        assert f"version {version!r}" in refused(path)


def test_inlined_chunks_are_base64_or_the_text_itself(tmp_path: Path) -> None:
    refs = {
        **GROUP,
        "v/.zarray": array_document([6], [2], "|u1", 9),
        "v/.zattrs": dimensions("x"),
        "v/0": "base64:" + base64.b64encode(bytes([200, 3])).decode(),
        "v/2": "ab",
        "s/.zarray": array_document([2], [2], "|S3"),
        "s/.zattrs": dimensions("s"),
        "s/0": "é€b",
    }
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    found, expected = read(path), stored_by_zarr(path)
    assert found["v"].tolist() == [200, 3, 9, 9, 97, 98]
    for name in ("v", "s"):
        assert_same_values(found[name], expected[name], name)


def test_text_that_is_no_base64_is_refused_by_its_key(tmp_path: Path) -> None:
    refs = {**GROUP, **V, "v/0.1": "base64:!"}
    assert "'v/0.1' holds a text that is no bytes" in refused(write_json(tmp_path / "r.json", refs))


def test_a_reference_without_a_range_is_the_whole_file(tmp_path: Path) -> None:
    for name, values in (("a", [1, 2]), ("b", [3, 4])):
        (tmp_path / name).write_bytes(np.array(values, "<i2").tobytes())
    a, b = (f"file://{tmp_path / name}" for name in ("a", "b"))
    refs = {
        **GROUP,
        "v/.zarray": array_document([8], [2]),
        "v/.zattrs": dimensions("x"),
        "v/0": [a],
        "v/1": [b],
        "v/2": [a, 0, 4],
        "v/3": [str(tmp_path / "b")],
    }
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    found = read(path)["v"]
    assert found.tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
    assert_same_values(found, stored_by_zarr(path)["v"])
    manifest = KerchunkJSONParser()(path).group.arrays["v"].manifest
    assert [entry["length"] for entry in manifest.dict().values()] == [4, 4, 4, 4]
    (tmp_path / "b").unlink()
    assert "v" in refused(path)
    assert "/b" in refused(path)


def test_a_range_of_no_bytes_is_no_bytes_in_json(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcd")
    refs = {**GROUP, "v/.zarray": array_document([2], [2]), "v/0": [str(tmp_path / "a"), 0, 0]}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    assert fsspec.filesystem("reference", fo=path, remote_protocol="file").cat_file("v/0") == b""
    assert KerchunkJSONParser()(path).group.arrays["v"].manifest.dict()["0"]["length"] == 0


def test_relative_names_need_a_root_and_start_from_it(tmp_path: Path, data: str) -> None:
    folder = tmp_path / "references"
    folder.mkdir()
    path = write_json(folder / "refs.json", {"version": 1, "refs": {**GROUP, **V, **chunks("data.bin")}})
    assert "fs_root=" in refused(path)
    for root in (str(tmp_path), f"{tmp_path}/", f"file://{tmp_path}", f"file://{tmp_path}/"):
        np.testing.assert_array_equal(read(path, fs_root=root)["v"], VALUES[:5])
    up = write_json(folder / "up.json", {"version": 1, "refs": {**GROUP, **V, **chunks("../data.bin")}})
    np.testing.assert_array_equal(read(up, fs_root=str(folder))["v"], VALUES[:5])
    bucket = write_json(folder / "bucket.json", {"version": 1, "refs": {**GROUP, **V, **chunks("bucket/a/b.nc")}})
    assert KerchunkJSONParser(fs_root="s3://")(bucket).group.arrays["v"].manifest.locations == ("s3://bucket/a/b.nc",)


def zstd(text: bytes) -> bytes:
    return pa.compress(text, codec="zstd", asbytes=True)  # type: ignore[no-any-return]


def zstd_stream(text: bytes) -> bytes:
    """Without the size of the text in front."""
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(text)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def test_files_compressed_by_gzip_or_zstandard_are_read_and_found(tmp_path: Path, data: str) -> None:
    text = json.dumps({"version": 1, "refs": {**GROUP, **V, **chunks(data)}}).encode()
    two = len(text) // 2
    packed = {
        "a.json.gz": gzip.compress(text),
        "two-streams.json.gz": gzip.compress(text[:two]) + gzip.compress(text[two:]) + bytes(7),
        "b.json.zst": zstd(text),
        "unsized.json.zst": zstd_stream(text),
        "with-a-mark.json": b"\xef\xbb\xbf" + text,
        "in-utf-16.json": text.decode().encode("utf-16"),
    }
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content)
        dataset = vz_beam.open_virtual_dataset(tmp_path / name, loadable_variables=["v"])
        np.testing.assert_array_equal(dataset["v"].values, VALUES[:5], err_msg=name)
    for name in ("a.json.gz", "b.json.zst"):
        for stop in range(10, len(packed[name]), 7):
            (tmp_path / name).write_bytes(packed[name][:stop])
            with pytest.raises(TruncatedFileError, match=name):
                KerchunkJSONParser()(tmp_path / name)


def test_a_small_file_that_unpacks_to_more_than_memory_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vz_beam.parsers.kerchunk.json_text._MOST_BYTES", 10_000_000)
    text = b'{"version": 1, "refs": {' + b" " * 10_000_000 + b"}}"
    for name, content in (("a.json.gz", gzip.compress(text)), ("a.json.zst", zstd(text))):
        (tmp_path / name).write_bytes(content)
        assert len(content) < 20_000
        assert "more than 10,000,000 bytes" in refused(tmp_path / name)


@pytest.mark.parametrize("consolidated", [False, True])
def test_documents_of_zarr_v3_are_read(tmp_path: Path, data: str, consolidated: bool) -> None:
    path = tmp_path / "made.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=3, attributes={"title": "three"})
    array = root.create_array(
        "v", shape=(5, 4), chunks=(2, 2), dtype="int16", dimension_names=("y", "x"), attributes={"units": "K"},
        compressors=None, fill_value=0, chunk_key_encoding={"name": "v2", "separator": "."},
    )  # fmt: skip
    array[:] = VALUES[:5]
    deeper = root.create_group("g").create_array("w", shape=(5,), chunks=(2,), dtype="float32", fill_value=np.nan)
    deeper[:4] = np.arange(4)
    if consolidated:
        zarr.consolidate_metadata(path, zarr_format=3)
    refs: dict[str, Any] = {}
    for file in sorted(path.rglob("*")):
        key = file.relative_to(path).as_posix()
        if file.name == "zarr.json":
            if not consolidated or key == "zarr.json":
                refs[key] = file.read_text()
        elif file.is_file():
            refs[key] = [str(file)]
    assert len([key for key in refs if "zarr.json" not in key]) == 6 + 2
    store = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    found = read(store)
    for name, expected in (("v", array), ("g/w", deeper)):
        assert_same_values(found[name], np.asarray(expected[...]), name)
    with open_ours(store) as ours:
        assert (ours.attrs, ours["v"].attrs, ours["v"].dims) == ({"title": "three"}, {"units": "K"}, ("y", "x"))
    if not consolidated:
        assert_same_values(found["v"], stored_by_zarr(store, 3)["v"])


@pytest.mark.parametrize("as_text", [False, True])
def test_consolidated_metadata_stands_in_for_documents_that_are_not_there(
    tmp_path: Path, data: str, as_text: bool
) -> None:
    metadata = {**GROUP, **V, ".zattrs": {"title": "from .zmetadata"}, "v/.zattrs": dimensions("y", "x", units="K")}
    document = {"zarr_consolidated_format": 1, "metadata": metadata}
    refs = {".zmetadata": json.dumps(document) if as_text else document, **chunks(data)}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    with open_ours(path) as ours:
        assert (ours.attrs, ours["v"].attrs) == ({"title": "from .zmetadata"}, {"units": "K"})
        np.testing.assert_array_equal(ours["v"].values, VALUES[:5])
    path = write_json(tmp_path / "both.json", {"version": 1, "refs": {**refs, ".zattrs": {"title": "own"}}})
    with open_ours(path) as ours:
        assert ours.attrs == {"title": "own"}


def test_chunk_keys_with_slashes_fortran_order_and_scalars_read_as_zarr_reads_them(tmp_path: Path, data: str) -> None:
    (tmp_path / "f.bin").write_bytes(np.asfortranarray(VALUES[:4]).tobytes("F"))
    refs = {
        **GROUP,
        "v/.zarray": array_document([5, 4], [2, 2], dimension_separator="/"),
        "v/.zattrs": dimensions("y", "x"),
        **chunks(data, "/"),
        "f/.zarray": array_document([4, 4], [4, 4], order="F"),
        "f/.zattrs": dimensions("z", "x"),
        "f/0.0": [str(tmp_path / "f.bin"), 0, 32],
        "s/.zarray": array_document([], [], "<f4"),
        "s/.zattrs": dimensions(),
        "s/0": "base64:" + base64.b64encode(np.float32(2.5).tobytes()).decode(),
    }
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    found, expected = read(path), stored_by_zarr(path)
    assert set(found) == set(expected) == {"v", "f", "s"}
    for name, values in expected.items():
        assert_same_values(found[name], values, name)
    np.testing.assert_array_equal(found["f"], VALUES[:4])


def test_chunks_outside_the_shape_are_left_alone_and_missing_ones_read_as_the_fill(tmp_path: Path, data: str) -> None:
    refs: dict[str, Any] = {**GROUP, "v/.zarray": array_document([5, 4], [2, 2], fill_value=-7)}
    refs |= {"v/.zattrs": dimensions("y", "x")}
    refs |= {"v/0.1": [data, 8, 8], "v/3.0": [data, 0, 8], "v/0.2": ["relative", 0, 8], "v/0.123456789012345678": "x"}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    with open_ours(path) as ours, open_theirs(path) as theirs:
        assert_same_dataset(ours, theirs)
        assert int(np.isnan(ours["v"].values).sum()) == 16


def test_dimensions_without_names_get_phony_ones_by_length(tmp_path: Path, data: str) -> None:
    refs = {
        **GROUP,
        "a/.zarray": array_document([2, 2], [2, 2]),
        "b/.zarray": array_document([2, 3], [2, 3]),
        "c/.zarray": array_document([3], [3]),
        "c/.zattrs": dimensions("phony_dim_1"),
        "twice/.zarray": array_document([3, 3], [3, 3]),
        "twice/.zattrs": dimensions("x", "x"),
        "a/0.0": [data, 0, 8],
    }
    dataset = vz_beam.open_virtual_dataset(write_json(tmp_path / "refs.json", refs), loadable_variables=["a"])
    assert dataset["a"].dims == ("phony_dim_0", "phony_dim_2")
    assert dataset["b"].dims == ("phony_dim_0", "phony_dim_3")
    assert dataset["c"].dims == ("phony_dim_1",)
    assert dataset["twice"].dims == ("x", "phony_dim_3")
    assert dataset["a"].values.tolist() == VALUES[:2, :2].tolist()


def test_groups_that_only_paths_name_are_there(tmp_path: Path, data: str) -> None:
    refs: dict[str, Any] = {
        "a/b/v/.zarray": array_document([2], [2]),
        "a/b/v/.zattrs": dimensions("x"),
        "a/b/v/0": [data, 0, 4],
    }
    refs["a/.zattrs"] = {"title": "a"}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    tree = vz_beam.open_virtual_datatree(path, loadable_variables=["a/b/v"])
    assert set(tree.groups) == {"/", "/a", "/a/b"}
    assert tree["a"].attrs == {"title": "a"}
    assert np.asarray(tree["a/b/v"]).tolist() == [0, 1]
