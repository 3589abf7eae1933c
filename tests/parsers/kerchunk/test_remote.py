"""Stores on a server of http, in fsspec's and obstore's memory: the same values, by few requests."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from obstore.store import MemoryStore

import vz_beam
from integration.servers.range_server import RangeServer
from tests.parsers.kerchunk.stores import FORMATS, open_ours, written_store
from vz_beam.errors import UnsupportedError
from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
from vz_beam.testing.raw_store import RawStore
from vz_beam.writers.writer import find_writer, write_store

CASE = "60 references, middle chunk missing, several record file"


def files_of(path: str) -> dict[str, bytes]:
    """The files of a store by their names below the folder that it is in."""
    store = Path(path)
    files = [path for path in store.rglob("*") if path.is_file()] if store.is_dir() else [store]
    return {file.relative_to(store.parent).as_posix(): file.read_bytes() for file in files}


def in_fsspec_memory(files: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    folder = uuid.uuid4().hex
    for name, data in files.items():
        fsspec.filesystem("memory").pipe_file(f"/{folder}/{name}", data)
    return f"simplecache::memory://{folder}", {}


def in_obstore_memory(files: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    store = MemoryStore()
    for name, data in files.items():
        store.put(f"d/{name}", data)
    return "s3://bucket/d", {"registry": {"s3://bucket": store}}


MEMORIES: dict[str, Callable[[dict[str, bytes]], tuple[str, dict[str, Any]]]] = {
    "fsspec": in_fsspec_memory,
    "obstore": in_obstore_memory,
}


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("form", FORMATS)
def test_a_store_in_memory_has_the_references_that_it_has_on_disk(tmp_path: Path, form: str, memory: str) -> None:
    _, path = written_store(tmp_path, "nested groups", form)
    url, options = MEMORIES[memory](files_of(path))
    for group in (None, "g", "g/deep"):
        ours, disk = (
            vz_beam.open_virtual_dataset(place, group=group, loadable_variables=[], **words)
            for place, words in ((f"{url}/store{FORMATS[form]}", options), (path, {}))
        )
        assert ours.vz.to_kerchunk() == disk.vz.to_kerchunk()
        assert ours.vz.nrefs() >= 2


@pytest.mark.parametrize("form", FORMATS)
def test_store_and_data_in_a_registry_give_the_values(tmp_path: Path, form: str) -> None:
    raw, path = written_store(tmp_path, CASE, form)
    store = MemoryStore()
    moved = tmp_path / f"moved{FORMATS[form]}"
    vz_beam.open_virtual_dataset(path, loadable_variables=[]).vz.rename_paths(
        lambda url: url.replace(f"file://{tmp_path}", "s3://bucket/data")
    ).vz.to_kerchunk(moved, format=form, record_size=7)
    for file in tmp_path.glob("*.bin"):
        store.put(f"data/{file.name}", file.read_bytes())
    for name, data in files_of(str(moved)).items():
        store.put(name, data)
    with open_ours(f"s3://bucket/{moved.name}", registry={"s3://bucket": store}) as ours:
        np.testing.assert_array_equal(ours["v"].values, raw.decoded["v"])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[RangeServer, dict[str, str]]]:
    """A store of each form with 6 arrays, 4 record files each, and its data, all on one server."""
    with RangeServer({}, 0.01) as server:
        files: dict[str, Path] = {}
        for form, suffix in FORMATS.items():
            folder = tmp_path / form
            folder.mkdir()
            raw = RawStore(folder, chunks_per_shard=5)
            for number in range(6):
                raw.add(f"v{number}", np.arange(40.0) + number, (2,), ("x",))
            path = folder / f"store{suffix}"
            write_store(find_writer(str(path)), path, raw.layout, raw.shards())
            moved = folder / f"moved{suffix}"
            vz_beam.open_virtual_dataset(path, loadable_variables=[]).vz.rename_paths(
                lambda url: f"{server.url}/data/{url.rpartition('/')[2]}".replace(" {{0}}", "")
            ).vz.to_kerchunk(moved, format=form, record_size=5)
            files |= {f"data/{file.name.replace(' {{0}}', '')}": file for file in folder.glob("*.bin")}
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            files |= {name: folder / name for name in files_of(str(moved))}
        server.files = files
        yield server, {form: f"{server.url}/moved{suffix}" for form, suffix in FORMATS.items()}


@pytest.mark.parametrize("form", FORMATS)
def test_a_store_on_a_server_is_parsed_by_few_requests_side_by_side(
    served: tuple[RangeServer, dict[str, str]], form: str
) -> None:
    server, urls = served
    server.forget()
    with open_ours(urls[form]) as ours:
        parsed, rounds = list(server.requests), server.rounds
        for number in range(6):
            np.testing.assert_array_equal(ours[f"v{number}"].values, np.arange(40.0) + number)
    assert all(not request.path.startswith("data/") for request in parsed)
    record_files = 6 * 4 if form == "parquet" else 0
    assert len({request.path for request in parsed}) == 1 + record_files
    assert len(parsed) <= 3 + 2 * record_files
    assert rounds <= 4 + record_files / 2  # the arrays one after the other, the files of each together


def test_only_record_files_of_the_variables_that_are_wanted_are_asked_for(
    served: tuple[RangeServer, dict[str, str]],
) -> None:
    server, urls = served
    server.forget()
    KerchunkParquetParser(drop_variables=[f"v{number}" for number in range(5)])(urls["parquet"])
    assert {request.path.split("/")[1] for request in server.requests} == {".zmetadata", "v5"}


def test_a_record_file_that_the_server_has_lost_is_refused_by_name(
    served: tuple[RangeServer, dict[str, str]],
) -> None:
    server, urls = served
    files = {name: path for name, path in server.files.items() if not name.endswith("v2/refs.3.parq")}
    server.files = files
    with pytest.raises(UnsupportedError, match=r"v2/refs\.3\.parq"):
        KerchunkParquetParser()(urls["parquet"])
    group = KerchunkParquetParser(unsupported="skip")(urls["parquet"]).group
    assert list(group.skipped) == ["v2"]
    assert len(group.arrays) == 5


def test_whole_files_on_a_server_are_asked_for_their_sizes_side_by_side(tmp_path: Path) -> None:
    names = [f"{number}.bin" for number in range(20)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(np.int32(number).tobytes())
    with RangeServer({name: tmp_path / name for name in names}, 0.02) as server:
        document = {"zarr_format": 2, "shape": [20], "chunks": [1], "dtype": "<i4", "fill_value": None, "order": "C"}
        refs = {
            ".zgroup": {"zarr_format": 2},
            "v/.zarray": {**document, "compressor": None, "filters": None},
            "v/.zattrs": {"_ARRAY_DIMENSIONS": ["x"]},
            **{f"v/{number}": [f"{server.url}/{name}"] for number, name in enumerate(names)},
        }
        path = tmp_path / "refs.json"
        path.write_text(json.dumps({"version": 1, "refs": refs}))
        with pytest.raises(UnsupportedError, match=r"refs.json refers to http://127.0.0.1:.* allow_external=True"):
            vz_beam.open_virtual_dataset(path)
        assert not server.requests
        with open_ours(path, allow_external=True) as ours:
            assert len(server.requests) == 20
            assert server.rounds <= 5
            assert ours["v"].values.tolist() == list(range(20))
