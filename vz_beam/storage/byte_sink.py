"""Where stores are written: whole objects below one root, each of them there entirely or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from vz_beam.errors import InputError
from vz_beam.storage.fsspec_sink import FsspecSink
from vz_beam.storage.local_sink import LocalSink
from vz_beam.storage.object_sink import ObjectSink
from vz_beam.storage.object_stores import object_store
from vz_beam.storage.sink_keys import Keys
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import OBJECT_SCHEMES, canonical_url, local_path_of, scheme_of, without_end_slash


class ByteSink(Protocol):
    """A root, and objects below it by key. Sinks do not pickle: they are opened on the worker."""

    @property
    def url(self) -> str:
        """The canonical URL of the root."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Writes a whole object; whoever reads it sees what was there before, or all of ``data``."""
        ...

    def read(self, key: str) -> bytes:
        """A whole object; SourceNotFoundError where there is none."""
        ...

    def exists(self, key: str = "") -> bool:
        """Whether there is an object ``key``, or anything below it; ``""`` is anything at all."""
        ...

    def list(self, prefix: str = "") -> Keys:
        """The keys below ``prefix``, or it itself, by whole segments; sorted, and relative to the root."""
        ...

    def delete(self, prefix: str = "") -> None:
        """Removes ``prefix`` and everything below it; nothing there is fine."""
        ...

    def sub(self, key: str) -> ByteSink:
        """The sink whose root is ``key``."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Makes the object ``target`` the same as ``source``, which stays; SourceNotFoundError where there is none."""
        ...

    def move(self, source: str, target: str) -> None:
        """Makes ``target`` what ``source`` was, in place of what was there; SourceNotFoundError where there is none.

        At once on local disks. Elsewhere objects are copied, those that make a store visible last.
        """
        ...

    def close(self) -> None:
        """Gives the sink back."""
        ...


def open_sink(url: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> ByteSink:
    """The sink whose root is ``url``; nothing is created before something is written.

    Raises:
        InputError: options of another library, a URL of ``http``, which cannot be written.
    """
    canonical = canonical_url(url)
    path = local_path_of(canonical)
    if path is not None:
        return LocalSink(path)
    scheme = scheme_of(canonical)
    if scheme in ("http", "https"):
        raise InputError(
            f"{shown(canonical)}: stores cannot be written over http. Way out: a path, or a URL of s3, gs..."
        )
    if scheme in OBJECT_SCHEMES:
        root = without_end_slash(canonical)
        store, key = object_store(root, storage_options)
        return ObjectSink(store, key, root)
    return FsspecSink.open(canonical, storage_options)
