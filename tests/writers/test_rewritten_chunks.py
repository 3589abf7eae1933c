"""Chunks that do not fit are written anew: values stay those of the files, and no more is copied than must be."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import vz_beam
from tests.combine.byte_archive import Archive, numbered
from tests.combine.virtual_files import combine, time_index
from vz_beam.combine.fragment import Fragment, ShardKey, merge_fragments
from vz_beam.combine.layout import Layout
from vz_beam.combine.placing import references_of
from vz_beam.combine.rewriting import RewriteKey, RewritePart, rewrites
from vz_beam.errors import IncompleteStoreError, MismatchError, OverlapError, RewriteError
from vz_beam.manifests import Codec, ManifestArray
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position
from vz_beam.writers.rewritten_chunks import RewriteReceipt, remove_others, rewrite_chunks
from vz_beam.writers.writer import WriteTarget

ZLIB = (Codec("numcodecs.zlib", {"level": 1}),)
SMALL: dict[str, Any] = {"codecs": ZLIB, "chunk_shape": (2, 3)}
SHUFFLED = (Codec("numcodecs.shuffle", {"elementsize": 4}), *ZLIB)


class Rewriter:
    """Combines inputs with ``mismatch="rewrite"``, in a loop, beside a store in ``folder``."""

    def __init__(self, archive: Archive, folder: str) -> None:
        self.archive = archive
        self.target = WriteTarget(f"{folder}/store.parquet")
        self.receipts: list[RewriteReceipt] = []
        self.references = 0

    def parts(self, layout: Layout, inputs: list[Any]) -> dict[RewriteKey, list[RewritePart]]:
        found: dict[RewriteKey, list[RewritePart]] = {}
        for index, dataset in inputs:
            for key, part in rewrites(layout, references_of(index, dataset)):
                found.setdefault(key, []).append(part)
        return found

    def values(self, inputs: list[Any], **choices: Any) -> tuple[NDArray[Any], Layout]:
        """Stored numbers of ``v``, and the layout."""
        layout, shards = combine(inputs, chunks_per_shard=5, mismatch="rewrite", **choices)
        fragments = [fragment for key, fragment in shards.items() if key.path == "v"]
        self.references = sum(map(len, fragments))
        for key, parts in self.parts(layout, inputs).items():
            fragments += self.rewritten(layout, key, parts)
        merged = merge_fragments(fragments, "v")
        return self.archive.read(layout.arrays["v"].metadata, [merged]), layout

    def rewritten(self, layout: Layout, key: RewriteKey, parts: Iterable[RewritePart]) -> list[Fragment]:
        made, receipt = rewrite_chunks(layout, key, parts, self.target, self.archive.open)
        self.receipts.append(receipt)
        for shard, fragment in made:
            assert isinstance(shard, ShardKey)
            for url in fragment.locations:
                self.archive.files[url] = Path(url.removeprefix("file://")).read_bytes()
        return [fragment for _, fragment in made]


@pytest.fixture
def rewriter(tmp_path: Path) -> Rewriter:
    return Rewriter(Archive(), str(tmp_path))


def files(archive: Archive, pieces: Iterable[tuple[NDArray[Any], dict[str, Any]]]) -> list[Any]:
    """Files along time, each of values and how they are stored."""
    return [
        (time_index(n), xr.Dataset({"v": archive.variable(("time", "x"), values, **how)}))
        for n, (values, how) in enumerate(pieces)
    ]


def test_months_in_compressed_whole_file_chunks_become_one_array(rewriter: Rewriter) -> None:
    months = [numbered((days, 3), 1000 * n) for n, days in enumerate((31, 28, 31))]
    inputs = files(rewriter.archive, ((m, {"chunk_shape": m.shape, "codecs": ZLIB}) for m in months))
    with pytest.raises(MismatchError, match="chunk shape"):
        combine(inputs)
    values, layout = rewriter.values(inputs)
    np.testing.assert_array_equal(values, np.concatenate(months))
    assert layout.arrays["v"].metadata.chunk_shape == (31, 3)
    assert rewriter.references == 1  # January, which fits
    assert sum(receipt.chunks for receipt in rewriter.receipts) == 2
    assert any("'v' is stored in other ways in 1 inputs" in note for note in layout.notes)
    assert any("chunk shape: (31, 3) in s3://archive/000.bin, (28, 3) in" in note for note in layout.notes)


def test_only_what_does_not_fit_is_read(rewriter: Rewriter) -> None:
    parts = [numbered((4, 6), 100 * n) for n in range(6)]
    how = [{"codecs": SHUFFLED if n == 2 else ZLIB, "chunk_shape": (2, 3)} for n in range(6)]
    inputs = files(rewriter.archive, zip(parts, how, strict=True))
    values, _ = rewriter.values(inputs)
    np.testing.assert_array_equal(values, np.concatenate(parts))
    assert rewriter.references == 5 * 4
    assert sum(receipt.chunks for receipt in rewriter.receipts) == 4
    assert (
        sum(receipt.read_nbytes for receipt in rewriter.receipts)
        == len(rewriter.archive.files["s3://archive/002.bin"]) - 4
    )


def test_the_chunk_where_a_file_ends_is_made_of_both_files(rewriter: Rewriter) -> None:
    parts = [numbered((length, 3), 100 * n) for n, length in enumerate((4, 3, 5, 2))]
    inputs = files(rewriter.archive, ((part, {"codecs": ZLIB, "chunk_shape": (2, 3)}) for part in parts))
    values, layout = rewriter.values(inputs)
    np.testing.assert_array_equal(values, np.concatenate(parts))
    assert rewriter.references == 2 + 1 + 0 + 1
    assert any("partial chunk in the middle" in note for note in layout.notes)


def test_packed_values_are_packed_as_most_are(rewriter: Rewriter) -> None:
    rng = np.random.default_rng(1)
    how: list[dict[str, Any]] = [
        {"codecs": ZLIB, "chunk_shape": (2, 3), "attributes": {"scale_factor": s, "add_offset": o, "_FillValue": f}}
        for s, o, f in ((0.01, 1.0, -9), (0.01, 1.0, -9), (0.5, 0.0, -1), (0.02, 0.0, -9))
    ]
    stored = [rng.integers(-50, 50, (4, 3)).astype("i2") for _ in how]
    for piece, one in zip(stored, how, strict=True):
        piece[0, 0] = one["attributes"]["_FillValue"]
    inputs = files(rewriter.archive, zip(stored, how, strict=True))
    meant = [
        xr.conventions.decode_cf_variable("v", xr.Variable(("time", "x"), piece, one["attributes"])).values
        for piece, one in zip(stored, how, strict=True)
    ]
    values, layout = rewriter.values(inputs)
    metadata = layout.arrays["v"].metadata
    assert metadata.attributes == {"scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -9}
    again = xr.conventions.decode_cf_variable("v", xr.Variable(("time", "x"), values, metadata.attributes)).values
    np.testing.assert_allclose(again, np.concatenate(meant), atol=0.005001, rtol=0)
    assert np.isnan(again).sum() == np.isnan(np.concatenate(meant)).sum() >= 4
    assert rewriter.references == 4


def test_units_that_differ_are_refused_also_where_chunks_are_rewritten(rewriter: Rewriter) -> None:
    how = [{"chunk_shape": (2, 3), "attributes": {"units": units}} for units in ("K", "degC")]
    inputs = files(rewriter.archive, ((numbered((2, 3)), one) for one in how))
    with pytest.raises(MismatchError, match="units"):
        rewriter.values(inputs)


def test_a_value_that_does_not_fit_is_named_with_its_file(rewriter: Rewriter) -> None:
    pieces = [numbered((2, 3)).astype("i2"), numbered((2, 3)).astype("i2"), numbered((2, 3), 40_000)]
    inputs = files(rewriter.archive, ((piece, {"chunk_shape": (2, 3)}) for piece in pieces))
    with pytest.raises(RewriteError, match=r"'v' of s3://archive/002.bin: the value 40000 cannot be stored as int16"):
        rewriter.values(inputs)


def test_chunks_that_were_never_written_are_rewritten_as_their_file_says(rewriter: Rewriter) -> None:
    pieces = [numbered((4, 3), 100 * n) for n in range(3)]
    how: list[dict[str, Any]] = [
        {"chunk_shape": (2, 3), "codecs": ZLIB, "fill_value": fill, "missing": [1]} for fill in (-1, -1, -5)
    ]
    inputs = files(rewriter.archive, zip(pieces, how, strict=True))
    values, _ = rewriter.values(inputs)
    assert (pieces[2][2:] == -5).all()
    np.testing.assert_array_equal(values, np.concatenate(pieces))


def test_holes_in_chunks_that_are_rewritten_read_as_missing(rewriter: Rewriter) -> None:
    pieces = [numbered((2, 3), 100 * n) for n in range(4)]
    how: list[dict[str, Any]] = [
        {"chunk_shape": (4, 3), "codecs": ZLIB, "attributes": {"_FillValue": -9}, "fill_value": 0} for _ in pieces
    ]
    inputs = files(rewriter.archive, zip(pieces, how, strict=True))
    del inputs[1]
    values, _ = rewriter.values(inputs, holes="missing")
    np.testing.assert_array_equal(values, np.concatenate([pieces[0], np.full((2, 3), -9), *pieces[2:]]))


HOW = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["i2", "i4", "f4"]),
        "codecs": st.sampled_from([(), ZLIB]),
        "chunk": st.integers(1, 5),
        "length": st.integers(1, 6),
        "width": st.sampled_from([2, 3]),
    }
)


@settings(max_examples=120, deadline=None)
@given(st.lists(HOW, min_size=1, max_size=4), st.integers(1, 2), st.data())
def test_any_lengths_chunks_types_and_codecs_read_as_numpy_joins_them(
    ways: list[dict[str, Any]], members: int, data: st.DataObject
) -> None:
    archive = Archive()
    inputs, expected = [], []
    for member in range(members):
        row = []
        for number, way in enumerate(ways):
            values = numbered((way["length"], 3), 50 * number + 500 * member).astype(way["dtype"])
            count = -(-way["length"] // way["chunk"]) * -(-3 // way["width"])
            missing = data.draw(st.sets(st.integers(0, count - 1), max_size=1))
            chunk_shape = (way["chunk"], way["width"])
            variable = archive.variable(("time", "x"), values, chunk_shape, missing, codecs=way["codecs"])
            index = Index((Position("member", "concat", member), Position("time", "concat", number)))
            inputs.append((index, xr.Dataset({"v": variable})))
            row.append(values.astype("f8"))
        expected.append(np.concatenate(row))
    chance = random.Random(data.draw(st.integers(0, 99)))
    chance.shuffle(inputs)
    with tempfile.TemporaryDirectory() as folder:
        values, _ = Rewriter(archive, folder).values(inputs)
    np.testing.assert_array_equal(values, np.stack(expected))


def test_parts_that_come_twice_and_in_any_order_give_the_same_object(rewriter: Rewriter) -> None:
    inputs = files(
        rewriter.archive, ((numbered((3, 3), 10 * n), {"codecs": ZLIB, "chunk_shape": (2, 3)}) for n in range(3))
    )
    layout, _ = combine(inputs, mismatch="rewrite")
    ((key, parts),) = rewriter.parts(layout, inputs).items()
    rewriter.rewritten(layout, key, parts)
    rewriter.rewritten(layout, key, [*parts[::-1], *parts])
    assert rewriter.receipts[0] == rewriter.receipts[1]
    with pytest.raises(IncompleteStoreError, match=r"chunk number 1 of 'v' is made of 6 elements, and 3 arrived"):
        rewriter.rewritten(layout, key, parts[1:])


def test_two_inputs_at_one_place_are_named(rewriter: Rewriter) -> None:
    inputs = files(
        rewriter.archive, ((numbered((3, 3), 10 * n), {"codecs": ZLIB, "chunk_shape": (2, 3)}) for n in range(3))
    )
    layout, _ = combine(inputs, mismatch="rewrite")
    inputs[2] = (inputs[1][0], inputs[2][1])
    ((key, parts),) = rewriter.parts(layout, inputs).items()
    with pytest.raises(OverlapError, match=r"001.bin and s3://archive/002.bin"):
        rewriter.rewritten(layout, key, parts)


def test_a_codec_that_cannot_encode_is_refused_before_anything_is_read(rewriter: Rewriter) -> None:
    inputs = files(rewriter.archive, ((numbered((3, 3)), SMALL) for _ in range(2)))
    for _, dataset in inputs:
        array: Any = dataset["v"].variable.data
        encoded = replace(array.metadata, codecs=(Codec("numcodecs.nobody_knows"),))
        dataset["v"] = xr.Variable(("time", "x"), ManifestArray(encoded, array.manifest))
    with pytest.raises(MismatchError, match="'v' cannot be rewritten, its codecs cannot encode"):
        combine(inputs, mismatch="rewrite")


def write_files(folder: Path) -> list[str]:
    """Packed, compressed files of a series; the second with another packing, the third shorter than a chunk."""
    found = []
    start = np.datetime64("2001-01-01", "ns")
    for number, (scale, steps) in enumerate([(0.1, 4), (0.25, 4), (0.1, 3), (0.1, 4)]):
        time = start + np.arange(steps) * np.timedelta64(1, "D")
        start = time[-1] + np.timedelta64(1, "D")
        values = np.round(np.random.default_rng(number).uniform(250, 300, (steps, 6)) / scale) * scale
        values[0, 0] = np.nan
        temperature = ("time", "x"), values, {"units": "K"}
        dataset = xr.Dataset({"t": temperature}, coords={"time": time, "x": np.arange(6)})
        packing = {"dtype": "i2", "scale_factor": scale, "add_offset": 273.0, "_FillValue": -999}
        encoding: Any = {
            "t": {**packing, "chunksizes": (2, 3), "zlib": True},
            "time": {"units": "days since 2001-01-01"},
        }
        path = folder / f"{number}.nc"
        dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
        found.append(str(path))
    return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("suffix", ["parquet", "json"])
def test_a_store_with_rewritten_chunks_reads_as_its_files(suffix: str, workers: int, tmp_path: Path) -> None:
    paths = write_files(tmp_path)
    store = tmp_path / f"store.{suffix}"
    choices: dict[str, Any] = {"concat_dim": "time", "workers": workers, "progress": False}
    with pytest.raises(MismatchError):
        vz_beam.build(paths, store, **choices)
    summary = vz_beam.build(paths, store, mismatch="rewrite", **choices)
    parts = [xr.open_dataset(path, engine="h5netcdf").load() for path in paths]
    expected = xr.concat(parts, "time")
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        np.testing.assert_allclose(ours["t"].values, expected["t"].values, atol=0.0501, rtol=0)
        exact = np.r_[0:4, 8:15]  # all but the second file, whose packing is another one
        np.testing.assert_allclose(ours["t"].values[exact], expected["t"].values[exact], rtol=1e-6)
        np.testing.assert_array_equal(ours["time"].values, expected["time"].values)
    assert (summary.references, summary.rewritten_chunks) == (16 + 2, 4 + 2 + 4)
    written = contents(tmp_path / f"store.{suffix}.chunks")
    assert sum(map(len, written.values())) == summary.rewritten_nbytes > 0
    assert f"rewritten   {summary.rewritten_chunks} chunks" in str(summary)
    vz_beam.build(paths, store, mismatch="rewrite", mode="overwrite", **choices)
    assert contents(tmp_path / f"store.{suffix}.chunks") == written
    vz_beam.build([paths[0], paths[3]], store, mode="overwrite", **choices)
    assert not contents(tmp_path / f"store.{suffix}.chunks")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_objects_of_other_runs_are_removed_when_the_store_is_there(tmp_path: Path) -> None:
    target = WriteTarget(str(tmp_path / "store.json"))
    for name in ("v/0-aaaa", "v/0-bbbb"):
        path = tmp_path / "store.json.chunks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    remove_others(target, [RewriteReceipt("v/0-bbbb", "v", 1, 1, 1)])
    assert [path.name for path in (tmp_path / "store.json.chunks" / "v").iterdir()] == ["0-bbbb"]
