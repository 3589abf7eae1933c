"""What pangeo-forge-runner gives to transforms in recipes: the entry point ``pangeo_forge_runner.injection_specs``.

Source: https://pangeo-forge-runner.readthedocs.io, "Injections".
"""

from __future__ import annotations


def injection_specs() -> dict[str, dict[str, str]]:
    """For each transform that it knows by name, the arguments that it gives, and of which of its configurations.

    Nothing is given to ``OpenWithVirtualizarr``: references must point at the archive, not at a cache of it.
    """
    return {"WriteReferences": {"target_root": "TARGET_STORAGE"}}
