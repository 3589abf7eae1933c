"""``vz-beam verify``: whether a store shows what its files hold."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from vz_beam.cli.command import ALL_WELL, FAILED
from vz_beam.datasets.verification import verify_store


def run(arguments: argparse.Namespace) -> int:
    """Prints what was found, as text or JSON."""
    found = verify_store(
        arguments.store,
        sample=arguments.sample,
        seed=arguments.seed,
        storage_options=arguments.storage_options,
        source_storage_options=arguments.source_storage_options or None,
    )
    print(json.dumps({**asdict(found), "is_well": found.is_well}, indent=2) if arguments.json else found)
    return ALL_WELL if found.is_well else FAILED
