"""The folder of real files, and the files of a series in it."""

from __future__ import annotations

import csv
import os
from pathlib import Path

ROOT = Path(os.environ.get("VZ_BEAM_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def series(name: str) -> list[str]:
    """Paths of the files of a series, in natural order; empty where the data are not there."""
    manifest = ROOT / "MANIFEST.tsv"
    if not manifest.exists():
        return []
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return sorted(str(ROOT / row["path"]) for row in rows if row["series"] == name)
