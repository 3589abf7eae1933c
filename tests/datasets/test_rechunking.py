"""Other chunks for virtual variables, made of the same bytes, by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from vz_beam.errors import InputError, ManifestError
from vz_beam.manifests import ManifestArray


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """``plain`` and ``packed`` over time and x, in chunks of 4 steps, ``packed`` compressed; ``static`` over x."""
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as raw:
        values = np.arange(48, dtype="i4").reshape(8, 6)
        raw.create_dataset("plain", data=values, chunks=(4, 6))
        raw.create_dataset("packed", data=values, chunks=(4, 6), compression="gzip")
        raw.create_dataset("static", data=values[0], chunks=(3,))
        for name, length in (("time", 8), ("x", 6)):
            raw.create_dataset(name, data=np.arange(float(length))).make_scale(name)
        for name in ("plain", "packed"):
            for axis, dim in enumerate(("time", "x")):
                raw[name].dims[axis].attach_scale(raw[dim])
        raw["static"].dims[0].attach_scale(raw["x"])
        raw["below/plain"] = values
    return path


def values_of(virtual: xr.Dataset, name: str) -> Any:
    store: Any = virtual.vz.to_kerchunk()
    with xr.open_dataset(store, engine="kerchunk") as opened:
        return opened[name].values


@pytest.mark.parametrize("chunks", [{"time": 1}, {"time": 2}, {"time": 4}, {"time": 1, "x": 6}, {"time": 1, "x": 3}])
def test_uncompressed_variables_get_the_chunks_that_are_asked_for(chunks: dict[str, int], file: Path) -> None:
    virtual = vz_beam.open_virtual_dataset(file, drop_variables="packed")
    with h5py.File(file) as raw:
        changed = virtual.vz.rechunk(chunks)
        array: Any = changed["plain"].data
        assert isinstance(array, ManifestArray)
        assert array.metadata.chunk_shape == (chunks["time"], chunks.get("x", 6))
        np.testing.assert_array_equal(values_of(changed, "plain"), raw["plain"][()])
        np.testing.assert_array_equal(values_of(changed, "static"), raw["static"][()])
    assert changed["static"].data is virtual["static"].data or "x" in chunks
    assert list(changed.indexes) == list(virtual.indexes)
    assert changed.encoding == virtual.encoding
    assert virtual["plain"].data.metadata.chunk_shape == (4, 6)


def test_every_variable_that_cannot_be_cut_is_named_with_the_reason(file: Path) -> None:
    virtual = vz_beam.open_virtual_dataset(file)
    with pytest.raises(ManifestError, match=r"1 variable cannot(?s:.*)'packed' in chunks of \(4, 6\).*\n?.*zlib"):
        virtual.vz.rechunk({"time": 1})
    assert virtual.drop_vars("packed").vz.rechunk({"time": 1}).sizes == virtual.sizes


@pytest.mark.parametrize("chunks", [{"lev": 1}, {"time": 0}, {"time": 1.5}, {"time": True}, 3])
def test_chunks_that_cannot_be_are_refused(chunks: Any, file: Path) -> None:
    with pytest.raises(InputError):
        vz_beam.open_virtual_dataset(file).vz.rechunk(chunks)


def test_all_groups_of_a_tree_are_rechunked(file: Path) -> None:
    tree = vz_beam.open_virtual_datatree(file, drop_variables="packed")
    dim = tree["below/plain"].dims[0]
    changed = tree.vz.rechunk({"time": 2, dim: 2})
    assert changed["plain"].data.metadata.chunk_shape == (2, 6)
    assert changed["below/plain"].data.metadata.chunk_shape == (2, 6)
