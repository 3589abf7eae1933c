"""Canaries: credentials that must be in no output of a build whatsoever, whether it succeeds or fails."""

from __future__ import annotations

import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numcodecs
import pytest
import xarray as xr

import vz_beam
from integration.servers.range_server import RangeServer
from tests.hourly_files import file_at
from vz_beam.cli import main
from vz_beam.errors import VzBeamError
from vz_beam.transforms.event_log import FILE_VARIABLE

CANARY = "CANARY7hush"
SIGNATURE = f"X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}"
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd")


def options_for(server: RangeServer) -> dict[str, Any]:
    keys = {"access_key_id": f"id-{CANARY}", "secret_access_key": CANARY, "session_token": f"token-{CANARY}"}
    return {**keys, "endpoint": server.url, "region": "x"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    """Serves two files and a broken one, as objects of a bucket and by signed URLs."""
    folder = tmp_path / "data"
    folder.mkdir()
    files = [Path(file_at(folder, number)) for number in range(2)]
    (folder / "f900.nc").write_bytes(b"no netCDF")
    files.append(folder / "f900.nc")
    objects = {f"bucket/{path.name}": path for path in files}
    signed = {f"{path.name}?{SIGNATURE}": path for path in files}
    with RangeServer(objects | signed) as running:
        yield running


def told(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that is in files, and what of it is compressed."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield str(path), data
            for match in _ZSTD.finditer(data):
                try:
                    yield f"{path} at {match.start()}", bytes(numcodecs.Zstd().decode(data[match.start() :]))
                except RuntimeError:
                    continue


def assert_hushed(texts: dict[str, str | bytes]) -> None:
    assert texts
    loud = [
        name for name, text in texts.items() if CANARY in (text if isinstance(text, str) else text.decode("latin1"))
    ]
    assert not loud


@pytest.mark.parametrize("kind", ["keys", "signed"])
@pytest.mark.parametrize("name", ["store.parquet", "store.json", "store.icechunk", "store.zarr"])
def test_no_credential_is_in_any_output_of_a_build(
    tmp_path: Path, server: RangeServer, name: str, kind: str, caplog: Any, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["f000.nc", "f001.nc", "f900.nc", "gone.nc"]
    if kind == "keys":
        urls, options = [f"s3://bucket/{file}" for file in names], options_for(server)
    else:
        urls, options = [f"{server.url}/{file}?{SIGNATURE}" for file in names], {}
    store = tmp_path / "out" / name
    store.parent.mkdir()
    monkeypatch.setenv(FILE_VARIABLE, str(store.parent / "run.jsonl"))
    words: dict[str, Any] = {"concat_dim": "time", "errors": "collect", "source_storage_options": options or None}
    with caplog.at_level(logging.DEBUG):
        summary = vz_beam.build(urls, store, **words)
    assert len(summary.failures) == 2
    captured = capfd.readouterr()
    texts: dict[str, str | bytes] = {"out": captured.out, "err": captured.err, "log": caplog.text}
    texts |= {"summary": repr(summary) + str(summary), "pickle": pickle.dumps(summary)}
    texts |= dict(told(store.parent))
    assert any(key.endswith("failures.jsonl") for key in texts)
    assert any(key.endswith("run.jsonl") for key in texts)
    assert_hushed(texts)
    if kind == "keys":
        with xr.open_dataset(store, engine="vz_beam", storage_options=None) as dataset:
            assert dataset.sizes["time"] == 4
        assert_hushed({"dataset": repr(dataset.attrs) + repr(dataset.encoding)})


def test_datasets_and_transforms_pickle_without_credentials(server: RangeServer) -> None:
    options = {**options_for(server), "allow_http": "true"}
    dataset = vz_beam.open_virtual_dataset("s3://bucket/f000.nc", storage_options=options)
    opening = vz_beam.OpenWithVirtualizarr(storage_options=options)
    writing = vz_beam.WriteReferences(
        "s3://bucket/out.parquet", storage_options=options, source_storage_options=options
    )
    pickles = {
        str(number): pickle.dumps(one) for number, one in enumerate((dataset, opening._opener, writing._options))
    }
    assert_hushed({**pickles, "repr": repr(dataset) + repr(opening) + repr(writing)})


def test_no_credential_is_in_what_fails(tmp_path: Path, server: RangeServer, caplog: Any, capfd: Any) -> None:
    options = options_for(server)
    texts: dict[str, str | bytes] = {}
    calls: dict[str, tuple[list[str], dict[str, Any]]] = {
        "gone": (["s3://bucket/gone.nc"], {}),
        "broken": (["s3://bucket/f900.nc"], {}),
        "workers": (["s3://bucket/f000.nc"], {"workers": 2}),
        "signed": ([f"{server.url}/gone.nc?{SIGNATURE}"], {"source_storage_options": None}),
        "password": ([f"ftp://me:{CANARY}@host/a.nc"], {"source_storage_options": None, "errors": "collect"}),
    }
    with caplog.at_level(logging.DEBUG):
        for label, (urls, more) in calls.items():
            words: dict[str, Any] = {"source_storage_options": options, "progress": False, **more}
            with pytest.raises(VzBeamError) as raised:
                vz_beam.build(urls, tmp_path / "store.parquet", **words)
            texts[label] = "".join(traceback.format_exception(raised.value))
        signed = f"{server.url}/f900.nc?{SIGNATURE}"
        assert main(["build", signed, str(tmp_path / "store.parquet"), "--no-progress"]) == 1
        assert main(["inspect", signed]) == 1
    captured = capfd.readouterr()
    assert_hushed({**texts, "out": captured.out, "err": captured.err, "log": caplog.text})
