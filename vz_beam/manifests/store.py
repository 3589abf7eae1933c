"""``ManifestStore`` under the module name that VirtualiZarr's users import it by.

It is named here, not imported: ``storage``, where it lies, stands to the right of here in the order of imports.
"""

from __future__ import annotations

import pkgutil
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "ManifestStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return pkgutil.resolve_name("vz_beam.storage.manifest_store:ManifestStore")
