"""What VirtualiZarr's users call a parser in their annotations; ours have more members, see ``parsers.parser``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from vz_beam.storage.manifest_store import ManifestStore

ReaderFactory = Callable[[Any, str], Any]
"""Gives a file-like object of a store and a path in it."""


@runtime_checkable
class Parser(Protocol):
    """A function of a URL and a registry of object stores that gives a store of manifests."""

    def __call__(self, url: str, registry: Any) -> ManifestStore:
        """The store over the file at ``url``."""
        ...
