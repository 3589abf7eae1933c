"""``vz-beam watch``: a store that grows as files come."""

from __future__ import annotations

import argparse
import sys

from apache_beam.options.pipeline_options import PipelineOptions

from vz_beam.cli.build_command import CHOICES, named_parser, runner_of
from vz_beam.cli.command import ALL_WELL, SOME_FILES_FAILED
from vz_beam.transforms.building import watch
from vz_beam.transforms.watching import Round

_SHOWN = 5


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each round."""
    choices = {name: value for name in CHOICES if (value := getattr(arguments, name, None)) is not None}
    for word in ("mode", "append_dim", "attempts"):
        choices.pop(word, None)
    if arguments.parser is not None:
        choices["parser"] = named_parser(arguments.parser)
    options = PipelineOptions(arguments.beam_options)
    failed = False
    for each in watch(
        arguments.source,
        arguments.store,
        concat_dim=arguments.concat_dim,
        every=arguments.every,
        rounds=arguments.rounds,
        idle_seconds=arguments.idle_seconds,
        inputs_per_round=arguments.inputs_per_round,
        attempts=arguments.attempts,
        workers=arguments.workers,
        runner=runner_of(options),
        options=options,
        **choices,
    ):
        print(line_of(each), flush=True)
        for text in each.failures[:_SHOWN]:
            print(f"  failed  {text}", file=sys.stderr, flush=True)
        failed |= bool(each.failures)
    return SOME_FILES_FAILED if failed else ALL_WELL


def line_of(each: Round) -> str:
    """One line about a round."""
    added = 0 if each.summary is None else each.summary.files
    references = "" if each.summary is None else f", {each.summary.added:,} references added"
    failures = f", {len(each.failures):,} failed" if each.failures else ""
    return (
        f"round {each.number}: {added:,} files added in {each.seconds:.1f} s, {each.inputs:,} in the store"
        f"{references}{failures}"
    )
