from __future__ import annotations

import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from vz_beam.errors import InputError, PatternError
from vz_beam.storage.byte_sink import ByteSink, open_sink
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.glob_pattern import pattern_from_glob
from vz_beam.storage.listing import list_files

FILES = ["2020/t2.nc", "2020/t10.nc", "2021/t1.nc", "2021/deep/er/t3.nc", "2021/.hidden.nc", "notes.txt", "t#1 ?.nc"]
ROOTS: dict[str, Callable[[Path], str]] = {
    "path": str,
    "file": lambda folder: f"file://{folder}",
    "memory": lambda folder: f"memory://listing/{uuid.uuid4().hex}",
}


@pytest.fixture(params=ROOTS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    root = ROOTS[request.param](tmp_path)
    _fill(open_sink(root))
    return root


def _fill(sink: ByteSink) -> None:
    for name in FILES:
        sink.write(name, name.encode())


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("*.nc", ["t#1 ?.nc"]),
        ("2020/*.nc", ["2020/t2.nc", "2020/t10.nc"]),
        ("202?/t*.nc", ["2020/t2.nc", "2020/t10.nc", "2021/t1.nc"]),
        ("**/t[13].nc", ["2021/deep/er/t3.nc", "2021/t1.nc"]),
        ("2021/**", ["2021/deep/er/t3.nc", "2021/t1.nc"]),
        ("2021/.*.nc", ["2021/.hidden.nc"]),
        ("2020/t2.nc", ["2020/t2.nc"]),
        ("2020", ["2020/t2.nc", "2020/t10.nc"]),
        ("2021/", ["2021/deep/er/t3.nc", "2021/t1.nc"]),
        ("t#1 ?.nc", ["t#1 ?.nc"]),
    ],
)
def test_a_glob_or_folder_gives_its_files_in_natural_order(root: str, glob: str, names: list[str]) -> None:
    urls = list_files(f"{root}/{glob}")
    prefix = root if "://" in root else f"file://{root}"
    assert urls == [f"{prefix}/{name}" for name in names]
    assert [open_source(url).read(0, len(name)) for url, name in zip(urls, names, strict=True)] == [
        name.encode() for name in names
    ]


def test_relative_globs_and_paths_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(open_sink(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert list_files("2020/*.nc") == list_files(Path("2020")) == list_files(tmp_path / "2020" / "t*")
    assert list_files("./2021/../2020/t2.nc") == [f"file://{tmp_path}/2020/t2.nc"]


def test_a_name_with_wildcards_that_is_there_is_itself(tmp_path: Path) -> None:
    for name in ("a[1].nc", "a1.nc"):
        (tmp_path / name).write_bytes(b"")
    assert list_files(tmp_path / "a[1].nc") == [f"file://{tmp_path}/a[1].nc"]


def test_what_matches_nothing_is_an_error_with_the_nearest_folder(root: str) -> None:
    with pytest.raises(PatternError, match=r"2020/x\*\.nc; the nearest folder there is .*/2020$"):
        list_files(f"{root}/2020/x*.nc")
    with pytest.raises(PatternError, match=r"the nearest folder there is .*/2021$"):
        list_files(f"{root}/2021/no/such/*.nc")
    with pytest.raises(PatternError, match=r"gone\.nc; the nearest"):
        list_files(f"{root}/gone.nc")


def test_an_empty_folder_and_an_empty_name_are_errors(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="no files match"):
        list_files(tmp_path)
    with pytest.raises(PatternError, match="empty text"):
        list_files("")


def test_zarr_stores_are_listed_as_one(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    for key in ("a2.zarr/zarr.json", "a2.zarr/x/c/0", "a10.zarr/.zgroup", "a10.zarr/x/.zarray"):
        sink.write(key, b"{}")
    expected = [f"file://{tmp_path}/a2.zarr", f"file://{tmp_path}/a10.zarr"]
    assert list_files(tmp_path / "*.zarr") == list_files(tmp_path) == expected
    assert list_files(tmp_path / "a2.zarr") == expected[:1]


def test_a_server_of_http_is_not_listed_and_a_file_on_it_is_itself() -> None:
    for url in ("https://host/*.nc", "https://host/d/"):
        with pytest.raises(InputError, match="cannot be listed"):
            list_files(url)
    assert list_files("https://host/get?file=a b.nc") == ["https://host/get?file=a%20b.nc"]


def test_files_in_an_archive_are_listed_by_their_chains(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("d/t10.nc", "d/t2.nc", "e.txt"):
            archive.writestr(name, name)
    urls = list_files(f"zip://d/*.nc::{tmp_path}/x.zip")
    assert urls == [f"zip://d/{name}::file://{tmp_path}/x.zip" for name in ("t2.nc", "t10.nc")]
    assert open_source(urls[1]).read(0, 8) == b"d/t10.nc"
    assert list_files(f"zip://d::{tmp_path}/x.zip") == urls
    with pytest.raises(PatternError, match="nearest folder"):
        list_files(f"zip://f/*.nc::{tmp_path}/x.zip")


def test_files_behind_a_cache_are_listed_by_their_chains() -> None:
    name = uuid.uuid4().hex
    for file in ("t10.nc", "t2.nc"):
        fsspec.filesystem("memory").pipe_file(f"/{name}/{file}", b"1")
    urls = list_files(f"simplecache::memory://{name}/*.nc")
    assert urls == [f"simplecache::memory://{name}/{file}" for file in ("t2.nc", "t10.nc")]
    assert open_source(urls[0]).read(0, 1) == b"1"


def test_a_glob_makes_a_pattern_in_natural_order(tmp_path: Path) -> None:
    _fill(open_sink(tmp_path))
    pattern = pattern_from_glob(tmp_path / "2020" / "*.nc", "time")
    assert [url for _, url in pattern.items()] == [f"file://{tmp_path}/2020/{name}" for name in ("t2.nc", "t10.nc")]
    named = pattern_from_glob(tmp_path / "2020" / "*.nc", "day", name_pattern="t{day}.nc")
    assert named.combine_dim_keys == {"day": ["2", "10"]}


def test_one_file_needs_no_dimension(tmp_path: Path) -> None:
    _fill(open_sink(tmp_path))
    assert [url for _, url in pattern_from_glob(tmp_path / "2021" / "t1.nc").items()] == [
        f"file://{tmp_path}/2021/t1.nc"
    ]
