from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_2000_damaged_files_raise_none_but_our_errors() -> None:
    # in a process of its own: it forks, which one with threads had better not do
    command = [sys.executable, "-m", "integration.mutations", "--cases", "2000", "--seed", "7"]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2000 cases of seed 7" in run.stdout
