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
from vz_beam.manifests.zarr_v3 import to_v3

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
        (
            {"0.0": {**ENTRY, "offset": -1}},
            ValueError,
            "byte offset must be a positive integer, but got offset=-1 of chunk '0.0'",
        ),
        (
            {"0.0": {**ENTRY, "length": -1}},
            ValueError,
            "byte length must be a positive integer, but got length=-1 of chunk '0.0'",
        ),
        (
            {"0.0": {**ENTRY, "offset": 1.5}},
            TypeError,
            "byte offset must be of type int, but got type .*of chunk '0.0'",
        ),
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
        {"fill_value": 3.0, "attributes": {"_FillValue": 3.0, "valid_range": [0, 1]}},
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


def test_missing_chunks_read_as_missing_where_nobody_says_what_they_are(their_metadata: Any) -> None:
    given: dict[str, Any] = {"shape": (4,), "data_type": np.dtype("f4"), "chunk_shape": (2,)}
    given["attributes"] = {"_FillValue": 3.0}
    ours, theirs = create_v3_array_metadata(**given), their_metadata(**given)
    assert (to_v3(ours)["fill_value"], theirs.to_dict()["fill_value"]) == (3.0, 0.0)


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
        (array(data_type=np.dtype("int64")), ValueError, "inconsistent dtypes: dtype int32 and int64"),
        (array(codecs=zlib), NotImplementedError, "cannot concatenate arrays which were stored using different codecs"),
        (array(chunks=(1, 3)), ValueError, "inconsistent chunk shapes: .*Requires ZEP003.*in s3://b/f.nc and s3"),
        (array((4,), (2,)), ValueError, "dimensions"),
        (array((4, 9)), ValueError, r"Cannot concatenate arrays with shapes \[\(4, 6\), \(4, 9\)\]"),
        (np.zeros((4, 6), np.int32), ValueError, "loaded"),
        (3, TypeError, "loaded"),
    ):
        with pytest.raises(error, match=words):
            np.concatenate([array(), other], axis=0)
    with pytest.raises(ValueError, match="Cannot concatenate arrays with partial chunks because only regular"):
        np.concatenate([array((3, 6)), array()], axis=0)
    assert np.concatenate([array(), array((3, 6))], axis=0).shape == (7, 6)
    with pytest.raises(NotImplementedError, match="axis=None"):
        np.concatenate([array(), array()], axis=None)
    with pytest.raises(ValueError, match=r"Cannot concatenate arrays with differing shapes: \(4, 6\) vs \(4, 9\)"):
        np.stack([array(), array((4, 9))], axis=0)
    with pytest.raises(ValueError, match=r"combine arrays with inconsistent dtypes.*float32.*int32"):
        np.result_type(array(), array(data_type=np.dtype("f4")))
    with pytest.raises(ValueError, match="broadcast"):
        np.broadcast_to(array(), (3, 4, 5))
    joins: list[Callable[[], Any]] = [
        lambda: np.concatenate([array()] * 2, axis=2),
        lambda: np.stack([array()] * 2, axis=3),
    ]
    for beyond in joins:
        for kind in (ValueError, IndexError):
            with pytest.raises(kind, match="out of bounds for array of dimension"):
                beyond()


def test_an_index_that_cannot_be_is_an_error_of_both_libraries() -> None:
    for indexer in ((0, 0, 0), (..., ...), (9, ...), (np.array([9]), ...), (np.array([0.5]), ...)):
        for kind in (ValueError, IndexError):
            with pytest.raises(kind):
                array()[indexer]
    for wrong in ("a", 1.5, {}, object()):
        with pytest.raises(TypeError, match=r"indexer must be of type int, slice, ellipsis, None, or np\.ndarray"):
            array()[wrong]


@pytest.mark.parametrize("separator", [".", "/"])
def test_entries_of_an_array_have_keys_as_of_a_manifest_or_of_a_store(separator: str) -> None:
    given = {key.replace(".", separator): entry for key, entry in entries().items()}
    assert ManifestArray(metadata(), given).manifest == ChunkManifest(entries())


