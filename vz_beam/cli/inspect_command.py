"""``vz-beam inspect``: what is in a file, or in a store of references."""

from __future__ import annotations

import argparse
import json

from vz_beam.cli.command import ALL_WELL
from vz_beam.cli.described_file import describe_file
from vz_beam.cli.described_store import describe_store, first_files, is_store
from vz_beam.cli.option_words import in_option_words


def run(arguments: argparse.Namespace) -> int:
    """Prints the description as text or JSON."""
    found_store = is_store(arguments.file, arguments.storage_options)
    if found_store:
        description = describe_store(arguments.file, arguments.group, arguments.storage_options)
    else:
        description = describe_file(
            arguments.file, arguments.group, arguments.storage_options, bool(arguments.allow_external)
        )
    if arguments.json:
        print(json.dumps(description.to_json(), indent=2))
        return ALL_WELL
    print(in_option_words(str(description), vars(arguments)))
    if found_store and description.files:
        print("\nfiles")
        print("\n".join(first_files(description.files)))
    return ALL_WELL
