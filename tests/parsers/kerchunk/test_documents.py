"""Metadata documents, keys and groups in JSON; values against fsspec, zarr and numpy."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

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
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.testing.parser_suite import assert_same_values


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


def test_a_file_with_two_problems_names_both(tmp_path: Path, data: str) -> None:
    refs = {**GROUP, **V, "v/0.0": 7, "w/.zarray": array_document([2], [2], "<q9"), "w/.zattrs": dimensions("w")}
    message = refused(write_json(tmp_path / "refs.json", {"version": 1, "refs": refs}))
    assert "2 variables" in message
    assert "v: " in message
    assert "w: " in message


def test_arrays_of_no_elements_are_there_whatever_their_chunks_are(tmp_path: Path) -> None:
    document = array_document([0, 3], [0, 3])
    path = write_json(tmp_path / "a.json", {**GROUP, "v/.zarray": document, "v/.zattrs": dimensions("y", "x")})
    assert read(path)["v"].shape == stored_by_zarr(path)["v"].shape == (0, 3)
