"""Virtual arrays: what xarray needs of them, and what they refuse."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from vz_beam.errors import ManifestError
from vz_beam.manifests import ArrayMetadata, ChunkManifest, Codec, ManifestArray, SubChunkIndexingError
from vz_beam.manifests.zarr_v3 import to_v3


def array(shape: tuple[int, ...] = (4, 6), chunk_shape: tuple[int, ...] = (2, 3), url: str = "s3://b/a", **fields):  # type: ignore[no-untyped-def]
    metadata = ArrayMetadata(shape, np.dtype(fields.pop("dtype", "i4")), chunk_shape, **fields)
    grid_shape = metadata.chunk_grid.grid_shape
    count = metadata.chunk_grid.size
    manifest = ChunkManifest.from_columns(
        (url,),
        np.zeros(grid_shape, np.int32),
        (np.arange(count, dtype=np.uint64) * 100).reshape(grid_shape),
        np.full(grid_shape, 24, np.uint32),
    )
    return ManifestArray(metadata, manifest)


def offsets(virtual: ManifestArray) -> list[object]:
    return virtual.manifest.offsets.tolist()  # type: ignore[no-any-return]


def test_a_manifest_that_does_not_fit_the_array_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"\(9, 9\).*\(2, 2\)"):
        ManifestArray(ArrayMetadata((4, 6), np.dtype("i4"), (2, 3)), ChunkManifest.empty((9, 9)))


def test_concatenate_appends_chunks_along_the_axis() -> None:
    joined: Any = np.concatenate([array(), array(url="s3://b/b")], axis=-2)
    assert joined.shape == (8, 6)
    assert joined.manifest.locations == ("s3://b/a", "s3://b/b")
    assert joined.manifest.location_ids[:, 0].tolist() == [0, 0, 1, 1]


def test_a_partial_chunk_is_legal_in_the_last_array_only() -> None:
    assert np.concatenate([array(), array((3, 6))]).shape == (7, 6)
    with pytest.raises(ManifestError, match="at the very end only"):
        np.concatenate([array((3, 6)), array()])


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (array(dtype="i2"), "dtype"),
        (array(chunk_shape=(4, 3)), "chunk_shape"),
        (array(codecs=(Codec("zstd"),)), "codecs"),
        (array(attributes={"scale_factor": 0.5}), "scale_factor 0.1 and 0.5"),
        (array(dimension_names=("x", "t")), "dimensions"),
        (array((4, 6, 1), (2, 3, 1)), "dimensions"),
        (array((4, 8), attributes={"scale_factor": 0.1}), "shapes"),
    ],
)
def test_arrays_that_differ_are_not_joined(other: ManifestArray, word: str) -> None:
    first = array(attributes={"scale_factor": 0.1}, dimension_names=("t", "x"))
    with pytest.raises(ManifestError, match=word):
        np.concatenate([first, other])


def test_codecs_may_differ_in_what_decoding_does_not_need() -> None:
    fast, small = (array(codecs=(Codec("numcodecs.zlib", {"level": level}),)) for level in (1, 9))
    assert np.concatenate([fast, small]).shape == (8, 6)


def test_fill_values_may_differ_where_one_is_never_shown() -> None:
    holes = [array(fill_value=np.int32(fill)).with_fill_value_only(fill) for fill in (7, 8)]
    joined: Any = np.concatenate([array(fill_value=np.int32(3)), holes[0]])
    assert joined.metadata.fill_value == 7
    with pytest.raises(ManifestError, match=r"fill value .*7.* and .*8"):
        np.concatenate(holes)


@pytest.mark.parametrize(("axis", "shape"), [(0, (2, 4, 6)), (-1, (4, 6, 2)), (1, (4, 2, 6)), (-3, (2, 4, 6))])
def test_stack_and_expand_dims_take_negative_axes(axis: int, shape: tuple[int, ...]) -> None:
    assert np.stack([array(), array()], axis=axis).shape == shape
    assert np.expand_dims(array(), axis).shape == tuple(1 if n == 2 else n for n in shape)


def test_broadcasting_repeats_references_and_refuses_to_show_padding() -> None:
    repeated: Any = np.broadcast_to(array((1, 6), (1, 3)), (5, 6))
    assert offsets(repeated) == [[0, 100]] * 5
    cut: Any = np.broadcast_to(array((1, 6), (2, 3)), (5, 6))
    assert offsets(cut) == [[0, 100]] * 5  # cut to its first row
    with pytest.raises(ManifestError, match="padding"):
        np.broadcast_to(array((1, 6), (2, 3), codecs=(Codec("zstd"),)), (5, 6))


def test_slices_at_chunk_borders_take_chunks() -> None:
    assert offsets(array()[2:4, :3]) == [[200]]
    assert array()[..., 3:].shape == (4, 3)
    assert array((4, 5))[:, 3:5].shape == (4, 2)
    assert array((4, 6), (1, 3))[np.int64(-1)].shape == (6,)
    assert array()[None].shape == (1, 4, 6)
    assert array()[0:0].shape == (0, 6)


@pytest.mark.parametrize("indexer", [slice(1, 3), slice(1, 2), slice(None, None, 2), 1])
def test_an_indexer_that_cuts_a_chunk_is_refused(indexer: object) -> None:
    with pytest.raises(SubChunkIndexingError):
        array(codecs=(Codec("zstd"),))[indexer]


def test_inlined_chunks_follow_their_array() -> None:
    metadata = ArrayMetadata((2,), np.dtype("i4"), (1,))
    inlined = ManifestArray(metadata, ChunkManifest.from_inlined((2,), {0: b"aaaa", 1: b"bbbb"}))
    joined: Any = np.concatenate([inlined, inlined])
    assert dict(joined.manifest.inlined) == {0: b"aaaa", 1: b"bbbb", 2: b"aaaa", 3: b"bbbb"}
    assert dict(joined[1:3].manifest.inlined) == {0: b"bbbb", 1: b"aaaa"}


def test_values_are_refused_with_a_way_out() -> None:
    with pytest.raises(ManifestError, match="loadable_variables"):
        np.asarray(array())
    with pytest.raises(ManifestError, match=r"numpy\.mean"):
        np.mean(array())
    with pytest.raises(ManifestError, match=r"numpy\.add"):
        np.add(array(), 1)


def test_xarray_joins_virtual_arrays() -> None:
    first = xr.Dataset({"v": (("t", "x"), array())})
    second = xr.Dataset({"v": (("t", "x"), array(url="s3://b/b"))})
    joined = xr.concat([first, second], dim="t", data_vars="all", coords="minimal", compat="override", join="override")
    assert isinstance(joined["v"].data, ManifestArray)
    assert joined["v"].shape == (8, 6)
    assert joined["v"].data.manifest.locations == ("s3://b/a", "s3://b/b")
    assert isinstance(joined.isel(t=slice(0, 2))["v"].data, ManifestArray)


def test_comparing_costs_no_elements_and_survives_pickle() -> None:
    huge = ManifestArray(ArrayMetadata((10**6, 10**6), np.dtype("f8"), (10**5, 10**6)), ChunkManifest.empty((10, 1)))
    assert bool((huge == pickle.loads(pickle.dumps(huge))).flat[0])
    assert bool((array() == array()).flat[0])
    assert not bool((array() == array(url="s3://b/b")).flat[0])


def test_an_array_of_fill_alone_keeps_everything_but_the_chunks() -> None:
    full = array().with_fill_value_only(-1)
    assert (full.manifest.nrefs, full.metadata.fill_value, full.shape) == (0, -1, (4, 6))
    with pytest.raises(ManifestError, match="no value of int32"):
        array().with_fill_value_only(0.5)


def test_errors_are_those_that_users_of_virtualizarr_catch() -> None:
    for kind, operation in (
        (NotImplementedError, lambda a: np.asarray(a)),
        (NotImplementedError, lambda a: a.astype("f8")),
        (NotImplementedError, lambda a: np.concatenate([a, array(codecs=(Codec("zstd"),))])),
        (NotImplementedError, lambda a: np.concatenate([a, a], axis=None)),
        (NotImplementedError, lambda a: a == array((4, 8))),
        (NotImplementedError, lambda a: a[np.array([0, 2])]),
        (NotImplementedError, lambda a: np.where(np.arange(6) > 3, a, 0)),
        (TypeError, lambda a: a == 1),
        (TypeError, lambda a: a + 1),
        (TypeError, lambda a: np.mean(a)),
        (TypeError, lambda a: ManifestArray(a.metadata, a)),
        (ValueError, lambda a: np.concatenate([a, array(dtype="i2")])),
        (ValueError, lambda a: np.stack([a, array((4, 8))])),
        (ValueError, lambda a: a.to_virtual_variable()),
        (IndexError, lambda a: a[0, 0, 0]),
        (IndexError, lambda a: a[9]),
    ):
        with pytest.raises(kind) as caught:
            operation(array())
        assert kind is IndexError or isinstance(caught.value, ManifestError)
    with pytest.raises(NotImplementedError, match="regular"):
        ManifestArray({**to_v3(array().metadata), "chunk_grid": {"name": "rectilinear"}}, {})


def test_uncompressed_chunks_are_cut_as_their_bytes_lie() -> None:
    metadata = ArrayMetadata((4,), np.dtype("i4"), (2,))
    numbers = np.array([100, 108], np.uint64)
    virtual = ManifestArray(
        metadata, ChunkManifest.from_columns(("a",), np.zeros(2, np.int32), numbers, numbers * 0 + 8)
    )
    assert virtual[1:2].manifest.dict() == {"0": {"path": "a", "offset": 104, "length": 4}}
    assert virtual[-1:].manifest.dict() == {"0": {"path": "a", "offset": 112, "length": 4}}
    assert virtual[3].manifest.dict() == {"c": {"path": "a", "offset": 112, "length": 4}}
    with pytest.raises(SubChunkIndexingError, match=r"rechunked\(\) to 1"):
        virtual[1:3]
    padded = replace(metadata, shape=(3,))
    odd = ManifestArray(padded, ChunkManifest.from_columns(("a",), np.zeros(2, np.int32), numbers, numbers * 0 + 7))
    with pytest.raises(SubChunkIndexingError, match="7 bytes"):
        odd[1:2]


def test_a_turned_array_has_a_codec_only_where_its_chunks_need_one() -> None:
    assert array((4, 6), (1, 3)).T.metadata.codecs == ()
    turned = array(dimension_names=("t", "x")).T
    assert turned.metadata.codecs == (Codec("transpose", {"order": [1, 0]}),)
    assert turned.metadata.dimension_names == ("x", "t")
    assert turned.T.metadata == array(dimension_names=("t", "x")).metadata
    with pytest.raises(ManifestError, match="no order"):
        np.transpose(array(), (0, 0))


def test_shards_keep_their_number_of_axes() -> None:
    sharded = array(serializer=Codec("sharding_indexed", {"chunk_shape": [1, 3], "codecs": [], "index_codecs": []}))
    assert sharded[:2].shape == (2, 6)
    for operation in (lambda a: a[None], lambda a: np.stack([a, a]), lambda a: np.reshape(a, 24)):
        with pytest.raises(ManifestError, match="shard"):
            operation(sharded)


def test_points_and_masks_of_no_chunks_are_refused() -> None:
    virtual = array((4, 6), (1, 1))
    assert virtual[np.array([True, False, False, True])].shape == (2, 6)
    assert virtual[np.ix_([0, 1], [2, 4])].shape == (2, 2)
    assert virtual[np.array([[0]]), np.array([[1, 2]])].shape == (1, 2)
    for indexer in ([[0, 1], [1, 2]], ([0, 1], [0, 1]), (np.array([[0], [1]]), slice(None)), 0.5, True):
        with pytest.raises((ManifestError, IndexError)):
            virtual[indexer]
    with pytest.raises(ManifestError, match="two steps"):
        array((2, 3, 4), (1, 1, 1))[0, :, np.array([0, 1])]
