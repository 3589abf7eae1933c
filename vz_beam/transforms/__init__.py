"""The flow as Apache Beam transforms: wiring only, every step is a function of the folders before.

Names are loaded when they are first used, so that what starts worker processes can do so before Beam is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "CombineManifests": "combining",
    "Combined": "combining",
    "OpenWithVirtualizarr": "opening",
    "Opened": "opening",
    "VerifyReferences": "verifying",
    "WriteReferences": "writing",
    "build": "building",
    "local_runner": "runners",
    "plan_build": "building",
    "watch": "building",
}
"""The module of each public name."""

__all__ = [
    "CombineManifests",
    "Combined",
    "OpenWithVirtualizarr",
    "Opened",
    "VerifyReferences",
    "WriteReferences",
    "build",
    "local_runner",
    "plan_build",
    "watch",
]

if TYPE_CHECKING:  # for type checkers and editors, which do not call __getattr__
    from vz_beam.transforms.building import build, plan_build, watch
    from vz_beam.transforms.combining import Combined, CombineManifests
    from vz_beam.transforms.opening import Opened, OpenWithVirtualizarr
    from vz_beam.transforms.runners import local_runner
    from vz_beam.transforms.verifying import VerifyReferences
    from vz_beam.transforms.writing import WriteReferences


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
