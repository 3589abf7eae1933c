from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import h5py
import numpy as np
import pytest
import xarray as xr
from apache_beam.options.pipeline_options import PipelineOptions

from vz_beam import CombineManifests, OpenWithVirtualizarr, WriteReferences, local_runner, pattern_from_glob
from vz_beam.cli.demo_archive import write_archive


def test_one_pipeline_makes_two_stores(tmp_path: Path) -> None:
    files = write_archive(tmp_path)
    halves = {"winter": "*-0[123].nc", "summer": "*-0[789].nc"}
    options = PipelineOptions([])
    with beam.Pipeline(local_runner(options), options) as pipeline:
        for name, glob in halves.items():
            _ = (
                pipeline
                | f"Files of {name}" >> beam.Create(pattern_from_glob(str(tmp_path / glob), "time").items())
                | f"Open {name}" >> OpenWithVirtualizarr()
                | f"Combine {name}" >> CombineManifests()
                | f"Write {name}" >> WriteReferences(str(tmp_path / f"{name}.parquet"))
            )
    for name, months in {"winter": files[:3], "summer": files[6:9]}.items():
        with xr.open_dataset(str(tmp_path / f"{name}.parquet"), engine="kerchunk", chunks=None) as dataset:
            expected = []
            for path in months:
                with h5py.File(path) as file:
                    expected.append(file["precipitation"][()])
            assert np.array_equal(dataset["precipitation"].values, np.concatenate(expected))


def test_transforms_of_one_label_are_refused_by_beam() -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([]))
    pairs = pipeline | beam.Create(pattern_from_pairs())
    _ = pairs | OpenWithVirtualizarr()
    with pytest.raises(RuntimeError, match="OpenWithVirtualizarr"):
        _ = pairs | OpenWithVirtualizarr()


def pattern_from_pairs() -> list[tuple[dict[str, int], str]]:
    return [({"time": 0}, "a.nc")]
