from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.storage.conftest import Served
from vz_beam.errors import InputError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.urls import canonical_url, root_and_key, scheme_of, source_url

NAMES = ["a.nc", "a#b.nc", "a?b.nc", "a b.nc", "a%20b.nc", "é.nc", "a*b[1].nc", "a::b.nc", "a&b=c;d.nc", "a\\b.nc"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file for each name, which holds its number, and the names that a wrong quoting would read instead."""
    for number, name in enumerate([*NAMES, "a"]):
        (tmp_path / name).write_bytes(np.full(4, number, "<i4").tobytes())
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_any_local_name_is_read_back_by_us_and_from_kerchunk_references(folder: Path, name: str) -> None:
    number = NAMES.index(name)
    source = open_source(folder / name)
    assert source.url == f"file://{folder}/{name}"
    assert np.frombuffer(source.read(0, 16), "<i4")[0] == number
    assert open_source(source.url).read(0, 16) == source.read(0, 16)
    array = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<i4", "order": "C"}
    references = {
        ".zgroup": '{"zarr_format":2}',
        "x/.zarray": json.dumps({**array, "compressor": None, "filters": None, "fill_value": -1}),
        "x/.zattrs": '{"_ARRAY_DIMENSIONS":["i"]}',
        "x/0": [source.url, 0, 16],
    }
    with xr.open_dataset({"version": 1, "refs": references}, engine="kerchunk") as opened:  # type: ignore[arg-type]
        np.testing.assert_array_equal(opened["x"].values, np.full(4, number))


@pytest.mark.parametrize("name", ["a#b.nc", "a?b.nc", "a b.nc", "a%20b.nc", "é.nc", "a+b=c.nc"])
def test_any_key_of_s3_asks_for_the_object_that_s3fs_asks_for(served: Served, name: str) -> None:
    import s3fs

    wire = {"a#b.nc": "a%23b.nc", "a?b.nc": "a%3Fb.nc", "a b.nc": "a%20b.nc", "a%20b.nc": "a%2520b.nc"}
    wire |= {"é.nc": "%C3%A9.nc", "a+b=c.nc": "a%2Bb%3Dc.nc"}
    served.files = {f"/bucket/{wire[name]}": b"right", "/bucket/a": b"wrong"}
    source = open_source(f"s3://bucket/{name}", {"endpoint": served.root, "skip_signature": True})
    assert (source.url, source.read(0, 5)) == (f"s3://bucket/{name}", b"right")
    filesystem = s3fs.S3FileSystem(anon=True, endpoint_url=served.root, skip_instance_cache=True)
    assert filesystem.cat_file(source.url, start=0, end=5) == b"right"


@pytest.mark.parametrize(
    ("given", "canonical", "wire"),
    [
        ("/d/a b.nc", "/d/a%20b.nc", "/d/a%20b.nc"),
        ("/d/a%20b.nc", "/d/a%20b.nc", "/d/a%20b.nc"),
        ("/d/a#b.nc", "/d/a%23b.nc", "/d/a%23b.nc"),
        ("/d/a%23b.nc", "/d/a%23b.nc", "/d/a%23b.nc"),
        ("/d/a%2Fb.nc", "/d/a%2Fb.nc", "/d/a%2Fb.nc"),
        ("/d//a.nc", "/d//a.nc", "/d//a.nc"),
        ("/get?id=1&f=a%2Fb.nc", "/get?id=1&f=a%2Fb.nc", "/get?id=1&f=a%2Fb.nc"),
        ("/d/é.nc", "/d/%C3%A9.nc", "/d/%C3%A9.nc"),
        ("/d/a+(1),b=c@2~.nc", "/d/a+(1),b=c@2~.nc", "/d/a+(1),b=c@2~.nc"),
        ("/d/a.nc#mode=bytes", "/d/a.nc", "/d/a.nc"),
    ],
)
def test_a_url_of_http_is_sent_as_it_is_written_and_stays_encoded(
    served: Served, given: str, canonical: str, wire: str
) -> None:
    served.files = {wire: b"right"}
    source = open_source(served.root + given)
    assert source.url == served.root + canonical
    assert source.read(0, 5) == b"right"
    assert [path for _, path, _ in served.seen] == [wire]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert canonical_url("x/../a.nc") == f"file://{tmp_path}/a.nc"
    assert canonical_url(Path("d") / "a.nc") == f"file://{tmp_path}/d/a.nc"
    assert canonical_url("~/a.nc") == f"file://{tmp_path}/home/a.nc"
    assert canonical_url("zip://in.nc::x.zip") == f"zip://in.nc::file://{tmp_path}/x.zip"
    assert canonical_url("d/") == f"file://{tmp_path}/d"


@pytest.mark.parametrize("text", ["file:///a/b", "file:/a/b", "file://localhost/a/b", "local:///a/b", "/a/./b"])
def test_one_local_file_has_one_url(text: str) -> None:
    assert canonical_url(text) == "file:///a/b"


@pytest.mark.parametrize(
    "url", ["file:///a b", "s3://b/k#1", "http://h/a%20b?x=1", "memory://a/b", "zip://a::s3://b/z"]
)
def test_a_canonical_url_stays_as_it_is(url: str) -> None:
    assert canonical_url(canonical_url(url)) == canonical_url(url) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "empty text"),
        ("a\0b", "null character"),
        (PurePosixPath("s3://bucket/key"), "pathlib took one of its slashes"),
        (b"/a", "not by bytes"),
        ("https://me:secret-word@host/a", "storage_options"),
        ("ftp://me:secret-word@host/a", "storage_options"),
        ("simplecache::ftp://me:secret-word@host/a", "storage_options"),
    ],
)
def test_what_names_no_file_is_refused(url: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        canonical_url(url)
    assert "secret-word" not in str(caught.value)


def test_the_container_of_azure_is_no_password() -> None:
    url = "abfs://container@account.dfs.core.windows.net/a/b.nc"
    assert canonical_url(url) == url
    assert root_and_key(url) == ("abfs://container@account.dfs.core.windows.net", "a/b.nc")


def test_a_source_behind_a_cache_has_the_url_of_what_is_cached(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"0123")
    options = {"simplecache": {"cache_storage": str(tmp_path / "cache")}}
    source = open_source(f"simplecache::{tmp_path}/a.nc", options)
    assert (source.url, source.read(1, 3)) == (f"file://{tmp_path}/a.nc", b"12")
    assert source_url("blockcache::simplecache::s3://b/k") == "s3://b/k"
    assert scheme_of("zip://a.nc::s3://b/k") == "zip"


def test_a_file_in_an_archive_is_read_through_its_chain(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("d/a.nc", b"0123456789")
    source = open_source(f"zip://d/a.nc::{os.fspath(tmp_path)}/x.zip")
    assert source.url == f"zip://d/a.nc::file://{tmp_path}/x.zip"
    assert source.read_many([(2, 5), (8, 10)]) == [b"234", b"89"]
