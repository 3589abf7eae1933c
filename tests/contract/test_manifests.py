"""What users of VirtualiZarr read of manifests, arrays and groups, and which errors they expect."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from zarr.core.group import GroupMetadata

from vz_beam.datasets.accessor import register_accessors
from vz_beam.manifests import ChunkEntry, ChunkManifest, ManifestArray, ManifestGroup
from vz_beam.manifests.utils import copy_and_replace_metadata, create_v3_array_metadata

ENTRY: dict[str, Any] = {"path": "s3://b/f.nc", "offset": 100, "length": 24}


@pytest.fixture(scope="module")
def their_metadata() -> Iterator[Any]:
    """VirtualiZarr's function; its accessor, which it registers when imported, is gone at the end."""
    utils = pytest.importorskip("virtualizarr.manifests.utils", reason="VirtualiZarr is not installed")
    yield utils.create_v3_array_metadata
    register_accessors()


def entries(shape: tuple[int, ...] = (2, 2)) -> dict[str, Any]:
    return {".".join(map(str, index)): ENTRY for index in np.ndindex(shape)}


def metadata(shape: tuple[int, ...] = (4, 6), chunks: tuple[int, ...] = (2, 3), **more: Any) -> Any:
    return create_v3_array_metadata(shape, more.pop("data_type", np.dtype("int32")), chunks, **more)


def array(shape: tuple[int, ...] = (4, 6), chunks: tuple[int, ...] = (2, 3), **more: Any) -> ManifestArray:
    made = metadata(shape, chunks, **more)
    return ManifestArray(metadata=made, chunkmanifest=entries(made.chunk_grid.grid_shape))


def test_an_entry_is_like_the_dict_of_its_fields() -> None:
    entry = ChunkManifest(entries())["0.1"]
    assert entry == ENTRY == entry
    assert entry != {**ENTRY, "offset": 101}
    assert dict(entry) == {**entry} == dict(entry.items()) == ENTRY
    assert list(entry.values()) == list(ENTRY.values())
    assert (entry["path"], entry.get("data"), "path" in entry, "data" in entry) == ("s3://b/f.nc", None, True, False)
    with pytest.raises(KeyError):
        entry["data"]
    assert entry == ChunkEntry(**ENTRY) != ChunkEntry("s3://b/g.nc", 100, 24)
    assert len({entry, ChunkEntry(**ENTRY)}) == 1
    inlined = ChunkManifest({"0": {"path": "", "offset": 0, "length": 2, "data": b"ab"}})["0"]
    assert inlined["data"] == b"ab"
    assert "data" in inlined


def test_keys_values_and_items_are_those_of_a_dict() -> None:
    manifest = ChunkManifest(entries=entries(), shape=(2, 3))
    assert manifest.keys() == {"0.0", "0.1", "1.0", "1.1"}
    assert list(manifest.values()) == [ENTRY] * 4
    assert dict(manifest.items()) == manifest.dict() == entries()
    assert (manifest.shape_chunk_grid, manifest.ndim_chunk_grid, len(manifest)) == ((2, 3), 2, 4)
    assert manifest.get_entry((1, 1)) == ENTRY
    assert manifest.get_entry((1, 2)) is None
    assert dict(manifest.iter_refs())[0, 1] == ENTRY
    assert manifest.elementwise_eq(ChunkManifest(entries(), shape=(2, 3))).all()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({}, ValueError, "need a chunk grid shape if no chunks given"),
        ({"0.0": {"path": "s3://b/f", "length": 1}}, ValueError, "must be of the form"),
        ({"0.0": {**ENTRY, "size": 1}}, ValueError, "must be of the form"),
        ({"0.0": "s3://b/f"}, ValueError, "must be of the form"),
        ({"some/invalid": ENTRY}, ValueError, "Invalid format for chunk key"),
        ({"0.0.": ENTRY}, ValueError, "Invalid format for chunk key"),
        ({"0.0": ENTRY, "0": ENTRY}, ValueError, "Inconsistent number of dimensions"),
        ({"0.0": {**ENTRY, "path": "f.nc"}}, ValueError, "must be absolute posix paths or URIs"),
        ({"0.0": {**ENTRY, "offset": -1}}, ValueError, "offset of chunk '0.0' must be a positive integer"),
        ({"0.0": {**ENTRY, "length": -1}}, ValueError, "length of chunk '0.0' must be a positive integer"),
        ({"0.0": {**ENTRY, "offset": 1.5}}, TypeError, "offset of chunk '0.0'.*of type"),
        ({"0.0": {**ENTRY, "path": 3}}, TypeError, "path must be a str"),
    ],
)
def test_entries_that_cannot_be_are_errors_of_the_known_kind(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ChunkManifest(given)


def test_a_key_outside_the_grid_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="outside the chunk grid"):
        ChunkManifest({"0.5": ENTRY}, shape=(1, 2))


