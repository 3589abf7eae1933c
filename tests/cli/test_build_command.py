from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from tests.mixed_files import BAD, write_mixed_file, write_mixed_series
from vz_beam.cli.build_command import named_parser, pattern_of
from vz_beam.errors import InputError


def rain(archive: Path, *months: int) -> Any:
    parts = []
    for month in months or range(1, 13):
        with h5py.File(archive / f"weather_2023-{month:02}.nc") as file:
            parts.append(file["precipitation"][()])
    return np.concatenate(parts)


def opened_rain(store: Path) -> Any:
    with xr.open_dataset(str(store), engine="kerchunk", chunks=None) as dataset:
        return dataset["precipitation"].values


@pytest.mark.parametrize("store", ["store.parquet", "store.json"])
def test_a_glob_becomes_a_store_with_the_values_of_its_files(
    vz_beam: Any, archive: Path, tmp_path: Path, store: str
) -> None:
    ended = vz_beam("build", f"{archive}/*.nc", store, "--concat-dim", "time", "--no-progress")
    assert (ended.code, ended.err) == (0, "")
    assert f'xr.open_dataset("{store}", engine="kerchunk")' in ended.out
    assert "time: 365" in ended.out
    assert np.array_equal(opened_rain(tmp_path / store), rain(archive))


