from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.mixed_files import BAD, write_mixed_file
from vz_beam.cli.described_arrays import table


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    path = tmp_path / "grouped.nc"
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "two levels"
        x = file.create_dataset("x", data=np.arange(6.0))
        x.make_scale("x")
        for name, chunks in (("air", (4,)), ("forecast/air", None)):
            variable = file.create_dataset(name, (6,), "f4", chunks=chunks)
            variable.dims[0].attach_scale(x)
            if chunks:
                variable[:4] = 1
    return path


def described(vz_beam: Any, *arguments: object) -> dict[str, Any]:
    ended = vz_beam("inspect", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    return {**found, "arrays": {array.pop("path"): array for array in found["arrays"]}}


def test_a_file_is_described_by_variable(vz_beam: Any, archive: Path) -> None:
    path = archive / "weather_2023-01.nc"
    found = described(vz_beam, path)
    assert (found["file"], found["parser"], found["attributes"]) == (f"file://{path}", "hdf5", 2)
    with h5py.File(path) as file:
        nbytes = file["t2m"].id.get_storage_size()
    assert found["arrays"]["t2m"] == {
        "dims": ["time", "lat", "lon"],
        "shape": [31, 36, 72],
        "dtype": "int16",
        "chunks": [1, 36, 72],
        "codecs": ["shuffle(2)", "zlib(4)"],
        "references": 31,
        "missing": 0,
        "inlined": 0,
        "referenced_nbytes": nbytes,
        "kind": "virtual",
        "attributes": 6,
    }
    kinds = {name: array["kind"] for name, array in found["arrays"].items()}
    loaded = dict.fromkeys(("time", "lat", "lon"), "loaded")
    assert kinds == dict.fromkeys(("t2m", "precipitation", "crs"), "virtual") | loaded


def test_groups_and_missing_chunks_are_shown(vz_beam: Any, grouped: Path) -> None:
    found = described(vz_beam, grouped)
    assert set(found["arrays"]) == {"x", "air", "forecast/air"}
    assert [found["arrays"]["air"][name] for name in ("references", "missing")] == [1, 1]
    assert set(described(vz_beam, grouped, "--group", "/forecast")["arrays"]) == {"forecast/air"}
    refused = vz_beam("inspect", grouped, "--group", "analysis")
    assert refused.code == 2
    assert "forecast" in refused.err


@pytest.mark.parametrize("suffix", ["parquet", "json"])
def test_a_store_is_described_with_the_files_it_points_at(vz_beam: Any, archive: Path, suffix: str) -> None:
    store = f"store.{suffix}"
    build = ("build", f"{archive}/*.nc", store, "--concat-dim", "time", "--chunks-per-shard", "100")
    assert vz_beam(*build).code == 0
    found = described(vz_beam, store)
    assert found["format"] == f"kerchunk-{suffix}"
    assert sorted(found["files"]) == sorted(f"file://{path}" for path in archive.glob("*.nc"))
    arrays = found["arrays"]
    sums = 0
    for path in archive.glob("*.nc"):
        with h5py.File(path) as file:
            sums += file["t2m"].id.get_storage_size()
    names = ("shape", "dtype", "references", "missing", "inlined", "referenced_nbytes", "kind")
    assert [arrays["t2m"][name] for name in names] == [[365, 36, 72], "int16", 365, 0, 0, sums, "virtual"]
    assert [arrays["time"][name] for name in ("references", "inlined", "kind")] == [0, 1, "stored"]
    text = vz_beam("inspect", store).out
    assert "and 7 more" in text
    assert f"store            file://{Path(store).absolute()}" in text


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.nc", None, "gone.nc"),
        ("gone.parquet", None, "gone.parquet"),
        ("gone.json", None, "gone.json"),
        ("a.txt", b"CDF?", "no parser knows"),
        ("empty.nc", b"", "empty"),
        ("a.json", b"{", "not a store of references"),
        ("b.json", b'{"a": 1}', "no '.zgroup'"),
    ],
)
def test_what_cannot_be_inspected_ends_with_1_and_says_why(
    vz_beam: Any, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    ended = vz_beam("inspect", name)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("vz-beam: error: ")
    assert said in ended.err


def test_columns_of_numbers_align_to_the_right() -> None:
    assert table([("array", "references"), ("air", "7"), ("humidity", "12")]) == [
        "array     references",
        "air                7",
        "humidity          12",
    ]


def test_variables_that_references_cannot_express_are_shown_beside_the_others(vz_beam: Any, tmp_path: Path) -> None:
    path = write_mixed_file(tmp_path / "mixed.h5")
    found = described(vz_beam, path)
    assert set(found["arrays"]) == {"time", "t", "below/good"}
    assert list(found["skipped"]) == [*BAD, "below/ragged"]
    assert "REFERENCE" in found["skipped"]["links"]
    assert list(described(vz_beam, path, "--group", "below")["skipped"]) == ["below/ragged"]
    text = vz_beam("inspect", path).out
    assert "\nskipped, as references cannot express them" in text
    assert "\n  below/ragged: values of variable-length arrays" in text


def test_a_file_without_such_variables_says_nothing_of_them(vz_beam: Any, grouped: Path) -> None:
    assert described(vz_beam, grouped)["skipped"] == {}
    assert "skipped" not in vz_beam("inspect", grouped).out


@pytest.mark.parametrize("suffix", ["icechunk", "zarr"])
def test_stores_in_folders_are_described_as_files_are(suffix: str, vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    assert vz_beam("convert", archive / "weather_2023-01.nc", store).code == 0
    found, expected = described(vz_beam, store), described(vz_beam, archive / "weather_2023-01.nc")
    assert found["parser"] == suffix
    assert found["arrays"].keys() == expected["arrays"].keys()
    for path, array in expected["arrays"].items():
        assert found["arrays"][path]["shape"] == array["shape"]
        assert found["arrays"][path]["references"] == array["references"]