def test_paths_become_urls_wherever_they_come_in() -> None:
    expected = ("file:///d/a b.nc",)
    given = ChunkManifest({"0": {**ENTRY, "path": "/d/a b.nc"}})
    assert given.locations == expected
    assert ChunkManifest({"0": ENTRY}).rename_paths("/d/a b.nc").locations == expected
    assert ChunkManifest({"0": ENTRY}).rename_paths(lambda _: "/d/a b.nc").locations == expected
    columns: dict[str, Any] = {
        "paths": np.array(["/d/a b.nc"], np.dtypes.StringDType()),
        "offsets": np.array([1], np.uint64),
        "lengths": np.array([1], np.uint64),
    }
    assert ChunkManifest.from_arrays(**columns).locations == expected
    assert ChunkManifest.from_arrays(**columns, validate_paths=False).locations == ("/d/a b.nc",)
    relative = {**columns, "paths": np.array(["a.nc"], np.dtypes.StringDType())}
    refusals: list[Callable[[], object]] = [
        lambda: ChunkManifest.from_arrays(**relative),
        lambda: given.rename_paths("a.nc"),
        lambda: given.rename_paths(lambda url: url[8:]),
    ]
    for refused in refusals:
        with pytest.raises(ValueError, match="must be absolute"):
            refused()
    with pytest.raises(ValueError, match="empty text"):
        given.rename_paths("")
    for wrong in (3, lambda _: None):
        with pytest.raises(TypeError, match="str"):
            given.rename_paths(wrong)  # type: ignore[arg-type]


def test_an_inlined_chunk_does_not_keep_paths_from_being_checked() -> None:
    mixed = {"0": {**ENTRY, "path": "f", "data": b"x"}, "1": {**ENTRY, "path": "f"}}
    with pytest.raises(ValueError, match="must be absolute"):
        ChunkManifest(mixed)


def test_metadata_has_what_is_read_of_zarrs() -> None:
    known = array(dimension_names=["y", "x"], attributes={"units": "K"}, fill_value=7).metadata
    assert known.shape == (4, 6)
    assert known.chunks == known.chunk_grid.chunk_shape == (2, 3)
    assert (known.ndim, known.zarr_format, known.node_type) == (2, 3, "array")
    assert known.data_type.to_native_dtype() == np.dtype("int32")
    assert known.fill_value == 7
    assert known.attributes == {"units": "K"}
    assert known.dimension_names == ("y", "x")
    assert known.chunk_key_encoding == {"name": "default", "configuration": {"separator": "/"}}
    document = known.to_dict()
    assert [codec["name"] for codec in document["codecs"]] == ["bytes"]
    assert ManifestArray(document, entries()).metadata == known


@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fill_value": 3},
        {"fill_value": float("nan")},
        {"dimension_names": ["x"]},
        {"attributes": {"_FillValue": 3.0, "valid_range": [0, 1]}},
        {"codecs": [{"name": "numcodecs.zlib", "configuration": {"level": 1}}]},
        {"data_type": np.dtype(">f8")},
        {"data_type": np.dtype("M8[ns]")},
    ],
)
def test_metadata_equals_zarrs_where_both_write_the_same_document(more: Any, their_metadata: Any) -> None:
    given: dict[str, Any] = {"shape": (4,), "data_type": np.dtype("f4"), "chunk_shape": (2,), **more}
    ours, theirs = create_v3_array_metadata(**given), their_metadata(**given)
    assert ours == theirs
    assert theirs == ours
    assert ours == pickle.loads(pickle.dumps(ours))
    assert ours != their_metadata(**{**given, "shape": (6,)})
    assert ManifestArray(theirs, {"0": ENTRY, "1": ENTRY}).metadata == theirs
    assert ours != "metadata"


def test_metadata_is_copied_with_changes() -> None:
    changed = copy_and_replace_metadata(
        metadata(), new_shape=[8, 6], new_chunks=[4, 3], new_dimension_names=["u", "v"], new_attributes={"a": 1}
    )
    assert (changed.shape, changed.chunks) == ((8, 6), (4, 3))
    assert (changed.dimension_names, changed.attributes) == (("u", "v"), {"a": 1})
    assert copy_and_replace_metadata(changed, new_dimension_names=None).dimension_names is None


