"""``vz-beam convert``: a store of references in another format."""

from __future__ import annotations

import argparse

from vz_beam.cli.command import ALL_WELL
from vz_beam.datasets.converting import convert_store


def run(arguments: argparse.Namespace) -> int:
    """Prints the summary of the new store."""
    choices = {} if arguments.chunks_per_shard is None else {"chunks_per_shard": arguments.chunks_per_shard}
    summary = convert_store(
        arguments.source,
        arguments.store,
        mode=arguments.mode,
        storage_options=arguments.source_storage_options,
        target_storage_options=arguments.target_storage_options or None,
        allow_external=bool(arguments.allow_external),
        **choices,
    )
    print(summary)
    return ALL_WELL
