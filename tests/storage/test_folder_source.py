from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pytest
from obstore.store import MemoryStore

from tests.storage.conftest import Served
from vz_beam.errors import SourceError, SourceNotFoundError, TransientSourceError
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.folder_source import MARKS, FolderSource, open_file_or_folder

FILES = {".zmetadata": b'{"metadata": 1}', "v/refs.0.parq": b"records", "zarr.json": b"three", "a/zarr.json": b"in a"}


def _local(folder: Path, served: Served) -> str:
    for name, data in FILES.items():
        path = folder / "s.parquet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder / "s.parquet")


def _memory(folder: Path, served: Served) -> str:
    url = f"memory://{uuid.uuid4().hex}/s.parquet"
    sink = open_sink(url)
    for name, data in FILES.items():
        sink.write(name, data)
    return url


def _http(folder: Path, served: Served) -> str:
    served.files.update({f"/d/s.parquet/{name}": data for name, data in FILES.items()})
    return f"{served.root}/d/s.parquet"


def _chained(folder: Path, served: Served) -> str:
    name = f"{uuid.uuid4().hex}/s.parquet"
    for key, data in FILES.items():
        fsspec.filesystem("memory").pipe_file(f"/{name}/{key}", data)
    return f"simplecache::memory://{name}"


PLACES: dict[str, Callable[[Path, Served], str]] = {
    "local": _local, "memory": _memory, "http": _http, "fsspec chain": _chained,
}  # fmt: skip


@pytest.fixture(params=PLACES)
def url(request: pytest.FixtureRequest, tmp_path: Path, served: Served) -> str:
    return PLACES[request.param](tmp_path, served)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_has_the_bytes_of_its_document_and_the_files_in_it(url: str, end: str) -> None:
    with closing(open_file_or_folder(url + end)) as source:
        assert isinstance(source, FolderSource)
        assert (source.mark, source.local_path) == (".zmetadata", None)
        assert source.url.endswith("s.parquet")
        assert source.size() == 15
        assert source.read(0, 15) == source.read_head(100) == FILES[".zmetadata"]
        assert source.read_many([(0, 2), (2, 4)]) == [b'{"', b"me"]
        assert (source.identity().url, source.identity().size) == (source.url, 15)
        with closing(source.sibling("v/refs.0.parq")) as sibling:
            assert sibling.read(0, sibling.size()) == b"records"
            assert sibling.url.endswith("s.parquet/v/refs.0.parq")
        with pytest.raises(SourceNotFoundError, match=r"refs\.1\.parq"):
            source.sibling("v/refs.1.parq").size()


def test_a_file_in_the_folder_is_a_file(url: str) -> None:
    with closing(open_file_or_folder(f"{url}/.zmetadata")) as source:
        assert not isinstance(source, FolderSource)
        assert source.read(0, source.size()) == FILES[".zmetadata"]
        with closing(source.sibling("v/refs.0.parq")) as sibling:
            assert sibling.read(0, 7) == b"records"


def test_what_is_neither_file_nor_store_is_not_there(url: str) -> None:
    for name in ("gone.parquet", "gone", "v"):
        with pytest.raises(SourceError, match=name):
            open_file_or_folder(f"{url}/{name}").size()


@pytest.mark.parametrize("mark", MARKS)
def test_each_document_marks_a_folder_and_the_first_of_them_counts(tmp_path: Path, mark: str) -> None:
    for name in MARKS[MARKS.index(mark) :]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"this is {name}")
    with closing(open_file_or_folder(tmp_path)) as source:
        assert isinstance(source, FolderSource)
        assert source.mark == mark
        assert source.read(0, source.size()) == f"this is {mark}".encode()


def test_an_empty_folder_is_refused_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="folder"):
        open_file_or_folder(tmp_path)


def test_a_link_to_a_folder_is_the_folder(tmp_path: Path, served: Served) -> None:
    link = tmp_path / "link"
    os.symlink(_local(tmp_path, served), link)
    with closing(open_file_or_folder(link)) as source, closing(source.sibling("v/refs.0.parq")) as sibling:
        assert sibling.read(0, 7) == b"records"


def test_a_registry_serves_the_folder_and_what_is_in_it() -> None:
    store = MemoryStore()
    for name, data in FILES.items():
        store.put(f"d/s.parquet/{name}", data)
    registry: Any = {"s3://bucket": store}
    with closing(open_file_or_folder("s3://bucket/d/s.parquet", registry=registry)) as source:
        assert (source.url, source.size()) == ("s3://bucket/d/s.parquet", 15)
        with closing(source.sibling("v/refs.0.parq")) as sibling:
            assert sibling.read(0, 7) == b"records"


def test_an_empty_object_that_stands_for_a_folder_is_the_folder() -> None:
    store = MemoryStore()
    store.put("d/s", b"")
    store.put("d/s/.zmetadata", b"{}")
    with closing(open_file_or_folder("s3://bucket/d/s", registry={"s3://bucket": store})) as source:
        assert (type(source).__name__, source.size()) == ("FolderSource", 2)


def test_a_page_that_lists_a_folder_is_not_taken_for_its_store(served: Served) -> None:
    url = _http(Path(), served)
    served.files |= {"/d/s.parquet": b"<html>list", "/d/s.parquet/": b"<html>list", "/d/plain": b"plain"}
    for end in ("", "/"):
        with closing(open_file_or_folder(url + end)) as source:
            assert source.read(0, 4) == b'{"me'
    with closing(open_file_or_folder(f"{served.root}/d/plain")) as source:
        assert source.read(0, 5) == b"plain"


def test_a_server_that_fails_is_not_taken_for_one_without_the_file(served: Served) -> None:
    url = _http(Path(), served)
    served.statuses["/d/s.parquet/.zmetadata"] = 503
    with pytest.raises(TransientSourceError, match=r"s\.parquet"):
        open_file_or_folder(url, {"retry_config": {"max_retries": 0}})


def test_a_store_over_http_is_found_by_few_requests(served: Served) -> None:
    url = _http(Path(), served)
    with closing(open_file_or_folder(url)) as source:
        assert source.read(0, source.size()) == FILES[".zmetadata"]
        assert len(served.seen) <= 3
        served.seen.clear()
        with closing(source.sibling("v/refs.0.parq")) as sibling:
            assert sibling.read_head(2**20) == b"records"
        assert len(served.seen) <= 2
