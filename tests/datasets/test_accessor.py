from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import xarray as xr; import vz_beam",
        "import xarray as xr; import vz_beam.manifests",
        "import vz_beam; import xarray as xr; vz_beam.ManifestArray",
        "import vz_beam.datasets; import xarray as xr",
    ],
)
def test_the_accessor_is_there_before_anything_was_opened(code: str) -> None:
    code += "\nprint(xr.Dataset().vz.nrefs(), xr.DataTree().vz.nrefs())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0 0\n", "")
