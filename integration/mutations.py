"""HDF5 parsing tried on damaged copies of real files and of made ones, by ``python -m integration.mutations``.

``--cases 100000 --seed 1`` takes some ten minutes; ``--help`` tells more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from integration.real_data import ROOT
from vz_beam.testing.hdf5_features import write_feature_files
from vz_beam.testing.mutations import main


def tried(arguments: Sequence[str] | None = None) -> int:
    """0 where all cases passed, else 1."""
    with TemporaryDirectory() as folder:
        write_feature_files(Path(folder))
        real = [ROOT / "hdf5", ROOT / "netcdf4"]
        return main(arguments, [Path(folder), *(found for found in real if found.exists())])


if __name__ == "__main__":
    sys.exit(tried())
