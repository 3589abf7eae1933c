"""What xarray does with virtual arrays: it works on chunks, or says why it cannot."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.manifests.stored_arrays import FILL, GZIP, MISSING, REFERENCE, ArrayPlan, ChunkFile, values
from vz_beam import datasets  # noqa: F401  # adds the accessor
from vz_beam.errors import ManifestError
from vz_beam.manifests import ArrayMetadata, ChunkManifest, ManifestArray, reindex_array, reindexing


@pytest.fixture
def chunks(tmp_path: Path) -> ChunkFile:
    return ChunkFile(tmp_path / "chunks")


@pytest.fixture
def stored(chunks: ChunkFile) -> ManifestArray:
    return chunks.store(ArrayPlan((6, 4), (2, 2), (REFERENCE,) * 6, GZIP))


def dataset(array: Any, start: int = 0, **attributes: Any) -> xr.Dataset:
    coords = {"t": np.arange(start, start + array.shape[0]), "x": np.arange(array.shape[1])}
    return xr.Dataset({"v": (("t", "x"), array, attributes)}, coords=coords)


def large(url: str, start: int) -> xr.Dataset:
    """4e8 elements in 400 references."""
    grid_shape = (400, 1, 1)
    manifest = ChunkManifest.from_columns(
        (url,),
        np.zeros(grid_shape, np.int32),
        np.arange(400, dtype=np.uint64).reshape(grid_shape),
        np.full(grid_shape, 10, np.uint32),
    )
    array = ManifestArray(ArrayMetadata((400, 1000, 1000), np.dtype("f4"), (1, 1000, 1000)), manifest)
    return xr.Dataset({"v": (("t", "y", "x"), array)}, coords={"t": np.arange(start, start + 400)})


def outer(*parts: xr.Dataset) -> xr.Dataset:
    return xr.concat(list(parts), dim="m", join="outer", data_vars="all")


@contextmanager
def at_most(nbytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "operation",
    [
        lambda: outer(large("a", 0), large("b", 200)),
        lambda: outer(outer(large("a", 0), large("b", 9)), outer(large("c", 5))),
        lambda: xr.align(large("a", 0), large("b", 200), join="outer"),
        lambda: xr.combine_by_coords([large("a", 0), large("b", 400)]),
        lambda: xr.merge([large("a", 0), large("a", 0)], compat="no_conflicts", join="outer"),
        lambda: large("a", 0).equals(large("b", 0)),
        lambda: large("a", 0).reindex(t=np.arange(-300, 900)),
        lambda: large("a", 0).where(large("a", 0).t > 5),
        lambda: large("a", 0).shift(t=3),
        lambda: large("a", 0).roll(t=3),
        lambda: large("a", 0).isel(t=[3, -1]).transpose(),
    ],
)  # fmt: skip
def test_the_cost_is_that_of_chunks_and_not_of_elements(operation: Callable[[], Any]) -> None:
    operation()  # what is imported on first use is no cost of the operation
    with at_most(2**20):
        operation()


def test_equal_references_are_equal_arrays(chunks: ChunkFile) -> None:
    one, other = (chunks.store(ArrayPlan((4, 4), (2, 2), (REFERENCE,) * 4)) for _ in range(2))
    assert dataset(one).equals(dataset(one[:]))
    assert not dataset(one).equals(dataset(other))
    assert xr.merge([dataset(one), dataset(one[:])], compat="no_conflicts", join="outer").v.shape == (4, 4)
    with pytest.raises(xr.MergeError):
        xr.merge([dataset(one), dataset(other)], compat="no_conflicts", join="outer")


def test_arrays_of_text_can_be_compared() -> None:
    for dtype in (np.dtypes.StringDType(), np.dtype("S3"), np.dtype("M8[s]")):
        array = ManifestArray(ArrayMetadata((4, 2), dtype, (2, 2)), ChunkManifest.empty((2, 1)))
        assert dataset(array).equals(dataset(array[:]))
        assert xr.concat([dataset(array), dataset(array, 4)], dim="t").v.shape == (8, 2)


def test_holes_read_as_the_fill_value_that_xarray_was_given(stored: ManifestArray) -> None:
    reindexed = dataset(stored).reindex(t=[-2, -1, 4, 5, 0, 1], fill_value=-5)
    assert values(reindexed.v.data)[:, 0].tolist() == [-5, -5, *values(stored)[[4, 5, 0, 1], 0].tolist()]


def test_holes_read_as_missing_by_the_attribute_fill_value(stored: ManifestArray) -> None:
    reindexed = dataset(stored, _FillValue=np.int32(-999)).reindex(t=[-2, -1, 4, 5])
    assert reindexed.v.data.metadata.fill_value == -999
    assert values(reindexed.v.data)[:2].tolist() == [[-999] * 4] * 2


def test_holes_of_floats_read_as_not_a_number(stored: ManifestArray) -> None:
    metadata = replace(stored.metadata, dtype=np.dtype("f4"), fill_value=np.float32(0))
    reindexed = dataset(ManifestArray(metadata, stored.manifest)).reindex(t=[-2, -1, 4, 5])
    assert np.isnan(values(reindexed.v.data)[:2]).all()


def test_holes_are_missing_data_in_the_written_store(stored: ManifestArray) -> None:
    floats = ManifestArray(replace(stored.metadata, dtype=np.dtype("f4"), fill_value=np.float32(0)), stored.manifest)
    for virtual in (dataset(stored, _FillValue=np.int32(-999)), dataset(floats)):
        references: Any = virtual.reindex(t=[-2, -1, 4, 5]).vz.to_kerchunk()
        with xr.open_dataset(references, engine="kerchunk") as opened:
            assert np.isnan(opened.v.values).tolist() == [[True] * 4] * 2 + [[False] * 4] * 2


def test_a_variable_that_one_dataset_lacks_is_missing_there(stored: ManifestArray) -> None:
    both = dataset(stored, _FillValue=np.int32(-999)).assign(w=(("t", "x"), stored, {"_FillValue": np.int32(-999)}))
    joined = xr.concat([both, both.drop_vars("w").assign_coords(t=both.t + 6)], dim="t")
    np.testing.assert_array_equal(values(joined.w.data), [*values(stored), *np.full((6, 4), -999)])


def test_holes_that_would_read_as_another_value_are_refused(chunks: ChunkFile, stored: ManifestArray) -> None:
    with pytest.raises(ManifestError, match=r"reindexing along \['t'\].*int32.*missing data.*name a fill_value"):
        dataset(stored).reindex(t=[-2, -1, 4, 5])
    with pytest.raises(ManifestError, match=r"0\.5"):
        dataset(stored).reindex(t=[-2, -1, 4, 5], fill_value=0.5)
    unwritten = chunks.store(ArrayPlan((4, 2), (2, 2), (MISSING, REFERENCE)))
    with pytest.raises(ManifestError, match=r"read as -5.*never written read as .*-7"):
        dataset(unwritten).reindex(t=[-2, -1, 2, 3], fill_value=-5)
    assert dataset(unwritten).reindex(t=[-2, -1, 2, 3], fill_value=int(FILL)).v.shape == (4, 2)


def test_reindexing_that_would_divide_chunks_is_refused(stored: ManifestArray) -> None:
    with pytest.raises(ManifestError, match=r"block 0, \[-1, 0\], is not one whole chunk of 2 or a hole"):
        dataset(stored).reindex(t=[-1, 0, 1], fill_value=-5)


def test_without_its_place_in_xarray_reindexing_gives_the_same_or_refuses(
    chunks: ChunkFile, stored: ManifestArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = chunks.store(ArrayPlan((4, 2), (1, 2), (REFERENCE,) * 4))
    expected = dataset(rows).reindex(t=[2, 9, 0], x=[0, 1], fill_value=-5).v.data
    monkeypatch.setattr(xr.Variable, "_getitem_with_mask", reindexing._by_elements)
    assert np.all(dataset(rows).reindex(t=[2, 9, 0], x=[0, 1], fill_value=-5).v.data == expected)
    with pytest.raises(ManifestError, match=r"nan\)? is no value of int32"):
        dataset(rows).reindex(t=[2, 9, 0])
    with pytest.raises(ManifestError, match="not one whole chunk"):
        dataset(stored).reindex(t=[2, 3, 8, 9], fill_value=-5)


def test_minus_one_is_a_hole_in_reindexing_and_the_last_element_in_indexing(chunks: ChunkFile) -> None:
    array = chunks.store(ArrayPlan((3,), (1,), (REFERENCE,) * 3))
    assert values(array[np.array([0, -1])]).tolist() == values(array)[[0, -1]].tolist()
    assert values(reindex_array(array, {0: np.array([0, -1])}, FILL)).tolist() == [values(array)[0], FILL]


def test_arrays_are_selected_turned_and_squeezed(stored: ManifestArray) -> None:
    loaded = values(stored)
    for operation in (
        lambda d: d.isel(t=slice(2, 5)).transpose("x", "t"),
        lambda d: d.isel(t=[4, 5, 0, 1], x=[2, 3]),
        lambda d: d.isel(t=slice(2, None), x=slice(0, 2)).expand_dims(m=1).squeeze("m"),
        lambda d: d.expand_dims(m=[1, 2]).isel(m=-1),
        lambda d: d.roll(t=2),
        lambda d: d.shift(t=4, fill_value=-5).isel(t=slice(0, None)),
        lambda d: d.where(d.t > 1, -5),
        lambda d: d.sel(t=slice(2, 3)),
        lambda d: d.head(t=3),
        lambda d: xr.concat([d, d.assign_coords(t=d.t + 6)], dim="t"),
    ):
        result, expected = (operation(dataset(array)) for array in (stored, loaded))
        assert isinstance(result.v.data, ManifestArray)
        assert result.v.dims == expected.v.dims
        np.testing.assert_array_equal(values(result.v.data), expected.v.values)


def test_what_needs_values_is_refused(stored: ManifestArray) -> None:
    virtual = dataset(ManifestArray(replace(stored.metadata, dtype=np.dtype("f4"), fill_value=None), stored.manifest))
    for operation in (
        lambda d: d + 1,
        lambda d: d.mean(),
        lambda d: d.fillna(0),
        lambda d: d.count(),
        lambda d: d.isnull().any(),
        lambda d: d.notnull().all(),
        lambda d: d.dropna("t"),
        lambda d: d.astype("f8"),
        lambda d: d.shift(t=1),
        lambda d: d.isel(t=1),
        lambda d: d.isel(t=[0, 2]),
        lambda d: d.where(d.x == 1),
        lambda d: d.cumsum(),
        lambda d: d.v.to_numpy(),
    ):
        with pytest.raises(ManifestError):
            operation(virtual)  # type: ignore[no-untyped-call]


def test_a_turned_array_can_be_written_in_zarr_v2(chunks: ChunkFile) -> None:
    turned = dataset(chunks.store(ArrayPlan((5, 4), (2, 3), (REFERENCE,) * 6, GZIP))).transpose()
    references: Any = turned.vz.to_kerchunk()
    with xr.open_dataset(references, engine="kerchunk") as opened:
        np.testing.assert_array_equal(opened.v.values, values(turned.v.data))
