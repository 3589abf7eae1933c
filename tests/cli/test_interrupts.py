from __future__ import annotations

import subprocess
import sys
import time

import pytest

CODE = """
import os, signal, sys, time
from vz_beam.cli import inspect_command, interrupts, main

def run(arguments):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        {afterwards}

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
interrupts.GRACE_SECONDS = 0.2
inspect_command.run = run
sys.exit(main(["inspect", "x.nc"]))
"""


@pytest.mark.parametrize(
    "afterwards",
    [
        "raise",
        "raise RuntimeError('KeyboardInterrupt [while running ...]')",
        "time.sleep(60)",
    ],
    ids=["raised", "wrapped", "stuck"],
)
def test_an_interrupt_ends_the_command_soon_with_130(afterwards: str) -> None:
    start = time.monotonic()
    code = CODE.format(afterwards=afterwards)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("vz-beam: interrupted")
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - start < 30