@pytest.mark.parametrize(
    ("given", "error"), [((3, {}), TypeError), ((metadata(), 3), TypeError), ((None, {}), TypeError)]
)
def test_arrays_of_other_things_are_type_errors(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ManifestArray(*given)


def test_other_chunk_grids_are_not_implemented() -> None:
    grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, 3], [6]]}}
    with pytest.raises(NotImplementedError, match="rectilinear"):
        ManifestArray({**metadata().to_dict(), "chunk_grid": grid}, entries())


def test_a_manifest_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(9, 9\) chunks"):
        ManifestArray(metadata(), ChunkManifest(entries((9, 9))))


def test_values_are_never_given() -> None:
    virtual = array(dimension_names=["y", "x"])
    for refused in (
        lambda: np.asarray(virtual),
        lambda: virtual.astype("f8"),
        lambda: virtual + 1,
        lambda: np.sin(virtual),
        lambda: np.sum(virtual),
    ):
        with pytest.raises(NotImplementedError) as caught:
            refused()
        assert isinstance(caught.value, TypeError)
        assert str(caught.value)
    assert virtual.astype(np.dtype("int32"), copy=True) is virtual


def test_comparing_gives_a_truth_value_for_each_element() -> None:
    equal = array() == array()
    assert (equal.shape, equal.dtype, bool(equal.all())) == ((4, 6), np.dtype(bool), True)
    assert not (array() == array().rename_paths("s3://b/g.nc")).any()
    with pytest.raises(NotImplementedError, match="by element"):
        array() == array((2, 3))  # noqa: B015
    with pytest.raises(TypeError, match="compared"):
        array() == 3  # noqa: B015


def test_arrays_that_do_not_fit_are_errors_of_the_known_kind() -> None:
    zlib = [{"name": "numcodecs.zlib", "configuration": {"level": 1}}]
    for other, error, words in (
        (array(data_type=np.dtype("int64")), ValueError, "dtype int32 and int64"),
        (array(codecs=zlib), NotImplementedError, "codecs"),
        (array(chunks=(1, 3)), ValueError, "chunk_shape"),
        (array((4,), (2,)), ValueError, "dimensions"),
        (array((4, 9)), ValueError, "shapes"),
    ):
        with pytest.raises(error, match=words):
            np.concatenate([array(), other], axis=0)
    with pytest.raises(ValueError, match="partial chunk"):
        np.concatenate([array((3, 6)), array()], axis=0)
    assert np.concatenate([array(), array((3, 6))], axis=0).shape == (7, 6)
    with pytest.raises(NotImplementedError, match="axis=None"):
        np.concatenate([array(), array()], axis=None)
    with pytest.raises(ValueError, match="differ in shape"):
        np.stack([array(), array((4, 9))], axis=0)
    with pytest.raises(ValueError, match=r"types differ: .*float32.*int32"):
        np.result_type(array(), array(data_type=np.dtype("f4")))
    with pytest.raises(ValueError, match="broadcast"):
        np.broadcast_to(array(), (3, 4, 5))


def test_a_variable_needs_dimension_names() -> None:
    assert array(dimension_names=["y", "x"]).to_virtual_variable().dims == ("y", "x")
    with pytest.raises(ValueError, match="dimension"):
        array().to_virtual_variable()


def test_a_group_has_metadata_and_members() -> None:
    group = ManifestGroup(
        arrays={"a": array()}, groups={"g": ManifestGroup(arrays={"b": array()})}, attributes={"title": "t"}
    )
    assert group.metadata == GroupMetadata(attributes={"title": "t"}, zarr_format=3)
    assert group.metadata.attributes == {"title": "t"}
    assert (set(group), len(group), set(group.arrays), set(group.groups)) == ({"a", "g"}, 2, {"a"}, {"g"})
    assert group.nbytes_virtual == 2 * 96
    for wrong in ({"arrays": {"a": 3}}, {"groups": {"g": array()}}):
        with pytest.raises(TypeError, match="not a Manifest"):
            ManifestGroup(**wrong)
    with pytest.raises(ValueError, match="an array and for a group"):
        ManifestGroup(arrays={"a": array()}, groups={"a": ManifestGroup()})
    with pytest.raises(KeyError):
        group["c"]


def test_groups_with_nan_in_them_equal_their_pickles() -> None:
    fill: dict[str, Any] = {
        "fill_value": float("nan"),
        "attributes": {"_FillValue": float("nan")},
        "data_type": np.dtype("f4"),
    }
    group = ManifestGroup({"a": array(**fill)}, attributes={"missing": float("nan")})
    assert pickle.loads(pickle.dumps(group)) == group
