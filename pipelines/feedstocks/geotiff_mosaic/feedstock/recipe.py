"""Tiles of a mosaic as GeoTIFF files, joined along y and x, and along time."""

import os

import apache_beam as beam

from vz_beam import CombineManifests, ConcatDim, FilePattern, OpenWithVirtualizarr, WriteReferences

ROOT = os.environ.get("MOSAIC_ROOT", "s3://mosaic-example/cover")
YEARS = [2019, 2020]
ROWS, COLUMNS = [0, 1], [0, 1, 2]


def url_of(time: int, y: int, x: int) -> str:
    """The tile of a year in a row and column, from the north west."""
    return f"{ROOT}/cover_{time}_{y}_{x}.tif"


pattern = FilePattern(url_of, ConcatDim("time", YEARS), ConcatDim("y", ROWS), ConcatDim("x", COLUMNS))

recipe = beam.Create(pattern.items()) | OpenWithVirtualizarr() | CombineManifests() | WriteReferences("mosaic.parquet")

if __name__ == "__main__":
    from pipelines.feedstocks.run import run

    run(recipe)