def test_entries_and_shape_of_other_types_are_refused_in_words() -> None:
    for wrong in ([("0", ENTRY)], "abc", None, 3):
        with pytest.raises(TypeError, match="entries must be a dict"):
            ChunkManifest(wrong)  # type: ignore[arg-type]
    for key in (0, (0, 0), None):
        with pytest.raises(TypeError, match="chunk keys are texts"):
            ChunkManifest({key: ENTRY})  # type: ignore[dict-item]
        with pytest.raises(TypeError, match="chunk keys are texts"):
            ChunkManifest(entries())[key]  # type: ignore[index]
    with pytest.raises(TypeError, match="path must be a str"):
        ChunkManifest({"0": {**ENTRY, "path": None}})
    with pytest.raises(ValueError, match="separator must be one of"):
        ChunkManifest(entries(), separator="x")
    with pytest.raises(ValueError, match=r"between chunk key 0 and 0\.0: 1 vs 2"):
        ChunkManifest({"0.0": ENTRY, "0": ENTRY})
    single: dict[str, Any] = {"0": ENTRY}
    shapes: list[Any] = [3, [3], (np.int64(3),)]
    for shape in shapes:
        assert ChunkManifest(single, shape=shape).shape_chunk_grid == (3,)
    odd: list[tuple[Any, type[Exception]]] = [((-1,), ValueError), ("a", TypeError), ((1.5,), TypeError)]
    for shape, kind in odd:
        with pytest.raises(kind, match="shape of a chunk grid"):
            ChunkManifest(single, shape=shape)


@pytest.mark.parametrize("index", [(9, 0), (-1, 0), (0,), (0, 0, 0), "0.0", 0, None])
def test_an_entry_outside_the_grid_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds for a grid"):
        ChunkManifest(entries()).get_entry(index)


def test_a_root_for_relative_paths_is_absolute() -> None:
    def path(root: Any) -> Any:
        return ChunkEntry.with_validation(path="../d/f.nc", offset=0, length=1, fs_root=root)["path"]

    assert [path(root) for root in ("/r/x", "/r/x/", "file:///r/x", "/")] == ["file:///r/d/f.nc"] * 3 + [
        "file:///d/f.nc"
    ]
    with pytest.raises(ValueError, match="fs_root must be an absolute path to a filesystem directory"):
        path("r/x")
    with pytest.raises(TypeError, match="fs_root"):
        path(3)


def test_metadata_that_cannot_be_is_a_value_error() -> None:
    for wrong in ({}, {"shape": (2,), "chunks": (1,)}):
        with pytest.raises(TypeError, match="lacks"):
            ManifestArray(wrong, {})
    assert metadata(4, 2).chunks == (2,)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'abc'"):
        metadata(fill_value="abc")


def test_a_variable_needs_dimension_names() -> None:
    assert array(dimension_names=["y", "x"]).to_virtual_variable().dims == ("y", "x")
    with pytest.raises(ValueError, match="dimension"):
        array().to_virtual_variable()
    with pytest.raises(ValueError, match="Cannot create virtual variable from 2-dimensional array without dimension"):
        ManifestGroup({"a": array()}).to_virtual_dataset()


def test_a_variable_names_coordinates_of_its_group() -> None:
    named = array(dimension_names=["y", "x"], attributes={"coordinates": "lat"})
    dataset = ManifestGroup({"a": named, "lat": array(dimension_names=["y", "x"])}).to_virtual_dataset()
    assert (set(dataset.coords), set(dataset.data_vars)) == ({"lat"}, {"a"})
    assert dataset["a"].encoding["coordinates"] == "lat"
    assert ManifestGroup({"a": named}).to_virtual_dataset()["a"].attrs == {"coordinates": "lat"}


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
    with pytest.raises(ValueError, match="Some names collide"):
        ManifestGroup(arrays={"a": array()}, groups={"a": ManifestGroup()})
    for lacking in ("c", 0, None):
        assert lacking not in group
        with pytest.raises(KeyError):
            group[lacking]  # type: ignore[index]
    others: list[dict[str, Any]] = [
        {"arrays": [array()]},
        {"arrays": array()},
        {"attributes": 3},
        {"arrays": {1: array()}},
    ]
    for wrong in others:
        with pytest.raises(TypeError, match=r"dict by name|are texts"):
            ManifestGroup(**wrong)


def test_groups_with_nan_in_them_equal_their_pickles() -> None:
    fill: dict[str, Any] = {
        "fill_value": float("nan"),
        "attributes": {"_FillValue": float("nan")},
        "data_type": np.dtype("f4"),
    }
    group = ManifestGroup({"a": array(**fill)}, attributes={"missing": float("nan")})
    assert pickle.loads(pickle.dumps(group)) == group
