"""The ``vz-beam`` command: builds stores, inspects files and stores, and shows itself in a demo."""

from vz_beam.cli.command import main

__all__ = ["main"]