def test_an_error_of_a_worker_process_is_one_line_without_its_logs(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.nc").write_bytes((archive / "weather_2023-02.nc").read_bytes()[:5000])
    code = "import sys; from vz_beam.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["build", f"{archive}/*-01.nc", f"{tmp_path}/cut.nc", f"{tmp_path}/store.parquet"]
    arguments += ["--concat-dim", "time", "--workers", "2", "--no-progress"]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"vz-beam: error: file://{tmp_path}/cut.nc")
    assert len(ended.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cut.nc"]


def test_files_of_an_unquoted_glob_are_taken_in_natural_order(vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    for month in (2, 10):
        shutil.copy(archive / f"weather_2023-{month:02}.nc", tmp_path / f"m{month}.nc")
    ended = vz_beam("build", "m10.nc", "m2.nc", "store.parquet", "--concat-dim", "time")
    assert ended.code == 0
    assert np.array_equal(opened_rain(tmp_path / "store.parquet"), rain(archive, 2, 10))


def test_options_reach_the_transforms(vz_beam: Any, archive: Path) -> None:
    options = ["--drop-variables", "t2m,crs", "--loadable-variables", "lat, precipitation", "--chunks-per-shard", "7"]
    options += ["--order-by", "coordinate", "--attempts", "1", "--max-concurrency", "1", "--parser", "hdf5"]
    ended = vz_beam("build", f"{archive}/*-0[12].nc", "s.json", "--concat-dim", "time", *options)
    assert ended.code == 1
    assert "units" in ended.err  # time is not loaded, so each file keeps an epoch of its own
    options[3] += ",time"
    assert vz_beam("build", f"{archive}/*-0[12].nc", "s.json", "--concat-dim", "time", *options).code == 0
    found = json.loads(vz_beam("inspect", "s.json", "--json").out)
    kinds = {array["path"]: array["kind"] for array in found["arrays"]}
    assert kinds == {"lat": "stored", "lon": "virtual", "precipitation": "stored", "time": "stored"}


def test_names_give_the_places_of_several_dimensions(archive: Path) -> None:
    pattern = pattern_of([f"{archive}/*.nc"], "month", "weather_{year}-{month}.nc", None)
    assert pattern.combine_dim_keys == {"year": ["2023"], "month": [f"{month:02}" for month in range(1, 13)]}


def test_a_store_is_replaced_only_where_asked(vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    first = ("build", archive / "weather_2023-01.nc", "store.parquet")
    second = ("build", archive / "weather_2023-02.nc", "store.parquet")
    assert vz_beam(*first).code == 0
    refused = vz_beam(*second)
    assert refused.code == 1
    assert "is there already" in refused.err
    assert np.array_equal(opened_rain(tmp_path / "store.parquet"), rain(archive, 1))
    assert vz_beam(*second, "--mode", "overwrite").code == 0
    assert np.array_equal(opened_rain(tmp_path / "store.parquet"), rain(archive, 2))


@pytest.mark.parametrize("store", ["store.parquet", "store.json"])
def test_a_store_grows_by_the_files_that_it_lacks(vz_beam: Any, archive: Path, tmp_path: Path, store: str) -> None:
    files = [str(path) for path in sorted(archive.glob("*.nc"))]
    dim = ("--concat-dim", "time")
    absent = vz_beam("append", *files[:3], store, *dim)
    assert (absent.code, absent.out) == (1, "")
    assert "build it first (--mode create)" in absent.err
    assert vz_beam("build", *files[:3], store, *dim).code == 0
    planned = vz_beam("append", f"{archive}/*.nc", store, *dim, "--dry-run")
    assert planned.code == 0
    assert "9" in planned.out
    grown = vz_beam("append", f"{archive}/*.nc", store, *dim, "--no-progress")
    assert (grown.code, grown.err) == (0, "")
    assert "time: 365" in grown.out
    assert np.array_equal(opened_rain(tmp_path / store), rain(archive))
    again = vz_beam("append", f"{archive}/*.nc", store, *dim)
    assert again.code == 0
    assert "nothing is new" in again.out
    assert np.array_equal(opened_rain(tmp_path / store), rain(archive))


def test_holes_keep_the_place_of_what_is_absent(vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    for month in (1, 2, 3):
        shutil.copy(archive / f"weather_2023-{month:02}.nc", tmp_path / f"m{month}.nc")
    (tmp_path / "m2.nc").write_text("not a file of ours")
    common = ("build", "m*.nc", "store.parquet", "--concat-dim", "time", "--errors", "collect", "--no-progress")
    kept = vz_beam(*common, "--holes", "missing")
    assert kept.code == 3
    assert "1 of the pattern's inputs are absent and read as missing" in kept.out
    ours = opened_rain(tmp_path / "store.parquet")
    both = rain(archive, 1, 3)
    assert np.array_equal(ours[:31], both[:31], equal_nan=True)
    assert np.isnan(ours[31:62]).all()
    assert np.array_equal(ours[62:], both[31:], equal_nan=True)


def test_failing_files_are_collected_and_listed(vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    for month in (1, 2, 3):
        shutil.copy(archive / f"weather_2023-{month:02}.nc", tmp_path / f"m{month}.nc")
    (tmp_path / "m2.nc").write_bytes((archive / "weather_2023-02.nc").read_bytes()[:5000])
    (tmp_path / "m4.nc").write_text("not a file of ours")
    refused = vz_beam("build", "m*.nc", "store.parquet", "--concat-dim", "time", "--no-progress")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("vz-beam: error: ")
    assert "Traceback" not in refused.err
    assert not (tmp_path / "store.parquet").exists()
    ended = vz_beam("build", "m*.nc", "store.parquet", "--concat-dim", "time", "--errors", "collect")
    assert ended.code == 3
    lines = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [Path(line["url"]).name for line in lines] == ["m2.nc", "m4.nc"]
    assert all(name in ended.out for name in ("m2.nc", "m4.nc", "failures.jsonl"))
    assert np.array_equal(opened_rain(tmp_path / "store.parquet"), rain(archive, 1, 3))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("none/*.nc", "s.parquet", "--concat-dim", "time"), 2, "none/*.nc"),
        (("{0}/*.nc", "s.parquet"), 2, "concat_dim"),
        (
            ("{0}/*.nc", "s.parquet", "--concat-dim", "month", "--name-pattern", "rain_{{month}}.nc"),
            2,
            "weather_2023-01",
        ),
        (("{0}/*.nc",), 2, "only"),
        (("{0}/weather_2023-01.nc", "s.xyz"), 2, ".xyz"),
        (("{0}/weather_2023-01.nc", "s.parquet", "--parser", "grib9"), 2, "hdf5"),
        (("{0}/weather_2023-01.nc", "s.parquet", "--drop-variables", "", "--", "--runer=x"), 2, "runer"),
        (("{0}/weather_2023-01.nc", "s.parquet", "--", "--runner=DaskRunner"), 2, "wrong results"),
        (("{0}/weather_2023-01.nc", "gone.nc", "s.parquet", "--concat-dim", "time"), 1, "gone.nc"),
        (("{0}/weather_2023-01.nc", "s.parquet", "--loadable-variables", "tm2"), 2, "tm2"),
    ],
)
def test_what_cannot_work_is_one_clear_message(
    vz_beam: Any, archive: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = vz_beam("build", *(argument.format(archive) for argument in arguments), *_no_progress(arguments))
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("vz-beam: error: ")
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def _no_progress(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return () if "--" in arguments else ("--no-progress",)


def test_parsers_are_named_by_format_or_class() -> None:
    assert named_parser("hdf5") is named_parser("HDFParser")
    with pytest.raises(InputError, match="hdf5"):
        named_parser("nope")


def test_what_references_cannot_express_is_refused_in_the_words_of_the_command(vz_beam: Any, tmp_path: Path) -> None:
    write_mixed_series(tmp_path)
    build = ("build", "part_*.h5", "store.parquet", "--concat-dim", "time", "--no-progress")
    refused = vz_beam(*build)
    assert (refused.code, refused.out) == (1, "")
    for words in (*BAD, "REFERENCE", "(--drop-variables links,pairs,ragged)", "(--unsupported skip)"):
        assert words in refused.err
    assert "drop_variables" not in refused.err
    dropped = vz_beam(*build, "--drop-variables", "links,pairs,ragged")
    assert (dropped.code, dropped.err) == (0, "")
    assert "skipped" not in dropped.out
    for store, *command in (
        ("below.json", "--group", "below", "--drop-variables", "below/ragged"),
        ("refused.json", "--drop-variables", "links"),
    ):
        ended = vz_beam("build", "part_0.h5", store, "--no-progress", *command)
        assert ended.code == (0 if "--group" in command else 1)
        assert ("--drop-variables pairs,ragged" in ended.err) == (ended.code == 1)


def test_skipped_variables_are_shown_in_a_line_each_and_the_store_is_well(vz_beam: Any, tmp_path: Path) -> None:
    write_mixed_series(tmp_path)
    build = ("build", "part_*.h5", "store.parquet", "--concat-dim", "time", "--no-progress", "--unsupported", "skip")
    ended = vz_beam(*build)
    assert (ended.code, ended.err) == (0, "")
    shown = [line for line in ended.out.splitlines() if line.startswith(("  skipped ", "  left out "))]
    assert [line.split(":")[0] for line in shown[:3]] == [f"  skipped     '{name}'" for name in BAD]
    assert f"(in 3 inputs, the first is file://{tmp_path}/part_0.h5)" in shown[0]
    assert shown[3:] == ["  left out    3 skipped, those of each file in skipped.jsonl"]
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 3


def test_a_file_that_fails_for_its_variables_is_a_line_in_the_words_of_the_command(
    vz_beam: Any, tmp_path: Path
) -> None:
    write_mixed_series(tmp_path)
    write_mixed_file(tmp_path / "part_0.h5", 0, bad=())
    build = ("build", "part_*.h5", "store.json", "--concat-dim", "time", "--no-progress", "--errors", "collect")
    ended = vz_beam(*build)
    assert ended.code == 3
    failed = [line for line in ended.out.splitlines() if line.startswith("  failed ")]
    assert len(failed) == 2
    assert "* ragged: values of variable-length arrays" in failed[0]
    assert "(--unsupported skip)" in failed[0]


def test_a_dry_run_prints_the_plan_and_writes_nothing(vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    build = ["build", f"{archive}/*.nc", "store.parquet", "--concat-dim", "time", "--no-progress"]
    ended = vz_beam(*build, "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "plan of store.parquet (kerchunk-parquet)",
        "12 opened, 0 failed",
        "time: 365",
        "references",
        "shard",
    ):
        assert words in ended.out
    assert not (tmp_path / "store.parquet").exists()
    ended = vz_beam(*build, "--dry-run", "--sample", "4")
    assert ended.code == 0
    assert "4 of 12 (a sample" in ended.out
    ended = vz_beam(*build, "--sample", "4")
    assert ended.code == 2
    assert "--dry-run" in ended.err


def test_a_dry_run_prints_every_disagreement(vz_beam: Any, archive: Path, tmp_path: Path) -> None:
    for month in (1, 2):
        shutil.copy(archive / f"weather_2023-{month:02}.nc", tmp_path / f"m{month}.nc")
    with h5py.File(tmp_path / "m2.nc", "r+") as file:
        file["precipitation"].attrs["units"] = "furlong"
    ended = vz_beam("build", "m1.nc", "m2.nc", "s.json", "--concat-dim", "time", "--no-progress", "--dry-run")
    assert ended.code == 1
    assert "disagree    'precipitation' attribute units" in ended.out
    assert "furlong" in ended.out
