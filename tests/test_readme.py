"""The README's own code and commands, run as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import h5py
import numpy as np
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream
from apache_beam.transforms.window import TimestampedValue

import vz_beam
from vz_beam import build
from vz_beam.cli.demo_archive import write_archive
from vz_beam.parsers.formats_table import formats_table
from vz_beam.patterns.index import Index, Position
from vz_beam.writers.writer import find_writer

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def code_with(text: str) -> str:
    """The one Python block that holds ``text``."""
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if text in block]
    return str(block)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_archive(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_same(store: str) -> None:
    parts = []
    for path in sorted(Path("data").glob("*.nc")):
        with h5py.File(path) as file:
            parts.append(file["precipitation"][()])
    with xr.open_dataset(store, engine="kerchunk", chunks=None) as dataset:
        assert np.array_equal(dataset["precipitation"].values, np.concatenate(parts))


def test_the_recipe_has_about_20_lines_and_runs_as_a_script(folder: Path) -> None:
    code = code_with("beam.Create")
    assert len(code.splitlines()) <= 22
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "crs" not in done.stdout
    assert_same("by_pipeline.parquet")


def test_the_call_builds_the_store(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code_with("import vz_beam\n\nsummary"), {})
    assert "time: 365" in capsys.readouterr().out
    assert_same("by_call.parquet")


def test_the_call_lets_a_store_grow(folder: Path) -> None:
    files = sorted(map(str, Path("data").glob("*.nc")))
    build(files[:5], "by_call.parquet", concat_dim="time", progress=False)
    exec(code_with('dim="time", mode="append"'), {"vz_beam": vz_beam})
    assert_same("by_call.parquet")


def test_the_stream_grows_a_store(folder: Path) -> None:
    source = "beam.io.ReadFromPubSub(subscription=...)\n    | beam.Map(index_and_url)"
    code = code_with("done.summaries, done.failures")
    assert source in code
    index = Index((Position("time", "concat", 0),))
    files = sorted(map(str, Path("data").glob("*.nc")))[:4]
    stream: Any = vars(test_stream)["TestStream"]()
    for number, file in enumerate(files):
        stream = stream.add_elements([TimestampedValue((index, file), 40 * number)])
    options = PipelineOptions(streaming=True)
    names = {name: getattr(vz_beam, name) for name in ("OpenWithVirtualizarr", "CombineManifests", "WriteReferences")}
    with beam.Pipeline(options=options) as pipeline:
        names |= {"beam": beam, "pipeline": pipeline, "stream": stream.advance_watermark_to_infinity()}
        exec(code.replace(source, "stream"), names)
    expected = []
    for path in files:
        with h5py.File(path) as file:
            expected.append(file["precipitation"][()])
    with xr.open_dataset("hourly.icechunk", engine="vz_beam") as dataset:
        assert np.array_equal(dataset["precipitation"].values, np.concatenate(expected))


def test_the_dataset_is_sliced_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code_with("open_virtual_mfdataset"), {})
    parts = []
    for path in sorted(Path("data").glob("*.nc")):
        with h5py.File(path) as file:
            parts.append(file["precipitation"][()])
    expected = np.concatenate(parts)[155:249]
    with xr.open_dataset("summer.parquet", engine="kerchunk", chunks=None) as dataset:
        assert np.array_equal(dataset["precipitation"].values, expected)
    assert str(np.float32(expected.mean()))[:5] in capsys.readouterr().out


def test_the_command_builds_the_store(folder: Path) -> None:
    (command,) = re.findall(r"^vz-beam (build .*)$", README, re.MULTILINE)
    code = "import sys; from vz_beam.cli import main; sys.exit(main(sys.argv[1:]))"
    words = shlex.split(command)
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # progress on plain lines, and nothing of Beam
    assert {line.split(",")[0] for line in done.stderr.splitlines()} == {"12 of 12 files"}
    assert_same("store.parquet")


def test_the_parser_reads_its_format(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    code = code_with("NpyParser")
    exec(code, names)
    values = np.arange(2 * 3 * 4, dtype=">f4").reshape(2, 3, 4)
    for day in (1, 2):
        np.save(tmp_path / f"day_{day}.npy", values * day)
    store = str(tmp_path / "npy.json")
    build(str(tmp_path / "*.npy"), store, concat_dim="time", parser=names["PARSER"], progress=False)
    with xr.open_dataset(store, engine="kerchunk", chunks=None) as dataset:
        assert np.array_equal(dataset["data"].values, np.concatenate([values, values * 2]))
        assert dataset["data"].dims == ("time", "y", "x")


def test_the_tables_name_what_is_there() -> None:
    formats = README.split("## What it reads and writes")[1].split("\n## ")[0]
    assert formats_table() in formats
    for suffix in re.findall(r"`(\.\w+)`", formats):
        assert suffix in find_writer(f"store{suffix}").suffixes


def test_links_lead_to_files() -> None:
    root = Path(__file__).resolve().parents[1]
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (root / link).exists()] == []
