"""What is wrong in JSON is refused by its name, and spoils no other variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vz_beam
from tests.parsers.kerchunk.stores import (
    GROUP,
    V,
    array_document,
    chunks,
    dimensions,
    write_json,
)
from tests.parsers.kerchunk.stores import (
    json_refusal as refused,
)
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser


def test_damaged_documents_of_zarr_v3_are_refused_by_name(tmp_path: Path, data: str) -> None:
    sound = {
        "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "int16", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }  # fmt: skip
    refs = {"zarr.json": {"zarr_format": 3, "node_type": "group"}, "good/zarr.json": sound, "good/c/0": [data, 0, 4]}
    path = tmp_path / "refs.json"
    damages: list[tuple[dict[str, Any], str]] = [
        ({"shape": "x"}, "v"),
        ({"shape": [-4]}, "v"),
        ({"data_type": "int17"}, "int17"),
        ({"chunk_grid": {"name": "odd"}}, "v"),
        ({"chunk_grid": None}, "v"),
        ({"codecs": []}, "v"),
        ({"codecs": 4}, "v"),
        ({"fill_value": "x"}, "v"),
        ({"chunk_key_encoding": {"name": "odd"}}, "chunk_key_encoding"),
        ({"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "+"}}}, "chunk_key_encoding"),
        ({"attributes": 4}, "v"),
        ({"dimension_names": [4]}, "v"),
        ({"dimension_names": ["a", "b"]}, "v"),
    ]
    for damage, words in damages:
        write_json(path, {**refs, "v/zarr.json": {**sound, **damage}})
        message = refused(path)
        assert "v: " in message, damage
        assert words in message, damage
        assert "good" not in message.partition("Way out")[0], damage
        group = KerchunkJSONParser(unsupported="skip")(path).group
        assert (list(group.arrays), list(group.skipped)) == (["good"], ["v"])


@pytest.mark.parametrize(
    "key",
    ["v/0", "v/0.0.0", "v/0.x", "v/0.-1", "v/00.0", "v/0/0", "v/0.", "v/.0", "v/0.0\n", "v/c/0/0", "v/x/0.0", "v/٣.0",
     "v/0.1234567890123456789"],
)  # fmt: skip
def test_keys_that_name_no_chunk_are_refused_by_name(tmp_path: Path, data: str, key: str) -> None:
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": {**GROUP, **V, **chunks(data), key: [data, 0, 8]}})
    message = refused(path)
    assert repr(key) in message
    assert "2 dimensions" in message


def test_references_below_no_array_are_refused_by_name(tmp_path: Path, data: str) -> None:
    refs = {**GROUP, **V, **chunks(data), "w/0": [data, 0, 8], "w/1": [data, 0, 8], "lost": "x"}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    message = refused(path)
    assert "'w/0' is a reference, and no array is there" in message
    assert "'lost'" in message
    dataset = vz_beam.open_virtual_dataset(path, unsupported="skip")
    assert set(dataset.vz.skipped) == {"w", "lost"}
    assert set(dataset.variables) == {"v"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "neither text"),
        (7, "neither text"),
        ([], "neither text"),
        (["a", 1], "neither text"),
        (["a", 1, 2, 3], "neither text"),
        ({"a": 1}, "neither text"),
        ([None, 0, 8], "no URL"),
        ([7], "no URL"),
        (["", 0, 8], "empty URL"),
        (["s3://b/a", -1, 8], "negative"),
        (["s3://b/a", 0, -8], "negative"),
        (["s3://b/a", 0.5, 8], "0.5"),
        (["s3://b/a", "0", 8], "'0'"),
        (["s3://b/a", True, 8], "True"),
        (["s3://b/a", 2**63, 8], "9223372036854775808"),
        ([["s3://b/a"], 0, 8], "no URL"),
        (["s3://key:secret@b/a", 0, 8], "v: "),
    ],
)
def test_entries_of_no_known_form_are_refused_with_their_variable(
    tmp_path: Path, data: str, entry: Any, words: str
) -> None:
    sound = {"w/.zarray": array_document([2], [2]), "w/.zattrs": dimensions("w"), "w/0": [data, 0, 4]}
    refs = {**GROUP, **V, **chunks(data), **sound, "v/1.1": entry}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": refs})
    message = refused(path)
    assert "v: " in message
    assert words in message
    assert "secret" not in message
    dataset = vz_beam.open_virtual_dataset(path, unsupported="skip", loadable_variables=["w"])
    assert list(dataset.vz.skipped) == ["v"]
    assert dataset["w"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"shape": None}, "shape"),
        ({"shape": [5, -4]}, "shape"),
        ({"shape": [5, 4.0]}, "shape"),
        ({"shape": [5, True]}, "shape"),
        ({"shape": [5]}, "chunk"),
        ({"shape": [2**63, 1]}, "shape"),
        ({"shape": [10**9, 10**9], "chunks": [1, 1]}, "1,000,000,000,000,000,000 chunks"),
        ({"chunks": [0, 2]}, "chunk"),
        ({"chunks": "22"}, "chunks"),
        ({"dtype": "<q9"}, "<q9"),
        ({"dtype": 4}, "dtype"),
        ({"dtype": "|O"}, "no object codec"),
        ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "pickle"),
        ({"dtype": [["a", "<i2"], ["b", ">i2"]]}, "mixes byte orders"),
        ({"compressor": {"level": 1}}, "no id"),
        ({"compressor": "zlib"}, "v: "),
        ({"compressor": {"id": ["zlib"]}}, "no id"),
        ({"filters": {"id": "shuffle"}}, "v: "),
        ({"filters": [{"id": "zlib"}, {"id": "delta", "dtype": "<i2"}]}, "follows"),
        ({"order": "A"}, "order"),
        ({"fill_value": "x"}, "v: "),
        ({"fill_value": [1]}, "v: "),
        ({"fill_value": 70000}, "v: "),
        ({"zarr_format": 3}, "zarr_format"),
        ({"dimension_separator": "-"}, "dimension_separator"),
    ],
)
def test_damaged_metadata_are_refused_with_their_variable(
    tmp_path: Path, data: str, damage: dict[str, Any], words: str
) -> None:
    sound = {"w/.zarray": array_document([2], [2]), "w/.zattrs": dimensions("w"), "w/0": [data, 0, 4]}
    broken = {"v/.zarray": array_document([5, 4], [2, 2]) | damage, "v/.zattrs": dimensions("y", "x")}
    path = write_json(tmp_path / "refs.json", {"version": 1, "refs": {**GROUP, **chunks(data), **sound, **broken}})
    message = refused(path)
    assert "v: " in message
    assert words in message, message
    dataset = vz_beam.open_virtual_dataset(path, unsupported="skip", loadable_variables=["w"])
    assert list(dataset.vz.skipped) == ["v"]
    assert dataset["w"].values.tolist() == [0, 1]
    assert list(vz_beam.open_virtual_dataset(path, drop_variables="v", loadable_variables=[]).variables) == ["w"]


@pytest.mark.parametrize(
    ("refs", "words"),
    [
        ([], "JSON list"),
        ({"version": 1}, "no array or group"),
        ({"version": 1, "refs": []}, "refs is a JSON list"),
        ({"version": 1, "refs": {}}, "no array or group"),
        ({"version": 1, "refs": GROUP, "templates": ["a"]}, "templates are a list"),
        ({"version": 1, "refs": GROUP, "templates": {"u": 1}}, "template 'u'"),
        ({"version": 1, "refs": GROUP, "templates": {"u v": "1"}}, "template 'u v'"),
        ({"version": 1, "refs": GROUP, "gen": {"a": 1}}, "gen is a dict"),
        ({**GROUP, "v/.zarray": "{"}, "'v/.zarray' is no JSON"),
        ({**GROUP, "v/.zarray": "base64:!!"}, "'v/.zarray' is no JSON"),
        ({**GROUP, "v/.zarray": ["s3://b/v.zarray"]}, "lies in another file"),
        ({**GROUP, "v/.zarray": 4}, "'v/.zarray' is a int"),
        ({".zarray": array_document([2], [2])}, "arrays need names"),
        ({**GROUP, **V, "v/w/.zarray": array_document([2], [2])}, "'v' is an array, and other"),
        ({**GROUP, **V, "v/.zgroup": {"zarr_format": 2}}, "both an array and a group"),
        ({**GROUP, **V, "../.zarray": array_document([2], [2])}, "'..' is no path"),
        ({**GROUP, "a//b/.zarray": array_document([2], [2])}, "is no path"),
        ({**GROUP, ".zattrs": 4}, "is a int"),
        ({**GROUP, ".zattrs": "[]"}, "attributes of group ''"),
        ({"zarr.json": {"zarr_format": 3}}, "neither an array nor a group"),
    ],
)
def test_files_that_are_no_references_are_refused_with_what_is_wrong(tmp_path: Path, refs: Any, words: str) -> None:
    assert words in refused(write_json(tmp_path / "refs.json", refs))


def test_a_file_with_two_problems_names_both(tmp_path: Path, data: str) -> None:
    refs = {**GROUP, **V, "v/0.0": 7, "w/.zarray": array_document([2], [2], "<q9"), "w/.zattrs": dimensions("w")}
    message = refused(write_json(tmp_path / "refs.json", {"version": 1, "refs": refs}))
    assert "2 variables" in message
    assert "v: " in message
    assert "w: " in message
