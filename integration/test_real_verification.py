"""Stores of real series of all formats are what their files are, by the libraries of the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vz_beam
from integration.real_data import ROOT, series
from vz_beam.errors import VzBeamError

SERIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("cmip6_mpi_siconc", "time", {}),
    ("cmip5_hadgem_rh", "time", {}),
    ("padocc_1dagg_cdf5", "time", {}),
    ("harmony_rgb_daily", "time", {}),
    ("sunpy_eit", "time", {}),
    ("landsat_ard_lc08", "time", {}),
    ("seaflux_qc_3hourly", "time", {}),
)
SINGLE = ("grib1", "grib2", "hdf4", "netcdf3", "fits")
_MOST_FILES = 12


@pytest.mark.parametrize(("name", "dim", "choices"), SERIES, ids=[name for name, *_ in SERIES])
@pytest.mark.filterwarnings("ignore")
def test_a_series_is_what_its_files_are(name: str, dim: str, choices: dict[str, Any], tmp_path: Path) -> None:
    files = series(name)
    if not files:
        pytest.skip("the real data are not there")
    vz_beam.build(files, tmp_path / "store.parquet", concat_dim=dim, progress=False, **choices)
    found = vz_beam.verify_store(str(tmp_path / "store.parquet"), sample=60)
    assert found.differences == ()
    assert found.unread == ()
    assert found.equal >= min(60, len(files))
    assert (found.inputs, found.is_well) == (len(files), True)


def single_files() -> list[Path]:
    """Some files of each format."""
    return [path for folder in SINGLE for path in sorted((ROOT / folder).glob("*"))[::5][:_MOST_FILES]]


@pytest.mark.parametrize("path", single_files(), ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_a_file_is_what_its_library_reads(path: Path, tmp_path: Path) -> None:
    try:
        tree = vz_beam.open_virtual_datatree(str(path), unsupported="skip", loadable_variables=[])
    except VzBeamError as error:
        pytest.skip(f"refused: {error}")
    tree.vz.to_kerchunk(str(tmp_path / "one.json"), format="json")
    found = vz_beam.verify_store(str(tmp_path / "one.json"), sample=40)
    assert found.differences == ()
