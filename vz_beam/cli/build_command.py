"""``vz-beam build`` and ``append``: one store from many files, without a word of Beam."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from vz_beam.cli.command import ALL_WELL, FAILED, SOME_FILES_FAILED
from vz_beam.cli.option_words import in_option_words
from vz_beam.errors import InputError
from vz_beam.parsers.parser import Parser, known_parsers
from vz_beam.patterns.file_names import pattern_from_names
from vz_beam.storage.glob_match import has_magic
from vz_beam.storage.glob_pattern import pattern_from_glob
from vz_beam.storage.listing import list_files
from vz_beam.transforms.building import build, plan_build
from vz_beam.writers.left_out import FAILURES, SKIPPED

CHOICES = (
    *(
        "loadable_variables",
        "drop_variables",
        "group",
        "tree",
        "errors",
        "max_failures",
        "unsupported",
        "attempts",
        "max_concurrency",
        "requests_per_second",
        "timeout_seconds",
        "max_metadata_bytes",
        "allow_external",
    ),
    *(
        "chunks_per_shard",
        "order_by",
        "holes",
        "variables",
        "fill_values",
        *("mismatch", "chunk_grid", "attributes", "tolerance", "overlaps", "gaps"),
        *("mode", "append_dim"),
        "format",
        "source_storage_options",
        "target_storage_options",
    ),
)
"""Options that go to ``build`` under their own names, where they are given."""
LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")


def run(arguments: argparse.Namespace) -> int:
    """Builds the store and prints its summary."""
    *files, store = arguments.paths
    if not files:
        needs = f"{arguments.command} needs files and then a store"
        raise InputError(f"only {store!r} is given, and {needs}: 'data/*.nc' store.parquet")
    choices = {name: value for name in CHOICES if (value := getattr(arguments, name)) is not None}
    if arguments.parser is not None:
        choices["parser"] = named_parser(arguments.parser)
    if arguments.sample is not None and not arguments.dry_run:
        raise InputError("--sample is for --dry-run: a store is built from all files")
    options = PipelineOptions(arguments.beam_options)
    pattern = pattern_of(files, arguments.concat_dim, arguments.name_pattern, arguments.source_storage_options)
    choices |= {"workers": arguments.workers, "runner": runner_of(options), "options": options}
    choices |= {"progress": not arguments.no_progress, "changed": arguments.changed}
    if arguments.inputs_per_round is not None and not arguments.dry_run:
        choices["inputs_per_round"] = arguments.inputs_per_round
    if arguments.dry_run:
        plan = plan_build(pattern, store, sample=arguments.sample, **choices)
        print(in_option_words(str(plan), vars(arguments)))
        return FAILED if plan.layout is None else SOME_FILES_FAILED if plan.failures else ALL_WELL
    summary = build(pattern, store, **choices)
    print(in_option_words(str(summary), vars(arguments)))
    print(f"  open with   {how_to_open(store)}")
    folder = os.path.dirname(store)
    if summary.skipped:
        print(f"  left out    {len(summary.skipped):,} skipped, those of each file in {os.path.join(folder, SKIPPED)}")
    if not summary.failures:
        return ALL_WELL
    print(f"  failures    {len(summary.failures):,}, all of them in {os.path.join(folder, FAILURES)}")
    return SOME_FILES_FAILED


def pattern_of(
    files: Sequence[str],
    concat_dim: str | None,
    name_pattern: str | None,
    storage_options: dict[str, Any] | None,
) -> Any:
    """The pattern of one glob or folder, or of files and globs in natural order of their names.

    Raises:
        PatternError: nothing there, names that do not fit, several files and no dimension.
    """
    fields = concat_dim.split(",") if concat_dim and name_pattern else concat_dim
    if len(files) == 1:
        return pattern_from_glob(files[0], fields, name_pattern=name_pattern, storage_options=storage_options)
    listed: list[str] = []
    for file in files:
        is_glob = has_magic(file) and not Path(file).exists()
        listed += list_files(file, storage_options) if is_glob else [file]
    return pattern_from_names(listed, fields, name_pattern)


def named_parser(name: str) -> Parser:
    """The parser of that name.

    Raises:
        InputError: there is none; lists those that there are.
    """
    plugins = known_parsers()
    for key, parser in plugins.found.items():
        if name in (key, parser.name, type(parser).__name__):
            return parser  # type: ignore[no-any-return]  # plugins are Any until they are asked
    reason = f" ({name} cannot be used here: {plugins.failed[name]})" if name in plugins.failed else ""
    raise InputError(f"--parser {name!r} is not known{reason}; the parsers are {', '.join(plugins.found)}")


def runner_of(options: PipelineOptions) -> str | None:
    """The runner that Beam's options name; ``None`` for this machine's.

    Raises:
        InputError: options that Beam does not know; only other runners may know more.
    """
    runner = options.view_as(StandardOptions).runner
    if runner is not None and runner.rpartition(".")[2] not in LOCAL_RUNNERS:
        return str(runner)
    known = options.get_all_options()
    unknown = options.get_all_options(retain_unknown_options=True).keys() - known.keys()
    if unknown:
        raise InputError(f"Beam does not know the options {sorted(unknown)} that follow --; correct or remove them")
    return None


def how_to_open(store: str) -> str:
    """The line of Python that opens the store.

    >>> how_to_open("out/store.parquet"), how_to_open("out/store.zarr")
    ('xr.open_dataset("out/store.parquet", engine="kerchunk")', 'xr.open_dataset("out/store.zarr", engine="vz_beam")')
    """
    engine = "vz_beam" if store.rstrip("/").lower().endswith((".zarr", ".icechunk")) else "kerchunk"
    return f'xr.open_dataset("{store}", engine="{engine}")'
