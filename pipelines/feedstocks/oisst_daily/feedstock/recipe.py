"""NOAA OISST v2.1: a netCDF-4 file a day, joined along time."""

import datetime
import os

import apache_beam as beam

from vz_beam import CombineManifests, ConcatDim, FilePattern, OpenWithVirtualizarr, WriteReferences

ROOT = os.environ.get(
    "OISST_ROOT",
    "https://www.ncei.noaa.gov/data/sea-surface-temperature-optimum-interpolation/v2.1/access/avhrr",
)
FIRST = datetime.date(1981, 9, 1)
DAYS = [FIRST + datetime.timedelta(days=number) for number in range(int(os.environ.get("OISST_DAYS", "365")))]


def url_of(time: datetime.date) -> str:
    """The file of a day."""
    return f"{ROOT}/{time:%Y%m}/oisst-avhrr-v02r01.{time:%Y%m%d}.nc"


def without_history(item):  # type: ignore[no-untyped-def]
    """Files say when they were made, which is no fact about the whole."""
    index, dataset = item
    return index, dataset.drop_attrs(deep=False)


pattern = FilePattern(url_of, ConcatDim("time", DAYS))

recipe = (
    beam.Create(pattern.items())
    | OpenWithVirtualizarr(max_concurrency=20)
    | "Without history" >> beam.Map(without_history)
    | CombineManifests()
    | WriteReferences("oisst.parquet")
)

if __name__ == "__main__":
    from pipelines.feedstocks.run import run

    run(recipe)
