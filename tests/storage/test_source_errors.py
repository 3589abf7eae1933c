from __future__ import annotations

import os
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.storage.conftest import Served
from vz_beam.errors import InputError, SourceError, SourceNotFoundError, TransientSourceError, VzBeamError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.fsspec_source import FsspecSource
from vz_beam.storage.object_stores import object_store
from vz_beam.storage.registry import PrefixRegistry

ONCE: dict[str, Any] = {"retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=2)}}
STATUSES = [
    (404, SourceNotFoundError),
    (410, SourceNotFoundError),
    (401, SourceError),
    (403, SourceError),
    (418, SourceError),
    (429, TransientSourceError),
    (500, TransientSourceError),
    (503, TransientSourceError),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("protocol", ["http", "s3"])
def test_each_status_of_a_server_becomes_the_error_of_its_kind(
    served: Served, status: int, kind: type[VzBeamError], protocol: str
) -> None:
    served.statuses = {"/b/a.nc": status}
    served.body = b"<Error><Code>Odd</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>"
    if protocol == "http":
        source = open_source(f"{served.root}/b/a.nc", ONCE)
    else:
        options = {"endpoint": served.root, "access_key_id": "AKIASECRET", "secret_access_key": "hush", "region": "x"}
        source = open_source("s3://b/a.nc", {**options, **ONCE})
    for act in (lambda: source.read(0, 4), lambda: source.read_many([(0, 1), (1_000_000, 1_000_001)]), source.size):
        with pytest.raises(kind, match=r"b/a\.nc") as caught:
            act()
        assert type(caught.value) is kind
        assert "AKIASECRET" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(404, SourceNotFoundError), (503, TransientSourceError)])
def test_each_status_becomes_the_error_of_its_kind_through_fsspec(
    served: Served, status: int, kind: type[VzBeamError]
) -> None:
    served.statuses = {"/b/a.nc": status}
    source = FsspecSource.open(f"{served.root}/b/a.nc")
    with pytest.raises(kind, match=r"b/a\.nc"):
        source.read(0, 4)


def test_a_host_that_does_not_answer_may_answer_later() -> None:
    with pytest.raises(TransientSourceError, match="try again"):
        open_source("http://127.0.0.1:1/a.nc", ONCE).read(0, 4)


def test_a_server_without_ranges_is_refused(served: Served) -> None:
    served.files, served.ranges = {"/a.nc": b"0123456789"}, False
    with pytest.raises(SourceError, match="does not answer requests for byte ranges"):
        open_source(f"{served.root}/a.nc", ONCE).read(2, 4)


def test_a_url_that_is_signed_for_get_alone_still_has_a_size(served: Served) -> None:
    served.files, served.refused_methods = {"/a.nc": b"0123456789"}, {"HEAD"}
    source = open_source(f"{served.root}/a.nc", ONCE)
    assert source.size() == 10
    assert source.identity().etag == '"v1"'


def test_an_object_that_is_not_in_memory_is_not_found() -> None:
    with pytest.raises(SourceNotFoundError, match="memory://nowhere/a"):
        open_source("memory://nowhere/a").read(0, 1)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(InputError, match="neither obstore nor fsspec"):
        open_source("gopher://host/a")


def test_a_missing_member_of_an_archive_is_not_found(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.nc", b"01")
    with pytest.raises(SourceNotFoundError, match=r"b\.nc"):
        open_source(f"zip://b.nc::{tmp_path}/x.zip").read(0, 1)


def test_a_folder_of_fsspec_is_refused() -> None:
    fsspec.filesystem("memory").pipe_file("/errors-folder/a", b"1")
    with pytest.raises(SourceError, match="is a folder"):
        FsspecSource(fsspec.filesystem("memory"), "/errors-folder", "memory://errors-folder").read(0, 1)


def test_a_key_with_an_empty_segment_is_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match="simplecache::s3://b/a//c"):
        open_source("s3://b/a//c", {"skip_signature": True})


def test_an_azure_url_without_its_account_is_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match="account_name"):
        open_source("az://container/a", {"skip_signature": True})


@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded"
)  # Python 3.12 and later say why this test is here
def test_a_process_that_was_forked_after_the_first_read_is_refused_instead_of_waiting_for_ever() -> None:
    object_store("s3://b/k", {"skip_signature": True})
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            object_store("s3://b/k", {"skip_signature": True})
            os.write(write_end, b"no error")
        except SourceError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        assert "forked" in pipe.read()


def test_one_client_serves_all_objects_of_a_bucket_and_its_options() -> None:
    first = object_store("s3://b/x", {"skip_signature": True})[0]
    assert object_store("s3://b/y", {"skip_signature": True})[0] is first
    assert object_store("s3://b/y", {"skip_signature": True, "region": "r"})[0] is not first
    assert object_store("s3://c/y", {"skip_signature": True})[0] is not first


def test_a_registry_without_the_url_is_refused_with_what_it_has() -> None:
    registry = PrefixRegistry({"s3://b/data": object_store("memory://")[0]})
    with pytest.raises(InputError, match=r"s3://c/x.*\['s3://b/data'\]"):
        open_source("s3://c/x", registry=registry)
