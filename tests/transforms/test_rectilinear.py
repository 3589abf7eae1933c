"""Chunks of several lengths along the joined dimensions, as the files of months have them.

Values are compared with those that h5py reads, as zarr and icechunk show them where their versions know such grids, and
as our own reader of chunks does in any case.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import vz_beam
from tests.store_contents import contents
from vz_beam import ConcatDim, FilePattern
from vz_beam.cli import main
from vz_beam.errors import MismatchError, UnsupportedError, UnsupportedGridError
from vz_beam.manifests.array import ManifestArray

icechunk = pytest.importorskip("icechunk")

SETTING = "array.rectilinear_chunks"
HAS_ZARR = zarr.config.get(SETTING, None) is not None
HAS_ICECHUNK = int(icechunk.__version__.partition(".")[0]) >= 2
SUFFIXES = [
    "zarr",
    pytest.param("icechunk", marks=pytest.mark.skipif(not HAS_ICECHUNK, reason="chunk grids need Icechunk 2")),
]
MONTHS = (31, 28, 31, 30)


def write_file(
    path: Path,
    values: Any,
    starts: tuple[int, int],
    chunks: tuple[int, int],
    *,
    written: int | None = None,
    **about: Any,
) -> str:
    """A file of ``rain(time, y)``, whose first ``written`` columns alone are in it."""
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        scales = []
        for axis, name in enumerate(("time", "y")):
            scale = file.create_dataset(name, data=starts[axis] + np.arange(values.shape[axis]))
            scale.make_scale(name)
            scales.append(scale)
        about = {"maxshape": (None, None), **about}
        rain = file.create_dataset("rain", values.shape, values.dtype, chunks=chunks, **about)
        rain[:, :written] = values[:, :written]
        for axis, scale in enumerate(scales):
            rain.dims[axis].attach_scale(scale)
    return str(path)


def write_months(
    folder: Path, lengths: Sequence[int] = MONTHS, chunks: Sequence[int] = MONTHS, **about: Any
) -> list[str]:
    """A file for each of ``lengths`` steps in chunks of as many steps as ``chunks`` says, 4 columns wide of 6."""
    about = {"compression": "gzip", **about}
    numbers, starts = np.random.default_rng(5), np.cumsum((0, *lengths))
    return [
        write_file(
            folder / f"{n:02}.nc", numbers.normal(size=(length, 6)), (int(starts[n]), 0), (chunks[n], 4), **about
        )
        for n, length in enumerate(lengths)
    ]


def truth(files: Sequence[str]) -> Any:
    parts = []
    for path in files:
        with h5py.File(path) as file:
            parts.append(file["rain"][()])
    return np.concatenate(parts)


def tiles_of(folder: Path, rows: int, columns: int) -> FilePattern:
    return FilePattern(
        lambda time, y: str(folder / f"{time}_{y}.nc"),
        ConcatDim("time", list(range(rows))),
        ConcatDim("y", list(range(columns))),
    )


def build(files: Any, store: Path, **choices: Any) -> Any:
    choices = {"chunk_grid": "rectilinear", "progress": False, **choices}
    if not isinstance(files, FilePattern):
        choices["concat_dim"] = "time"
    return vz_beam.build(files, store, **choices)


def assert_store_reads(store: Path, expected: Any) -> None:
    """Compares all values, and those of a box that begins and ends inside chunks."""
    ours = vz_beam.open_virtual_dataset(str(store), loadable_variables=["rain"])
    np.testing.assert_array_equal(ours["rain"].values, expected)
    if not HAS_ZARR:
        return
    with zarr.config.set({SETTING: True}):
        if store.suffix == ".icechunk":
            from tests.icechunk_contents import store_of

            dataset = xr.open_zarr(store_of(store), consolidated=False, chunks=None)
        else:
            dataset = xr.open_dataset(store, engine="vz_beam", chunks=None)
        np.testing.assert_array_equal(dataset["rain"].values, expected)
        np.testing.assert_array_equal(dataset["rain"][5:-3, 1:5].values, expected[5:-3, 1:5])


def array_of(store: Path) -> ManifestArray:
    array = vz_beam.open_virtual_dataset(str(store), loadable_variables=[])["rain"].data
    assert isinstance(array, ManifestArray)
    return array


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("lengths", "chunks", "stored"),
    [
        (MONTHS, MONTHS, MONTHS),
        ((30, 28, 31, 25), (10, 14, 31, 7), (10,) * 3 + (14,) * 2 + (31,) + (7,) * 4),
        ((31, 0, 28), (31, 8, 28), (31, 28)),
        ((365, 366), (365, 366), (365, 366)),
    ],
)
@pytest.mark.parametrize("about", [{}, {"compression": None}], ids=["compressed", "plain"])
def test_files_keep_their_chunks(
    suffix: str,
    lengths: tuple[int, ...],
    chunks: tuple[int, ...],
    stored: tuple[int, ...],
    about: dict[str, Any],
    tmp_path: Path,
) -> None:
    files, store = write_months(tmp_path / "data", lengths, chunks, **about), tmp_path / f"store.{suffix}"
    summary = build(files, store)
    assert array_of(store).manifest.nrefs == 2 * len(stored)
    grid = array_of(store).metadata.chunk_grid
    assert grid.uneven[0].lengths.tolist() == list(stored)
    assert grid.chunk_shape == (max(stored), 4)
    assert_store_reads(store, truth(files))
    assert any("'rain' are of several lengths" in note and SETTING in note for note in summary.notes)


def test_chunks_of_one_length_stay_regular(tmp_path: Path) -> None:
    files = write_months(tmp_path / "data", (20, 10, 30, 15), (10,) * 4)
    with_choice, without = tmp_path / "a.zarr", tmp_path / "b.zarr"
    summary = build(files, with_choice)
    build(files, without, chunk_grid="regular")
    assert {name: data for name, data in contents(with_choice).items() if "inputs" not in name} == {
        name: data for name, data in contents(without).items() if "inputs" not in name
    }
    assert json.loads((with_choice / "rain" / "zarr.json").read_text())["chunk_grid"]["name"] == "regular"
    assert not any("lengths" in note for note in summary.notes)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tiles_are_uneven_along_both_dimensions(suffix: str, tmp_path: Path) -> None:
    rows, columns = (3, 5, 2), (4, 2, 3)
    values = np.random.default_rng(1).normal(size=(sum(rows), sum(columns)))
    tops, lefts = np.cumsum((0, *rows)), np.cumsum((0, *columns))
    for i, height in enumerate(rows):
        for j, width in enumerate(columns):
            start = (int(tops[i]), int(lefts[j]))
            part = values[start[0] : start[0] + height, start[1] : start[1] + width]
            write_file(tmp_path / "data" / f"{i}_{j}.nc", part, start, (height, width), compression="gzip")
    pattern = FilePattern(
        lambda time, y: str(tmp_path / "data" / f"{time}_{y}.nc"),
        ConcatDim("time", [0, 1, 2]),
        ConcatDim("y", [0, 1, 2]),
    )
    store = tmp_path / f"store.{suffix}"
    build(pattern, store, chunks_per_shard=4)
    assert_store_reads(store, values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_workers_rounds_and_appends_write_the_store_of_one_run(suffix: str, tmp_path: Path) -> None:
    files = write_months(tmp_path / "data")
    whole = tmp_path / f"whole.{suffix}"
    build(files, whole, chunks_per_shard=3)
    assert_store_reads(whole, truth(files))
    grid = array_of(whole).metadata.chunk_grid
    ways: dict[str, dict[str, Any]] = {"workers": {"workers": 2}, "rounds": {"inputs_per_round": 1}, "appended": {}}
    for name, choices in ways.items():
        store = tmp_path / f"{name}.{suffix}"
        if name == "appended":
            build(files[:2], store, chunks_per_shard=3)
            choices = {"mode": "append"}
        build(files, store, chunks_per_shard=3, **choices)
        assert array_of(store).metadata.chunk_grid == grid
        assert_store_reads(store, truth(files))
        if suffix == "zarr" and name == "workers":
            assert contents(store) == contents(whole)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_regular_store_becomes_uneven_as_it_grows(suffix: str, tmp_path: Path) -> None:
    files, store = write_months(tmp_path / "data"), tmp_path / f"store.{suffix}"
    build([files[0]], store)
    assert not array_of(store).metadata.uneven_chunks
    build(files[:2], store, mode="append", append_dim="time")
    build(files[:3], store, mode="append", append_dim="time", chunk_grid="regular")  # the store says that it is uneven
    assert_store_reads(store, truth(files[:3]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_chunks_that_were_never_written_read_as_in_their_file(suffix: str, tmp_path: Path) -> None:
    files, store = write_months(tmp_path / "data", written=4, fillvalue=7.0), tmp_path / f"store.{suffix}"
    assert (truth(files)[:, 4:] == 7.0).all()
    build(files, store)
    assert array_of(store).manifest.nrefs == 4
    assert_store_reads(store, truth(files))
    holey = tmp_path / f"holey.{suffix}"
    build(files, holey, holes="missing")  # now a missing chunk reads as NaN, so that 7 must be written in each length
    assert_store_reads(holey, truth(files))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_hole_is_as_long_as_the_others_at_its_place_and_can_be_filled(suffix: str, tmp_path: Path) -> None:
    rows, columns = (3, 5), (4, 2)
    values = np.random.default_rng(2).normal(size=(8, 6))
    files = [
        write_file(
            tmp_path / "data" / f"{i}_{j}.nc",
            values[3 * i : 3 * i + height, 4 * j : 4 * j + width],
            (3 * i, 4 * j),
            (height, width),
            compression="gzip",
        )
        for i, height in enumerate(rows)
        for j, width in enumerate(columns)
    ]
    pattern = tiles_of(tmp_path / "data", 2, 2)
    hidden = Path(files[3]).rename(tmp_path / "hidden")
    store = tmp_path / f"store.{suffix}"
    build(pattern, store, holes="missing", errors="collect")
    expected = values.copy()
    expected[3:, 4:] = np.nan
    assert_store_reads(store, expected)
    hidden.rename(files[3])
    build(pattern, store, holes="missing", mode="append")
    assert_store_reads(store, values)


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_kerchunk_references_cannot_say_it(suffix: str, tmp_path: Path) -> None:
    store = tmp_path / f"store.{suffix}"
    with pytest.raises(UnsupportedError, match=r"'rain'.*28-31 x 4 elements.*\.icechunk.*mismatch='rewrite'"):
        build(write_months(tmp_path / "data"), store)
    assert not store.exists()


@pytest.mark.skipif(HAS_ICECHUNK, reason="this Icechunk knows chunk grids")
def test_an_icechunk_that_is_too_old_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGridError, match=r"Icechunk 1\..*Way out: Icechunk 2 or later"):
        build(write_months(tmp_path / "data"), tmp_path / "store.icechunk")


@pytest.mark.skipif(HAS_ZARR, reason="this zarr knows chunk grids")
def test_a_zarr_that_is_too_old_is_named(tmp_path: Path) -> None:
    build(write_months(tmp_path / "data"), tmp_path / "store.zarr")
    with (
        xr.open_dataset(tmp_path / "store.zarr", engine="vz_beam", chunks=None) as dataset,
        pytest.raises(UnsupportedGridError, match=r"Way out: zarr 3\.2 or later"),
    ):
        dataset["rain"].load()


def test_without_the_choice_the_error_names_it(tmp_path: Path) -> None:
    files = write_months(tmp_path / "data")
    with pytest.raises(MismatchError, match=r"(?s)'rain' chunk shape.*chunk_grid='rectilinear'"):
        build(files, tmp_path / "store.zarr", chunk_grid="regular")


def test_a_partial_chunk_in_the_middle_is_refused(tmp_path: Path) -> None:
    files = write_months(tmp_path / "data", MONTHS, (31, 10, 31, 30))
    with pytest.raises(MismatchError, match=r"28 elements in chunks of 10 in .*01\.nc, followed by .*02\.nc"):
        build(files, tmp_path / "store.zarr")
    last = write_months(tmp_path / "last", MONTHS, (31, 28, 31, 20))
    build(last, tmp_path / "last.zarr")
    assert_store_reads(tmp_path / "last.zarr", truth(last))


def test_other_axes_must_have_the_same_chunks(tmp_path: Path) -> None:
    files = write_months(tmp_path / "data")
    with h5py.File(files[1]) as file:
        values = file["rain"][()]
    write_file(Path(files[1]), values, (31, 0), (28, 3), compression="gzip")
    with pytest.raises(MismatchError, match=r"'rain' has chunks of 3 elements along 'y' in .*01\.nc, and of 4"):
        build(files, tmp_path / "store.zarr")


def test_chunks_that_fit_in_no_way_are_written_anew_in_a_regular_grid(tmp_path: Path) -> None:
    files = write_months(tmp_path / "data", MONTHS, (31, 10, 31, 30))
    store = tmp_path / "store.zarr"
    build(files, store, mismatch="rewrite")
    assert not array_of(store).metadata.uneven_chunks
    np.testing.assert_array_equal(
        vz_beam.open_virtual_dataset(str(store), loadable_variables=["rain"])["rain"].values, truth(files)
    )


def test_what_would_rearrange_uneven_chunks_is_refused(tmp_path: Path) -> None:
    build(write_months(tmp_path / "data"), tmp_path / "store.zarr")
    dataset = vz_beam.open_virtual_dataset(str(tmp_path / "store.zarr"), loadable_variables=[])
    rain = dataset["rain"]
    assert bool((rain[:].data == rain.data).all())
    assert rain[31:90].data.metadata.uneven_chunks[0].lengths.tolist() == [28, 31]
    assert rain[31:59, 4:].data.metadata.chunk_grid.uneven == {}
    for moved in (rain.T, rain.expand_dims("member")):
        assert moved.data.metadata.uneven_chunks.keys() == {1}
    for rearranged in (
        lambda: rain[:30],
        lambda: rain[5],
        lambda: xr.concat([rain, rain], "time"),
        lambda: rain.shift(time=1),
        lambda: rain.data.reshape(-1),
        lambda: vz_beam.open_virtual_mfdataset([str(tmp_path / "store.zarr")] * 2, combine="nested", concat_dim="time"),
    ):
        with pytest.raises(
            (UnsupportedGridError, MismatchError, vz_beam.errors.VzBeamError), match=r"rectilinear|uneven|28-31"
        ):
            rearranged()


def test_the_dry_run_tells_of_it(tmp_path: Path) -> None:
    files = write_months(tmp_path / "data")
    plan = str(vz_beam.plan_build(files, tmp_path / "store.zarr", concat_dim="time", chunk_grid="rectilinear"))
    assert "in chunks of 28-31 x 4" in plan
    assert SETTING in plan


@pytest.mark.skipif(not HAS_ZARR, reason="chunk grids need zarr 3.2")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_verify_compares_every_chunk_without_being_told_of_the_grid(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / f"store.{suffix}"
    build(write_months(tmp_path / "data"), store)
    assert not zarr.config.get(SETTING)
    assert main(["verify", str(store)]) == 0
    assert "8 of 8 compared ones are equal" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_converted_store_has_the_same_chunks(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, store, converted = write_months(tmp_path / "data"), tmp_path / "store.zarr", tmp_path / f"other.{suffix}"
    build(files, store)
    assert main(["convert", str(store), str(converted)]) == 0
    assert SETTING in capsys.readouterr().out
    assert_store_reads(converted, truth(files))
    assert main(["inspect", str(converted)]) == 0
    assert " 28-31x4 " in capsys.readouterr().out


def test_eras_begin_where_a_file_ends_inside_a_chunk(tmp_path: Path) -> None:
    files, store = write_months(tmp_path / "data", (*MONTHS, 31), (31, 10, 31, 30, 31)), tmp_path / "store.zarr"
    build(files, store, mismatch="split")
    eras = {
        name: vz_beam.open_virtual_dataset(str(store), group=name, loadable_variables=["rain"])["rain"].values
        for name in ("era_1", "era_2")
    }
    np.testing.assert_array_equal(eras["era_1"], truth(files[:2]))
    np.testing.assert_array_equal(eras["era_2"], truth(files[2:]))
