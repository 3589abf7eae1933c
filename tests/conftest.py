"""What holds for every test: no network beyond this machine, this source tree in every process, steady examples."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# Worker processes that a test starts import the tree under test, and not a vz_beam that happens to be installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
# A library that looks for a cloud's credentials would ask the machine's metadata service, and wait for it.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["NO_GCE_CHECK"] = "true"

# Two busy cores make any deadline a matter of luck; in CI the same examples every time.
settings.register_profile(
    "vz_beam", deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("vz_beam")

_HERE = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture(scope="session", autouse=True)
def _only_this_machine() -> Iterator[None]:
    """Refuse connections of Python's sockets to any other machine."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_HERE):
            raise AssertionError(f"a test tried to reach {address[0]!r}: tests use no network")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect_here)
    yield
    patch.undo()
