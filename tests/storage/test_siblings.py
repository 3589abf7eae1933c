from __future__ import annotations

import gc
import os
from pathlib import Path

import fsspec
import pytest
from obstore.store import LocalStore, MemoryStore

from tests.storage.conftest import Served
from vz_beam.errors import SourceNotFoundError, VzBeamError
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.local_source import LocalSource
from vz_beam.storage.request_log import RequestLog
from vz_beam.storage.sibling_urls import sibling_url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.h5", "b 1%.h5", "sub/c.h5"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(("name", "found"), [("b 1%.h5", "b 1%.h5"), ("./sub/../sub/c.h5", "sub/c.h5")])
def test_a_local_file_opens_those_that_it_names(folder: Path, name: str, found: str) -> None:
    source = open_source(str(folder / "a.h5"))
    sibling = source.sibling(name)
    assert sibling.url == f"file://{folder / found}"
    assert sibling.read(0, sibling.size()).decode() == found
    assert sibling.sibling(Path(found).name).url == sibling.url


def test_an_absolute_name_is_a_local_path(folder: Path) -> None:
    source = open_source(str(folder / "a.h5"))
    assert source.sibling(str(folder / "sub/c.h5")).url == f"file://{folder}/sub/c.h5"


def test_files_beside_a_link_come_before_those_beside_its_target(folder: Path) -> None:
    links = folder / "links"
    links.mkdir()
    (links / "a.h5").symlink_to(folder / "a.h5")
    source = open_source(str(links / "a.h5"))
    assert source.sibling("b 1%.h5").url == f"file://{folder}/b 1%.h5"
    (links / "b 1%.h5").write_text("nearer")
    assert source.sibling("b 1%.h5").url == f"file://{links}/b 1%.h5"


@pytest.mark.parametrize("name", ["gone.h5", "sub/gone.h5", "s3://bucket/a.h5", "", ".", "sub/", "/nowhere/a.h5"])
def test_what_is_not_there_is_an_error_that_names_it(folder: Path, name: str) -> None:
    with pytest.raises(SourceNotFoundError, match=name.rpartition("/")[2] or "names no file"):
        open_source(str(folder / "a.h5")).sibling(name)


def test_the_working_folder_is_not_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "sub")
    with pytest.raises(SourceNotFoundError):
        open_source(str(folder / "a.h5")).sibling("c.h5")


def test_a_source_of_a_registry_opens_others_through_it(folder: Path) -> None:
    store = MemoryStore()
    store.put("d/a.h5", b"a")
    store.put("d/b.h5", b"bb")
    sibling = open_source("s3://bucket/d/a.h5", registry={"s3://bucket": store}).sibling("b.h5")
    assert (sibling.url, sibling.read(0, 2)) == ("s3://bucket/d/b.h5", b"bb")
    local = open_source(str(folder / "a.h5"), registry={f"file://{folder}": LocalStore(folder)})
    assert local.sibling("sub/c.h5").read(0, 3) == b"sub"
    with pytest.raises(VzBeamError, match="no store for"):
        local.sibling("/etc/hostname")


def test_filesystems_and_chains_of_fsspec_open_others(folder: Path) -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/siblings/a.h5", b"a")
    filesystem.pipe("/siblings/b.h5", b"bb")
    source = open_source("simplecache::memory://siblings/a.h5")
    sibling = source.sibling("b.h5")
    assert (sibling.url, sibling.read(0, 2)) == ("memory://siblings/b.h5", b"bb")
    assert sibling.sibling("a.h5").read(0, 1) == b"a"


def test_an_http_server_is_asked_for_names_encoded_and_without_the_query(served: Served) -> None:
    served.files |= {"/d/a.h5?day=2": b"a", "/d/e/b%201%25.h5": b"bb"}
    sibling = open_source(f"{served.root}/d/a.h5?day=2").sibling("e/b 1%.h5")
    assert (sibling.url, sibling.read(0, 2)) == (f"{served.root}/d/e/b%201%25.h5", b"bb")


def test_an_object_store_is_asked_with_the_same_options(served: Served) -> None:
    served.files["/bucket/d/b.h5"] = b"bb"
    options = {"endpoint": served.root, "skip_signature": True}
    sibling = open_source("s3://bucket/d/a.h5", options).sibling("b.h5")
    assert (sibling.url, sibling.read(0, 2)) == ("s3://bucket/d/b.h5", b"bb")
    with pytest.raises(SourceNotFoundError):
        sibling.sibling("gone.h5").size()


def test_a_remote_file_that_is_not_there_is_told_by_the_first_request() -> None:
    source = open_source("s3://bucket/d/a.h5", registry={"s3://bucket": MemoryStore()})
    with pytest.raises(SourceNotFoundError, match=r"s3://bucket/d/gone\.h5"):
        source.sibling("gone.h5").size()


@pytest.mark.parametrize("name", ["/data/b.h5", "C:\\data\\b.h5", "../../b.h5", "../../other/b.h5"])
def test_names_cannot_leave_a_remote_store(name: str) -> None:
    for url in ("s3://bucket/d/a.h5", "https://host/d/a.h5", "memory://d/a.h5"):
        with pytest.raises(SourceNotFoundError):
            sibling_url(url, name)


def test_wrappers_pass_on_and_a_log_sees_the_requests_of_siblings(folder: Path) -> None:
    log = RequestLog(open_source(str(folder / "a.h5")))
    sibling = BlockCache(log).sibling("sub/c.h5")
    assert sibling.local_path is None
    sibling.read(1, 3)
    assert [(other.url, other.requests) for other in log.siblings] == [(f"file://{folder}/sub/c.h5", [(1, 3)])]


def test_a_source_made_by_hand_knows_no_others(folder: Path) -> None:
    with pytest.raises(VzBeamError, match="open_source"):
        LocalSource(str(folder / "a.h5")).sibling("sub/c.h5")


def test_a_dropped_source_is_gone_without_the_garbage_collector(folder: Path) -> None:
    gc.disable()
    try:
        source = open_source(str(folder / "a.h5"))
        assert isinstance(source, LocalSource)
        descriptor = source._descriptor
        del source
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    finally:
        gc.enable()
