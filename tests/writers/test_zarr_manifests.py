"""The laws of writers on Zarr stores with chunk manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import vz_beam
from vz_beam.errors import FormatError, IncompleteStoreError, StoreExistsError
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_suite import Values, WriterSuite, raw_store
from vz_beam.writers.writer import write_store
from vz_beam.writers.zarr_manifests import WRITER


class TestZarrManifests(WriterSuite):
    writer = WRITER
    suffix = ".zarr"

    def readings(self, url: str, store: RawStore) -> Iterator[tuple[str, Values, Values]]:
        """By zarr, through our manifests: nobody else reads them yet."""
        root: Any = zarr.open_group(ManifestStore(vz_beam.ZarrParser().parse(open_file_or_folder(url))), mode="r")
        yield "manifests", self.shown(url, store.arrays), {path: np.asarray(root[path][...]) for path in store.arrays}

    def shown(self, url: str, names: Iterable[str]) -> Values:
        values = {}
        for path in names:
            group, _, name = path.rpartition("/")
            with xr.open_dataset(url, engine="vz_beam", group=group or None) as dataset:
                values[path] = dataset[name].values
        return values


def test_a_reader_that_knows_no_manifests_refuses_the_arrays(tmp_path: Path) -> None:
    store = raw_store(tmp_path / "raw", "compressed")
    url = str(tmp_path / "store.zarr")
    write_store(WRITER, url, store.layout, store.shards())
    for consolidated in (None, False):
        with pytest.raises(Exception, match="disallowed extra fields"):
            zarr.open_group(url, mode="r", use_consolidated=consolidated)["v"]
    with pytest.raises(Exception, match="disallowed extra fields"):
        xr.open_zarr(url, consolidated=False)


def test_a_store_with_chunks_of_its_own_is_not_touched(tmp_path: Path) -> None:
    url = str(tmp_path / "store.zarr")
    zarr.create_array(url, name="v", shape=(3,), dtype="i4", zarr_format=3)[:] = 1
    before = sorted(str(path) for path in Path(url).rglob("*"))
    store = raw_store(tmp_path / "raw", "compressed")
    with pytest.raises(StoreExistsError):
        write_store(WRITER, url, store.layout, store.shards())
    assert sorted(str(path) for path in Path(url).rglob("*")) == before


def test_lost_and_damaged_files_are_named(tmp_path: Path) -> None:
    store = raw_store(tmp_path / "raw", "60 references, no chunk missing, several record file")
    url = tmp_path / "store.zarr"
    write_store(WRITER, str(url), store.layout, store.shards())
    (url / "v" / "refs.3.parq").unlink()
    with pytest.raises((IncompleteStoreError, FormatError, Exception), match=r"refs\.3\.parq"):
        vz_beam.open_virtual_dataset(url)
    text = (url / "zarr.json").read_text()
    for wrong in ('"chunks_per_file": 0', '"chunks_per_file": "x"'):
        (url / "zarr.json").write_text(text.replace('"chunks_per_file": 4', wrong))
        with pytest.raises(FormatError, match="chunks_per_file is"):
            vz_beam.open_virtual_dataset(url)
