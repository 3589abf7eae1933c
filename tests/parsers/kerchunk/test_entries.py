"""Entries, templates and generators as the specification has them; values against fsspec, zarr and numpy."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zstandard

import vz_beam
from tests.parsers.kerchunk.stores import (
    array_document,
    assert_same_dataset,
    dimensions,
    open_ours,
    open_theirs,
    stored_by_zarr,
    write_json,
)
from tests.parsers.kerchunk.written_json import GROUP, VALUES, V, chunks, read, refused
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
        "s/0": "é€b"[:2] + "b",
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


def test_templates_are_names_of_texts_put_into_urls(tmp_path: Path, data: str) -> None:
    folder, name = str(Path(data).parent), Path(data).name
    refs = {**GROUP, **V, **chunks("{{u}}/" + name)}
    path = write_json(tmp_path / "refs.json", {"version": 1, "templates": {"u": folder}, "refs": refs})
    np.testing.assert_array_equal(read(path)["v"], VALUES[:5])
    assert_same_values(read(path)["v"], stored_by_zarr(path)["v"])
    called = {**GROUP, **V, **chunks("{{u}}/{{f(c='data', e='bin')}}")}
    templates = {"u": folder, "f": "{{c}}.{{e}}"}
    path = write_json(tmp_path / "called.json", {"version": 1, "templates": templates, "refs": called})
    np.testing.assert_array_equal(read(path)["v"], VALUES[:5])


def test_braces_in_urls_stay_where_there_are_no_templates(tmp_path: Path, data: str) -> None:
    odd = tmp_path / "{{u}} {%x%}.bin"
    odd.write_bytes(Path(data).read_bytes())
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": {**GROUP, **V, **chunks(str(odd))}})
    np.testing.assert_array_equal(read(path)["v"], VALUES[:5])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("{{w}}/data.bin", "'w' is not known"),
        ("{{f}}/data.bin", "'f' needs arguments"),
        ("{{f('x')}}", "neither a name"),
        ("{{g(c='x')}}", "no template 'g'"),
        ("{{u.__class__}}", "neither a name"),
        ("{{__import__('os').system('true')}}", "neither a name"),
        ("{{u + 1}}", "only whole numbers"),
        ("{{ 9 ** 9 ** 9 }}", "neither a name"),
        ("{{ 9223372036854775807 + 1 }}", "too large"),
        ("{{ 1 // 0 }}", "by zero"),
        ("{{ (((( }}", "no expression"),
        ("{{" + "+" * 300 + "1}}", "more than 200 characters"),
        ("{{u}}{% if u %}", "statements of Jinja2"),
    ],
)
def test_templates_run_no_code_and_name_what_is_wrong(tmp_path: Path, url: str, words: str) -> None:
    templates = {"u": "s3://bucket", "f": "{{c}}.bin"}
    value = {"version": 1, "templates": templates, "refs": {**GROUP, **V, "v/0.0": [url, 0, 8]}}
    assert words in refused(write_json(tmp_path / "refs.json", value))


def test_the_generator_of_the_specification_makes_its_references(tmp_path: Path) -> None:
    value = {
        "version": 1,
        "templates": {"u": "server.domain/path", "f": "{{c}}"},
        "gen": [
            {
                "key": "gen_key{{i}}",
                "url": "http://{{u}}_{{i}}",
                "offset": "{{(i + 1) * 1000}}",
                "length": "1000",
                "dimensions": {"i": {"stop": 5}},
            },
            {"key": "gen_ref{{i}}", "url": "http://{{u}}_{{i}}", "dimensions": {"i": {"start": 1, "stop": 3}}},
        ],
        "refs": {**GROUP, "key0": "data", "key1": ["http://target_url", 10000, 100]},
    }
    path = write_json(tmp_path / "refs.json", value)
    group = KerchunkJSONParser(unsupported="skip")(path).group
    assert not group.arrays
    generated = [f"gen_key{i}" for i in range(5)] + ["gen_ref1", "gen_ref2"]
    assert sorted(group.skipped) == sorted([*generated, "key0", "key1"])


def test_generators_make_the_product_of_their_dimensions(tmp_path: Path, data: str) -> None:
    value = {
        "version": 1,
        "templates": {"f": "{{name}}.bin"},
        "gen": [
            {
                "key": "v/{{y}}.{{x}}",
                "url": str(tmp_path) + "/{{f(name=n)}}",
                "offset": "{{8 * (2 * y + x)}}",
                "length": 8,
                "dimensions": {"y": {"start": 2, "stop": -1, "step": -1}, "x": [0, 1], "n": ["data"]},
            }
        ],
        "refs": {**GROUP, **V},
    }
    path = write_json(tmp_path / "refs.json", value)
    written_out = {**GROUP, **V, **chunks(data)}
    assert_same_values(read(path)["v"], stored_by_zarr(written_out)["v"])
    np.testing.assert_array_equal(read(path)["v"], VALUES[:5])


def test_entries_of_refs_come_after_those_of_generators_where_both_have_a_key_the_last_counts(
    tmp_path: Path, data: str
) -> None:
    generator = {"key": "v/{{y}}.0", "url": data, "offset": "0", "length": "8", "dimensions": {"y": [0]}}
    refs = {**GROUP, **V, **chunks(data), "v/0.0": [data, 8, 8]}
    path = write_json(tmp_path / "refs.json", {"version": 1, "templates": {}, "gen": [generator], "refs": refs})
    np.testing.assert_array_equal(read(path)["v"][:2, :2], VALUES[:2, :2])


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        ({}, "lacks the texts 'key' and 'url'"),
        ({"key": "v/0.0", "url": "u"}, "no dimensions"),
        ({"key": "v/0.{{i}}", "url": "u", "offset": "1", "dimensions": {"i": [0]}}, "needs both or neither"),
        ({"key": "v/0.{{i}}", "url": "u", "offset": "x", "length": "1", "dimensions": {"i": [0]}}, "number of bytes"),
        ({"key": "v/0.{{i}}", "url": "u", "offset": "-1", "length": "1", "dimensions": {"i": [0]}}, "number of bytes"),
        ({"key": "v/0.{{i}}", "url": "u", "dimensions": {"i": {"stop": 2**70}}}, "neither a list nor a range"),
        ({"key": "v/0.{{i}}", "url": "u", "dimensions": {"i": {"stop": 2, "step": 0}}}, "neither a list nor a range"),
        ({"key": "v/0.{{i}}", "url": "u", "dimensions": {"i": {"stop": 10**12}}}, "more than 5,000,000"),
        (
            {"key": "v/{{i}}.{{j}}", "url": "u", "dimensions": {"i": {"stop": 10**4}, "j": {"stop": 10**4}}},
            "more than 5,000,000",
        ),
        ({"key": "v/0.{{k}}", "url": "u", "dimensions": {"i": [0]}}, "'k' is not known"),
        (["v/0.0"], "no JSON object"),
    ],
)
def test_generators_that_cannot_be_are_refused_with_what_is_wrong(tmp_path: Path, generator: Any, words: str) -> None:
    value = {"version": 1, "gen": [generator], "refs": {**GROUP, **V}}
    assert words in refused(write_json(tmp_path / "refs.json", value))


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


def test_files_compressed_by_gzip_or_zstandard_are_read_and_found(tmp_path: Path, data: str) -> None:
    text = json.dumps({"version": 1, "refs": {**GROUP, **V, **chunks(data)}}).encode()
    two = len(text) // 2
    packed = {
        "a.json.gz": gzip.compress(text),
        "two-streams.json.gz": gzip.compress(text[:two]) + gzip.compress(text[two:]) + bytes(7),
        "b.json.zst": zstandard.compress(text),
        "unsized.json.zst": zstandard.ZstdCompressor(write_content_size=False).compress(text),
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
    for name, content in (("a.json.gz", gzip.compress(text)), ("a.json.zst", zstandard.compress(text))):
        (tmp_path / name).write_bytes(content)
        assert len(content) < 20_000
        assert "more than 10,000,000 bytes" in refused(tmp_path / name)
