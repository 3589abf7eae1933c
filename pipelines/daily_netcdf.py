"""Daily netCDF files, one store: the README's recipe as a Beam pipeline that takes the options of any runner.

python -m pipelines.daily_netcdf --input 'data/*.nc' --output store.parquet --concat_dim time
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from vz_beam import CombineManifests, OpenWithVirtualizarr, WriteReferences, local_runner, pattern_from_glob


class DailyOptions(PipelineOptions):
    """What this pipeline asks for, beside the options of its runner.

    None is marked as required: every pipeline of the process reads all classes of options.
    """

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--input", help="glob of the files, quoted")
        parser.add_argument("--output", help="path or URL of the store, ending in .parquet or .json")
        parser.add_argument("--concat_dim", default="time", help="dimension along which the files follow each other")
        parser.add_argument("--mode", default="create", choices=["create", "overwrite"])


def run(arguments: Sequence[str] | None = None) -> None:
    """Builds the store with the runner that the options name; by default in processes of this machine."""
    options = PipelineOptions(sys.argv[1:] if arguments is None else arguments)
    daily = options.view_as(DailyOptions)
    if not (daily.input and daily.output):
        raise SystemExit("--input and --output are needed: python -m pipelines.daily_netcdf --help says more")
    runner = options.view_as(StandardOptions).runner
    if runner in (None, "DirectRunner"):
        runner = local_runner(options, options.view_as(DirectOptions).direct_num_workers or 1)
    pattern = pattern_from_glob(daily.input, daily.concat_dim)
    with beam.Pipeline(runner, options) as pipeline:
        _ = (
            pipeline
            | beam.Create(pattern.items())
            | OpenWithVirtualizarr()
            | CombineManifests()
            | WriteReferences(daily.output, mode=daily.mode)
            | beam.Map(print)
        )


if __name__ == "__main__":
    run()
