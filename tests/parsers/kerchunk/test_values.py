"""Stores of vz_beam's own writers, read back against xarray and zarr by way of fsspec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.parsers.kerchunk.stores import (
    CASES,
    FORMATS,
    assert_same_dataset,
    open_ours,
    open_theirs,
    stored_by_zarr,
    written_store,
)
from vz_beam.datasets.engine import VzBeamBackendEntrypoint
from vz_beam.manifests.array import ManifestArray
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
from vz_beam.testing.parser_suite import assert_same_values, stored_values

PARSERS = {"json": KerchunkJSONParser(), "parquet": KerchunkParquetParser()}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_a_written_store_shows_what_xarray_shows_by_fsspec(tmp_path: Path, case: str, form: str) -> None:
    store, path = written_store(tmp_path, case, form)
    groups = sorted({name.rpartition("/")[0] for name in store.arrays})
    for group in groups:
        with open_ours(path, group=group or None) as ours, open_theirs(path, group or None) as theirs:
            assert_same_dataset(ours, theirs)
            for name in theirs.variables:
                full = f"{group}/{name}".lstrip("/")
                np.testing.assert_array_equal(ours[name].values, store.decoded[full], err_msg=full)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_manifests_of_a_written_store_give_what_zarr_reads_by_fsspec(tmp_path: Path, case: str, form: str) -> None:
    store, path = written_store(tmp_path, case, form)
    found, expected = stored_values(PARSERS[form](path)), stored_by_zarr(path)
    assert set(found) == set(expected) == set(store.arrays)
    for name, values in expected.items():
        assert_same_values(found[name], values, name)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_a_virtual_dataset_holds_references_and_loads_what_xarray_shows(tmp_path: Path, case: str, form: str) -> None:
    store, path = written_store(tmp_path, case, form)
    for group in sorted({name.rpartition("/")[0] for name in store.arrays}):
        names = [name.rpartition("/")[2] for name in store.arrays if name.rpartition("/")[0] == group]
        virtual = vz_beam.open_virtual_dataset(path, group=group or None, loadable_variables=[])
        assert all(isinstance(virtual[name].variable.data, ManifestArray) for name in names)
        loaded = vz_beam.open_virtual_dataset(path, group=group or None, loadable_variables=names)
        with open_theirs(path, group or None) as theirs:
            assert set(virtual.variables) == set(loaded.variables) == set(theirs.variables)
            for name in names:
                np.testing.assert_array_equal(loaded[name].values, theirs[name].values, err_msg=f"{group}/{name}")


@pytest.mark.parametrize("form", FORMATS)
def test_a_tree_has_every_group_as_xarray_shows_it_by_fsspec(tmp_path: Path, form: str) -> None:
    _, path = written_store(tmp_path, "nested groups", form)
    with xr.open_datatree(path, engine=VzBeamBackendEntrypoint) as tree:
        assert set(tree.groups) == {"/", "/g", "/g/deep"}
        for group in tree.groups:
            with open_theirs(path, group.strip("/") or None) as theirs:
                node = tree[group]
                assert isinstance(node, xr.DataTree)
                assert_same_dataset(node.to_dataset(inherit=False), theirs)
