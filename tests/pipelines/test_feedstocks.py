"""The feedstocks: their recipes run by themselves, and as pangeo-forge-runner rewrites and runs them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import fsspec
import numpy as np
import pytest
import xarray as xr
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from numpy.typing import NDArray
from pangeo_forge_runner.plugin import get_injections, get_injectionspecs_from_entrypoints
from pangeo_forge_runner.recipe_rewriter import RecipeRewriter

from tests.pipelines import feedstock_files
from vz_beam import local_runner

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul")  # of affine, which rasterio calls
FEEDSTOCKS = Path(__file__).parents[2] / "pipelines" / "feedstocks"


class Feedstock(NamedTuple):
    """One of them.

    Args:
        name: of its folder.
        variable: where its files are.
        write: makes files there, and gives the values of the array.
        store: that it writes.
        array: of the store.
        pruned: what of the values is left when the pattern is pruned to two keys a concatenated dimension.
    """

    name: str
    variable: str
    write: Callable[[Path], NDArray[Any]]
    store: str
    array: str
    pruned: tuple[Any, ...]


ALL = (
    Feedstock("oisst_daily", "OISST_ROOT", feedstock_files.oisst, "oisst.parquet", "sst", (slice(2),)),
    Feedstock("cmip_ensemble", "CMIP_ROOT", feedstock_files.cmip, "tas.parquet", "tas", (slice(2), slice(8))),
    Feedstock("grib_forecast", "FORECAST_ROOT", feedstock_files.forecast, "forecast.parquet", "t", (slice(2),)),
    Feedstock("geotiff_mosaic", "MOSAIC_ROOT", feedstock_files.mosaic, "mosaic.parquet", "image", (..., slice(32))),
)


class Target(NamedTuple):
    """What pangeo-forge-recipes calls an ``FSSpecTarget``."""

    fs: Any
    root_path: str


@pytest.fixture(params=ALL, ids=lambda one: one.name)
def feedstock(request: pytest.FixtureRequest) -> Feedstock:
    return request.param  # type: ignore[no-any-return]


def assert_holds(store: Path, array: str, expected: NDArray[Any]) -> None:
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        values = ours[array].values
        np.testing.assert_allclose(values.reshape(expected.shape), expected, rtol=1e-6, atol=1e-9)


def test_a_recipe_runs_as_a_module(feedstock: Feedstock, tmp_path: Path) -> None:
    expected = feedstock.write(tmp_path / "files")
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        feedstock.variable: str(tmp_path / "files"),
        "OISST_DAYS": "4",
        "PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", f"pipelines.feedstocks.{feedstock.name}.feedstock.recipe"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    assert feedstock.store in run.stdout
    assert_holds(tmp_path / feedstock.store, feedstock.array, expected)


@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize("kind", ["text", "target"])
def test_a_recipe_is_rewritten_and_run(
    feedstock: Feedstock, prune: bool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = feedstock.write(tmp_path / "files")
    monkeypatch.setenv(feedstock.variable, str(tmp_path / "files"))
    monkeypatch.setenv("OISST_DAYS", "4")
    root = str(tmp_path / "out")
    target = root if kind == "text" else Target(fsspec.filesystem("file"), root)
    specs = {name: words for name, words in get_injectionspecs_from_entrypoints().items() if name == "WriteReferences"}
    rewriter = RecipeRewriter(prune=prune, callable_args_injections=get_injections(specs, {"TARGET_STORAGE": target}))
    source = (FEEDSTOCKS / feedstock.name / "feedstock" / "recipe.py").read_text()
    module: dict[str, Any] = rewriter.get_exec_globals()
    exec(compile(ast.fix_missing_locations(rewriter.visit(ast.parse(source))), "recipe.py", "exec"), module)
    assert isinstance(module["recipe"], beam.PTransform)
    options = PipelineOptions()
    with beam.Pipeline(local_runner(options), options) as pipeline:
        _ = pipeline | module["recipe"]
    assert_holds(tmp_path / "out" / feedstock.store, feedstock.array, expected[feedstock.pruned] if prune else expected)


def test_the_runner_finds_what_to_inject() -> None:
    (found,) = (one for one in entry_points(group="pangeo_forge_runner.injection_specs") if one.name == "vz_beam")
    assert found.load()() == {"WriteReferences": {"target_root": "TARGET_STORAGE"}}


def test_the_description_names_the_recipe(feedstock: Feedstock) -> None:
    folder = FEEDSTOCKS / feedstock.name / "feedstock"
    meta = yaml.safe_load((folder / "meta.yaml").read_text())
    (recipe,) = meta["recipes"]
    assert set(recipe) == {"id", "object"}
    assert recipe["object"] == "recipe:recipe"
    needed = (folder / "requirements.txt").read_text()
    for name in ("vz-beam", "pangeo-forge-recipes", "fsspec", "apache-beam"):
        assert name in needed
