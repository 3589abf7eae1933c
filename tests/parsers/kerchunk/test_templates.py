"""Templates and generators of JSON, as the specification has them; values against fsspec and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parsers.kerchunk.stores import (
    GROUP,
    VALUES,
    V,
    chunks,
    stored_by_zarr,
    write_json,
)
from tests.parsers.kerchunk.stores import (
    json_refusal as refused,
)
from tests.parsers.kerchunk.stores import (
    read_json as read,
)
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.testing.parser_suite import assert_same_values


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
