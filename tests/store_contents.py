"""All that is in a store, whichever format it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import icechunk_contents


def contents(store: Path) -> Mapping[str, Any]:
    """The bytes of its files by name; of an Icechunk repository, what its last snapshot holds."""
    if store.suffix == ".icechunk":
        return icechunk_contents.contents(store)
    found = sorted(store.rglob("*")) if store.is_dir() else [store]
    return {str(path.relative_to(store)): path.read_bytes() for path in found if path.is_file()}
