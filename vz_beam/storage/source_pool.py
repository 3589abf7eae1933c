"""Byte sources that are opened when they are first asked for, and kept open, not too many of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.registry import Stores
from vz_beam.storage.surroundings import Surroundings

MOST_SOURCES = 64
"""Sources that are open at once: values may lie in thousands of files, and systems allow 256 or more."""


class SourcePool:
    """Gives the byte source of a URL, within ``surroundings``; a context, at whose end all are closed."""

    def __init__(
        self,
        storage_options: Mapping[str, Any] | None = None,
        registry: Stores | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._storage_options = storage_options
        self._registry = registry
        self._surroundings = surroundings
        self._sources: dict[str, ByteSource] = {}

    def __call__(self, url: str) -> ByteSource:
        """The source of ``url``; the one that was opened first is closed where there are too many."""
        if url not in self._sources:
            if self._surroundings is not None:
                self._surroundings.check(url)
            if len(self._sources) >= MOST_SOURCES:
                self._sources.pop(next(iter(self._sources))).close()
            self._sources[url] = open_source(url, self._storage_options, self._registry)
        return self._sources[url]

    def close(self) -> None:
        """Closes all sources."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def __enter__(self) -> SourcePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
