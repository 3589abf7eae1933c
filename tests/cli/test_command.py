from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vz_beam.cli import command, inspect_command


def test_help_loads_neither_beam_nor_xarray() -> None:
    code = (
        "import sys\nfrom vz_beam.cli import main\ncode = main(['build', '--help'])\n"
        "heavy = {'apache_beam', 'xarray', 'numpy', 'h5py', 'zarr', 'fsspec'} & sys.modules.keys()\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--concat-dim" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "COMMAND"),
        (("bild",), "bild"),
        (("build", "a.nc", "b.json", "--workers", "0"), "whole number from 1"),
        (("build", "a.nc", "b.json", "--storage-option", "secret-without-a-key"), "KEY=VALUE"),
        (("build", "a.nc", "b.json", "--storage-option", "a=1", "--storage-option", "a=2"), "a is given twice"),
        (("build", "a.nc", "b.json", "--work", "2"), "--work"),
        (("inspect",), "FILE"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(vz_beam: object, arguments: tuple[str, ...], said: str) -> None:
    ended = vz_beam(*arguments)  # type: ignore[operator]
    assert ended.code == 2
    assert said in ended.err
    assert "secret" not in ended.err


def test_an_error_that_is_not_ours_gives_its_type_and_last_line(
    vz_beam: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: object) -> int:
        raise RuntimeError("Traceback (most recent call last):\n  somewhere\nOSError: disk full\n")

    monkeypatch.setattr(inspect_command, "run", fail)
    ended = vz_beam("inspect", "a.nc")  # type: ignore[operator]
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "vz-beam: error: RuntimeError: OSError: disk full (--traceback shows more)\n"
    assert "in fail" in vz_beam("inspect", "a.nc", "--traceback").err  # type: ignore[operator]


def test_an_interrupted_run_ends_with_130_and_says_that_nothing_is_visible(
    vz_beam: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_command, "run", interrupt)
    ended = vz_beam("inspect", "a.nc")  # type: ignore[operator]
    assert ended.code == command.INTERRUPTED
    assert "nothing of this run is" in ended.err


def test_logs_and_warnings_of_others_are_kept_away_and_ours_are_one_line() -> None:
    code = (
        "import logging, os, subprocess, sys, warnings\n"
        "from vz_beam.cli.quiet import quiet\n"
        "with quiet(verbose=len(sys.argv) > 1):\n"
        "    logging.getLogger('apache_beam').error('a log')\n"
        "    warnings.warn_explicit('of others', UserWarning, 'x.py', 1, module='apache_beam.x')\n"
        "    warnings.warn_explicit('of ours', UserWarning, 'x.py', 1, module='vz_beam.x')\n"
        "    subprocess.run([sys.executable, '-c', 'import sys; print(\"a worker\", file=sys.stderr)'])\n"
        "    print('an error', file=sys.stderr)\n"
        "logging.getLogger('apache_beam').error('afterwards')\n"
    )
    command_line = [sys.executable, "-W", "default", "-c", code]
    quiet = subprocess.run(command_line, capture_output=True, text=True, check=True).stderr
    assert quiet.splitlines() == ["vz-beam: warning: of ours", "an error", "afterwards"]
    verbose = subprocess.run([*command_line, "-v"], capture_output=True, text=True, check=True).stderr
    assert all(text in verbose for text in ("a log", "of others", "of ours", "a worker", "an error", "afterwards"))


def test_a_reader_that_closes_its_pipe_is_no_error(archive: Path) -> None:
    code = "import sys; from vz_beam.cli import main; sys.exit(main(sys.argv[1:]))"
    reading, writing = os.pipe()
    os.close(reading)
    command_line = [sys.executable, "-c", code, "inspect", str(archive / "weather_2023-01.nc")]
    done = subprocess.run(command_line, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
