from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.parsers.hdf5.conftest import parsed
from vz_beam.testing.hdf5_features import write_feature_files

ROOT = Path(__file__).parents[3]


def test_the_files_are_well_before_they_are_damaged(tmp_path: Path) -> None:
    arrays = {path.name: list(parsed(path, unsupported="skip").arrays) for path in write_feature_files(tmp_path)}
    assert all(arrays.values())


def test_500_damaged_files_raise_none_but_our_errors(tmp_path: Path) -> None:
    write_feature_files(tmp_path)
    # in a process of its own: it forks, which one with threads had better not do
    command = [sys.executable, "-m", "vz_beam.testing.mutations", str(tmp_path), "--cases", "500", "--seed", "7"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "500 cases of seed 7" in run.stdout
    assert "opened" in run.stdout
