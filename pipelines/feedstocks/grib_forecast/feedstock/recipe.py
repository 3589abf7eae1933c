"""Forecasts in GRIB: a file a run and step, decoded by ecCodes where the store is read."""

import os

import apache_beam as beam

from vz_beam import CombineManifests, ConcatDim, FilePattern, MergeDim, OpenWithVirtualizarr, WriteReferences

ROOT = os.environ.get("FORECAST_ROOT", "s3://forecasts-example/archive")
PARAMETERS = ["r", "t", "z"]
STEPS = [0, 6, 12, 24]


def url_of(parameter: str, step: int) -> str:
    """The file of a parameter and a step, hours."""
    return f"{ROOT}/{parameter}_{step}.grib1"


pattern = FilePattern(url_of, MergeDim("parameter", PARAMETERS), ConcatDim("step", STEPS))

recipe = (
    beam.Create(pattern.items()) | OpenWithVirtualizarr() | CombineManifests() | WriteReferences("forecast.parquet")
)

if __name__ == "__main__":
    from pipelines.feedstocks.run import run

    run(recipe)
