"""Stores that are right are told so, and what is wrong with others is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import h5py
import numpy as np
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that

import vz_beam
from tests.daily_series import write_series
from vz_beam.cli import main
from vz_beam.datasets.verification import Verification, verify_store
from vz_beam.errors import FormatError, IncompleteStoreError, StoreNotFoundError

SUFFIXES = ("parquet", "json", "icechunk", "zarr")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return write_series(tmp_path / "data", count=3)


def pipeline_of_ours() -> beam.Pipeline:
    options = PipelineOptions()
    return beam.Pipeline(vz_beam.local_runner(options), options)


create: Any = beam.Create


def build(files: list[str], store: Path, **choices: Any) -> str:
    vz_beam.build(files, store, concat_dim="time", progress=False, **choices)
    return str(store)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_right_store_is_told_so(suffix: str, files: list[str], tmp_path: Path) -> None:
    found = verify_store(build(files, tmp_path / f"store.{suffix}"))
    assert (found.equal, found.inputs) == (25, 3)  # 12 of t, 12 of p, crs
    assert found.is_well
    assert (found.differences, found.unread, found.changed, found.vanished, found.notes) == ((), (), (), (), ())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_that_are_not_those_of_the_files_are_named(suffix: str, files: list[str], tmp_path: Path) -> None:
    store = build(files, tmp_path / f"store.{suffix}")
    with xr.open_dataset(files[1], engine="h5netcdf") as opened:
        dataset = opened.load()
    dataset["t"][:] = dataset["t"].values[::-1]
    encoding = {name: dataset[name].encoding for name in ("t", "p")}
    kept = {"zlib", "shuffle", "chunksizes", "dtype", "scale_factor", "add_offset", "_FillValue"}
    encoding = {name: {key: value for key, value in one.items() if key in kept} for name, one in encoding.items()}
    dataset.to_netcdf(files[1], engine="h5netcdf", encoding=encoding, unlimited_dims=["time"])
    found = verify_store(store)
    assert not found.is_well
    assert found.changed == (f"file://{files[1]}",)
    assert found.inputs == 2


def test_exchanged_places_are_seen(files: list[str], tmp_path: Path) -> None:
    store = build(files, tmp_path / "store.json")
    document = json.loads(Path(store).read_text())
    refs = document["refs"]
    refs["t/0.0.0"], refs["t/3.1.0"] = refs["t/3.1.0"], refs["t/0.0.0"]
    refs["p/0.0.0"][1] += 1
    Path(store).write_text(json.dumps(document))
    found = verify_store(store)
    # an exchange of two whole references shows the right bytes of other places, and only their places are wrong
    assert len(found.differences) == 3
    assert [text for text in found.differences if "p chunk (0, 0, 0)" in text and "has these bytes" in text]
    assert [text for text in found.differences if "t chunk (0, 0, 0)" in text and "stands at time = 2001-01-01" in text]
    assert not found.is_well


def test_files_that_have_gone_are_named(files: list[str], tmp_path: Path) -> None:
    store = build(files, tmp_path / "store.parquet")
    os.unlink(files[0])
    found = verify_store(store)
    assert found.vanished == (f"file://{files[0]}",)
    assert len(found.unread) == 9
    assert all("is not there" in text for text in found.unread)
    assert "vanished" in str(found)


def test_a_sample_is_of_all_arrays_and_the_same_again(files: list[str], tmp_path: Path) -> None:
    store = build(files, tmp_path / "store.parquet")
    few = verify_store(store, sample=4)
    assert few.equal == 4
    assert verify_store(store, sample=4) == few


def test_a_store_of_somebody_else_says_nothing_of_its_inputs(files: list[str], tmp_path: Path) -> None:
    dataset = vz_beam.open_virtual_dataset(files[0])
    dataset.vz.to_kerchunk(str(tmp_path / "one.json"), format="json")
    assert verify_store(str(tmp_path / "one.json")).inputs == 1
    document = json.loads((tmp_path / "one.json").read_text())
    (tmp_path / "one.json").write_text(json.dumps({"version": 1, "refs": document["refs"]}))
    found = verify_store(str(tmp_path / "one.json"))
    assert (found.equal, found.is_well) == (9, True)
    assert found.notes == ("the store does not say what it was made of",)


def test_uncompressed_arrays_that_were_cut_are_compared(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["v"] = np.arange(60.0).reshape(6, 10)
    dataset = vz_beam.open_virtual_dataset(str(tmp_path / "plain.h5")).vz.rechunk({"phony_dim_0": 2})
    dataset.vz.to_kerchunk(str(tmp_path / "cut.json"), format="json")
    assert verify_store(str(tmp_path / "cut.json")).equal == 3


def test_chunks_that_were_written_anew_are_told_apart(files: list[str], tmp_path: Path) -> None:
    with xr.open_dataset(files[1], engine="h5netcdf") as opened:
        dataset = opened.load()
    for name in ("t", "p"):
        kept = {"zlib", "shuffle", "chunksizes", "dtype", "scale_factor", "add_offset", "_FillValue"}
        dataset[name].encoding = {key: value for key, value in dataset[name].encoding.items() if key in kept}
    dataset["t"].encoding["scale_factor"] = 0.2
    dataset.to_netcdf(files[1], engine="h5netcdf", unlimited_dims=["time"])
    found = verify_store(build(files, tmp_path / "store.parquet", mismatch="rewrite"))
    assert (found.equal, len(found.unread), found.is_well) == (21, 4, True)
    assert all("written anew (mismatch='rewrite')" in text for text in found.unread)


def test_what_is_no_store_is_refused(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no store of references but a file, hdf5"):
        verify_store(files[0])
    store = build(files, tmp_path / "store.parquet", chunks_per_shard=5)
    (tmp_path / "store.parquet" / "t" / "refs.0.parq").unlink()
    with pytest.raises((IncompleteStoreError, FormatError, Exception), match=r"refs\.0\.parq"):
        verify_store(store)
    with pytest.raises((StoreNotFoundError, Exception), match="absent"):
        verify_store(str(tmp_path / "absent.parquet"))


def test_two_findings_merge_in_any_order() -> None:
    one = Verification("s", 2, ("b",), ("u",), 1, (), ("v",))
    other = Verification("s", 1, ("a",), (), 2, ("c",), ("v",))
    assert one.merge(other) == other.merge(one)
    assert one.merge(other) == Verification("s", 3, ("a", "b"), ("u",), 3, ("c",), ("v",))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipeline_verifies_what_it_has_written(suffix: str, files: list[str], tmp_path: Path) -> None:
    pattern = vz_beam.pattern_from_file_sequence(files, "time")
    with pipeline_of_ours() as pipeline:
        summaries = (
            pipeline
            | create(pattern.items())
            | vz_beam.OpenWithVirtualizarr()
            | vz_beam.CombineManifests()
            | vz_beam.WriteReferences(tmp_path / f"store.{suffix}")
        )
        found: Any = summaries | vz_beam.VerifyReferences(sample=100)

        def check(verifications: list[Verification]) -> None:
            (one,) = verifications
            assert (one.equal, one.inputs, one.is_well) == (25, 3, True), str(one)

        that: Any = assert_that
        that(found, check)


def test_the_command_tells_it_by_its_exit_code(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build(files, tmp_path / "store.parquet")
    assert main(["verify", store]) == 0
    assert "25 of 25 compared ones are equal" in capsys.readouterr().out
    os.unlink(files[2])
    assert main(["verify", store, "--sample", "6", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["vanished"] == [f"file://{files[2]}"]
    assert found["is_well"] is False
