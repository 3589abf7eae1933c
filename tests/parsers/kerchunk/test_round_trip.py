"""Manifests stay the same from one form of a store to the other; and what a million references cost."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.parsers.kerchunk.stores import CASES, open_ours, stored_by_zarr, written_store
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
from vz_beam.testing.parser_suite import assert_same_values, described

NAMES = [name for name in CASES if "references" not in name or "several" in name]


@pytest.mark.parametrize("case", NAMES)
def test_parquet_to_json_to_parquet_keeps_manifests_and_values(tmp_path: Path, case: str) -> None:
    _, first = written_store(tmp_path, case, "parquet")
    before = described(KerchunkParquetParser()(first).group)
    assert len(before) > 1
    second, third = str(tmp_path / "second.json"), str(tmp_path / "third.parquet")
    vz_beam.open_virtual_datatree(first, loadable_variables=[]).vz.to_kerchunk(second, format="json")
    assert described(KerchunkJSONParser()(second).group) == before
    vz_beam.open_virtual_datatree(second, loadable_variables=[]).vz.to_kerchunk(third, format="parquet", record_size=4)
    assert described(KerchunkParquetParser()(third).group) == before
    expected = stored_by_zarr(first)
    for store in (second, third):
        found = stored_by_zarr(store)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert_same_values(found[name], values, name)


def test_a_store_with_loaded_coordinates_keeps_its_values(tmp_path: Path) -> None:
    _, first = written_store(tmp_path, "inlined chunk and loaded coordinate", "parquet")
    second = str(tmp_path / "second.json")
    dataset = vz_beam.open_virtual_dataset(first)
    assert isinstance(dataset["x"].variable.data, np.ndarray)
    dataset.vz.to_kerchunk(second, format="json")
    with open_ours(first) as expected, open_ours(second) as found:
        xr.testing.assert_equal(found.load(), expected.load())


COUNT = 100_000


def many() -> xr.Dataset:
    """A virtual dataset of 100,000 chunks in 250 files."""
    urls = tuple(f"s3://bucket/archive/of/daily/files/{number:06d}-of-some-length.nc" for number in range(250))
    numbers = np.arange(COUNT)
    manifest = ChunkManifest.from_columns(
        urls,
        (numbers % 250).astype(np.int32),
        (numbers * 1000).astype(np.uint64),
        np.full(COUNT, 1000, np.uint32),
        {},
    )
    metadata = ArrayMetadata((COUNT,), np.dtype("f4"), (1,), "little", dimension_names=("x",))
    return xr.Dataset({"v": ("x", ManifestArray(metadata, manifest))})


@pytest.mark.parametrize(("form", "most_bytes"), [("parquet", 120), ("json", 1200)])
def test_parsing_takes_memory_in_proportion_to_references_and_keeps_columns(
    tmp_path: Path, form: str, most_bytes: int
) -> None:
    path = str(tmp_path / f"store.{form}")
    dataset = many()
    dataset.vz.to_kerchunk(path, format=form, record_size=10_000)
    parser: Any = {"parquet": KerchunkParquetParser(), "json": KerchunkJSONParser()}[form]
    parser(path)  # which loads libraries
    tracemalloc.start()
    try:
        group = parser(path).group
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    manifest = group.arrays["v"].manifest
    expected = dataset["v"].variable.data.manifest
    assert len(manifest.locations) == 250
    assert np.array_equal(
        np.array(manifest.locations)[manifest.location_ids], np.array(expected.locations)[expected.location_ids]
    )
    for column in ("offsets", "lengths"):
        np.testing.assert_array_equal(getattr(manifest, column), getattr(expected, column))
    assert kept < 30 * COUNT  # bytes: three columns
    assert peak < most_bytes * COUNT
