"""Recipes without pangeo-forge-runner: ``python -m pipelines.feedstocks.NAME.feedstock.recipe [BEAM OPTIONS]``."""

from __future__ import annotations

import sys
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from vz_beam import local_runner


def run(recipe: Any) -> None:
    """Runs it on this machine, into the folder of the call, or as Beam's options say."""
    options = PipelineOptions(sys.argv[1:])
    names_runner = any(argument.startswith("--runner") for argument in sys.argv[1:])
    with beam.Pipeline(None if names_runner else local_runner(options), options) as pipeline:
        _ = pipeline | recipe | beam.Map(print)
