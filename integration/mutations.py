"""HDF5 parsing tried on damaged copies of the real files, by ``python -m integration.mutations``; see ``--help``."""

from __future__ import annotations

import sys

from integration.real_data import ROOT
from vz_beam.testing.mutations import main

if __name__ == "__main__":
    sys.exit(main(folders=[ROOT / "hdf5", ROOT / "netcdf4"]))
