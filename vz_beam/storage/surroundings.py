"""Which other files a file may have opened: those of its folder where it is local, else those of its host."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vz_beam.errors import ExternalFileError
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import is_chained, local_path_of, root_and_key, without_end_slash


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around a file that was asked for, and may be read because it names it.

    A file that comes from anywhere can name any path or address. Who opens it has not asked for those, and they may
    be secrets of this machine, or servers that only this machine reaches.

    Args:
        url: canonical, of the file or of the folder that is a store.
    """

    url: str

    def has(self, url: str) -> bool:
        """Whether a canonical URL is of the same folder or below it, or of the same host or bucket.

        >>> local, remote = Surroundings("file:///data/a.h5"), Surroundings("s3://bucket/a/b.h5")
        >>> local.has("file:///data/raw/c.h5"), local.has("file:///data/../c.h5"), local.has("s3://bucket/c.h5")
        (True, False, False)
        >>> remote.has("s3://bucket/c.h5"), remote.has("s3://other/c.h5"), remote.has("file:///data/c.h5")
        (True, False, False)
        """
        here, there = _last_layer(self.url), _last_layer(url)
        path, other = local_path_of(here), local_path_of(there)
        if other is None:
            return path is None and _host(here) == _host(there)
        if path is None or os.path.normpath(other) != other:
            return False
        # A link to the file may stand in another folder than the file and what belongs to it.
        return any(_is_below(other, os.path.dirname(known)) for known in (path, os.path.realpath(path)))

    def check(self, url: str) -> None:
        """Refuses a canonical URL that is not here.

        Raises:
            ExternalFileError: it leads out of the folder, or to another host.
        """
        if not self.has(url):
            raise ExternalFileError(
                f"{shown(self.url)} refers to {shown(url)}, which is neither below its folder nor on its host, and is "
                "not opened unasked. Way out: allow_external=True, for files that you trust"
            )


def surroundings_of(url: str, registry: object, allow_external: bool) -> Surroundings | None:
    """Where files may be read that the input at a canonical URL names, ``None`` for everywhere.

    A registry says itself which stores may be read.
    """
    return None if allow_external or registry is not None else Surroundings(url)


def _last_layer(url: str) -> str:
    """Of a chain, where the bytes come from in the end."""
    return without_end_slash(url.split("::")[-1] if is_chained(url) else url)


def _host(url: str) -> str:
    root = root_and_key(url)[0].lower()
    return root.replace("http://", "https://", 1)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
