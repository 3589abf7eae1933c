"""Real references of other writers: values read through our manifests, against zarr and fsspec."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr

import vz_beam
from integration.real_data import ROOT
from vz_beam.errors import VzBeamError
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser

HAS_DATA = (ROOT / "MANIFEST.tsv").exists()
if os.environ.get("CI") and not HAS_DATA:
    raise RuntimeError(f"in CI the real files must be there: {ROOT} has no MANIFEST.tsv (set VZ_BEAM_REAL_DATA)")
pytestmark = pytest.mark.skipif(not HAS_DATA, reason=f"no real files at {ROOT}: set VZ_BEAM_REAL_DATA")

FOLDER = ROOT / "kerchunk"
LOCAL = {
    "generated__cmip5_ecearth_1850_single.json": 7,
    "generated__cmip5_ecearth_4files_combined.json": 7,
    "generated__fits_aia.json": 1,
    "generated__fnoc1_netcdf3.json": 5,
    "generated__harmony_3days_combined.json": 8,
    "generated__hdf4_mod14.json": 30,
    "generated__nemo_20150101_single.json": 8,
    "generated__nemo_2files_combined.json": 8,
    "generated__tiff_lcmap_2019.json": 3,
}
"""References to files that are here, and the number of their arrays that can be expressed."""
REMOTE = [
    "canitkerchunk__1pctCO2.r1i1p1f3.Amon.hus.gn.v20200115.185001-186912.nc.json",
    "pythia__ARG_combined.json",
    "pythia__RADAR.json",
    "pythia__combined.parq",
    "titilerx__reference.json",
]


def by_fsspec(path: Path) -> zarr.Group:
    filesystem = fsspec.filesystem("reference", fo=str(path), remote_protocol="file", asynchronous=True)
    return zarr.open_group(zarr.storage.FsspecStore(filesystem, read_only=True), mode="r", zarr_format=2)


@pytest.mark.parametrize(("name", "count"), LOCAL.items(), ids=list(LOCAL))
def test_arrays_read_as_zarr_reads_them_by_fsspec(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)  # from where fsspec takes relative names
    store = KerchunkJSONParser(fs_root=str(FOLDER), unsupported="skip")(FOLDER / name)
    ours, theirs = zarr.open_group(store, mode="r"), by_fsspec(FOLDER / name)
    compared = 0
    for path, array in ours.members(max_depth=None):
        if not isinstance(array, zarr.Array):
            continue
        expected: Any = theirs[path]
        np.testing.assert_array_equal(np.asarray(array[...]), np.asarray(expected[...]), err_msg=path)
        compared += 1
    assert compared == count


@pytest.mark.parametrize("name", REMOTE)
def test_references_to_files_elsewhere_open_without_reading_these(name: str) -> None:
    dataset = vz_beam.open_virtual_dataset(str(FOLDER / name), loadable_variables=[])
    assert len(dataset.variables) >= 4
    assert dataset.vz.nrefs() > 0


def test_every_file_of_references_opens_or_is_refused_by_name() -> None:
    refused: dict[str, str] = {}
    for path in sorted(FOLDER.iterdir()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                vz_beam.open_virtual_datatree(path, loadable_variables=[], unsupported="skip")
            except VzBeamError as error:
                refused[path.name] = str(error)
    assert set(refused) <= {"kerchunk__kerchunk_index.parquet", "kerchunk__subset.json.gz"}
    assert all(name in text for name, text in refused.items())
