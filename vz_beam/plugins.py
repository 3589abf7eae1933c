"""Parsers and writers, found where they are: modules of a folder of ours, then entry points of other packages."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was found. ``failed`` holds the import errors of those that cannot be used here, by name."""

    found: Mapping[str, Any]
    failed: Mapping[str, str]


@cache
def find_plugins(folder_package: str, attribute: str, entry_point_group: str) -> Plugins:
    """Every plugin by name, those of the folder first; a name that is taken is not taken again.

    A plugin that does not import is noted with its error and leaves the others alone.

    Args:
        folder_package: a package whose modules and folders are looked at, such as ``"vz_beam.parsers"``.
        attribute: what a plugin's module defines, such as ``"PARSER"``.
        entry_point_group: entry points of other packages, which lead to the object itself.
    """
    found: dict[str, Any] = {}
    failed: dict[str, str] = {}
    package = importlib.import_module(folder_package)
    for module in pkgutil.iter_modules(package.__path__):
        try:
            loaded = importlib.import_module(f"{folder_package}.{module.name}")
        except ImportError as error:
            failed[module.name] = str(error)
            continue
        if hasattr(loaded, attribute):
            found[module.name] = getattr(loaded, attribute)
    for entry_point in sorted(entry_points(group=entry_point_group), key=lambda entry_point: entry_point.name):
        if entry_point.name not in found:
            _load(entry_point, found, failed)
    return Plugins(MappingProxyType(found), MappingProxyType(failed))


def _load(entry_point: EntryPoint, found: dict[str, Any], failed: dict[str, str]) -> None:
    try:
        found[entry_point.name] = entry_point.load()
    except Exception as error:  # whatever another package does at import, it is told when its format is asked for
        failed[entry_point.name] = f"{entry_point.value}: {type(error).__name__}: {error}"
