"""Places of chunks as Icechunk takes them: percent-encoded URLs, containers that hold them, and marks of their version.

Source: https://icechunk.io/en/stable/virtual/. Measured with icechunk 1.1.21 and 2.3.0: the key is the decoded path of
the URL, so that ``file:///a%20b.nc`` reads the file ``a b.nc``; 2.3.0 asks HTTP servers for the path without its
query; a container is found by the encoded URL on writing and by the decoded one on reading, so that none works whose
prefix has encoded characters; the mark is a time in whole seconds, and an object that was changed a nanosecond after it
is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from vz_beam.errors import InputError, InputTypeError, UnsupportedError
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import is_chained, local_path_of, scheme_of

Checksum = datetime | str | None
"""The last change of a file, or its etag, which a reader compares; ``None`` is not compared."""

UNCHECKED = "unchecked"
SCHEMES = frozenset({"file", "s3", "gs", "gcs", "az", "azure", "abfs", "abfss", "tigris", "r2", "http", "https", "vcc"})
"""Schemes that containers may have, and ``vcc``, which names one."""

_SAFE = "/:@!$&'()*+,;=-._~[]|"
_DOTS = re.compile(r"(^|/)\.\.?(/|$)")


def icechunk_url(url: str) -> str:
    """The URL of a file as Icechunk takes it, from the one that manifests hold.

    >>> icechunk_url("file:///data/a#b 1%.nc"), icechunk_url("https://host/a%20b.nc")
    ('file:///data/a%23b%201%25.nc', 'https://host/a%20b.nc')

    Raises:
        UnsupportedError: URLs that Icechunk cannot read, or would take for another file.
    """
    scheme = scheme_of(url)
    if is_chained(url) or scheme not in SCHEMES:
        raise UnsupportedError(
            f"{shown(url)}: Icechunk reads chunks of {', '.join(sorted(SCHEMES - {'vcc'}))} only. "
            "Way out: write Kerchunk references, or give the files other URLs (ds.vz.rename_paths)"
        )
    if scheme in ("http", "https"):
        if "?" in url:
            raise UnsupportedError(
                f"{shown(url)}: Icechunk leaves out the query of a URL, and would read another file. "
                "Way out: write Kerchunk references, or give the file another URL (ds.vz.rename_paths)"
            )
        return url
    prefix, _, rest = url.partition("://")
    if _DOTS.search(rest):
        raise UnsupportedError(
            f"{url}: Icechunk resolves the dots in this URL, and would read another file. Way out: ds.vz.rename_paths"
        )
    return f"{prefix}://{quote(rest, safe=_SAFE)}"


def check_containers(urls: Iterable[str], containers: Mapping[str, Any] | None) -> None:
    """Refuse locations that no virtual chunk container of the repository holds.

    Args:
        urls: distinct, as Icechunk takes them.
        containers: of the repository's configuration, by URL prefix.

    Raises:
        InputError: the locations, by folder, and how to make a container for them.
    """
    prefixes = tuple(containers or ())
    names = tuple(f"vcc://{container.name}/" for container in (containers or {}).values() if container.name)
    lost = [url for url in urls if not any(url.startswith(p) and unquote(url).startswith(p) for p in prefixes + names)]
    if not lost:
        return
    folders = sorted({_plain_folder(url) for url in lost})
    listed = "".join(f"\n  * {folder}" for folder in folders[:10])
    more = f"\n  and {len(folders) - 10:,} more" if len(folders) > 10 else ""
    known = ", ".join(prefixes) or "none at all"
    raise InputError(
        f"no virtual chunk container of the repository holds {len(lost):,} of the referenced files, so that nobody "
        f"could read them; the containers are {known}. The folders are{listed}{more}\n"
        f"Way out: config.set_virtual_chunk_container(icechunk.VirtualChunkContainer({folders[0]!r}, ...)) on the "
        "repository's configuration, save it, and open a new session; or validate_containers=False where that is done "
        "later"
    )


def checksums_of(urls: Iterable[str], last_updated_at: Any = None) -> dict[str, Checksum]:
    """The mark by which a reader knows that a file has changed since, for each distinct URL of manifests.

    Args:
        urls: as manifests hold them.
        last_updated_at: a time for all; ``"unchecked"`` for no mark; a mapping of URLs to times, etags or ``None``.
            ``None`` takes the last change of local files; of all others, which would have to be asked for, a time one
            second from now. So it does for URLs that a mapping lacks.

    Raises:
        InputError: a time without a time zone, or another text.
    """
    if isinstance(last_updated_at, Mapping):
        given = {url: _checked(last_updated_at[url]) for url in urls if url in last_updated_at}
        return checksums_of([url for url in urls if url not in given]) | given
    if last_updated_at == UNCHECKED:
        return dict.fromkeys(urls)
    if isinstance(last_updated_at, str):
        raise InputError(
            f"last_updated_at={last_updated_at!r} is neither a time, a mapping of URLs, nor {UNCHECKED!r}, which asks "
            "for no check"
        )
    if last_updated_at is not None:
        return dict.fromkeys(urls, _checked(last_updated_at))
    soon = datetime.now(UTC) + timedelta(seconds=1)
    return {url: _local_change(url) or soon for url in urls}


def _plain_folder(url: str) -> str:
    """The folder of a file, or the one above it whose name has no encoded characters: the prefix of a container."""
    plain = url.partition("%")[0]
    return plain[: plain.rindex("/") + 1]


def _checked(mark: Any) -> Checksum:
    if mark is None or isinstance(mark, str):
        return mark
    if not isinstance(mark, datetime):
        raise InputTypeError(f"last_updated_at is a datetime, not a {type(mark).__name__}: {mark!r}")
    if mark.tzinfo is None:
        raise InputError(f"last_updated_at={mark} has no time zone: give one, such as tzinfo=datetime.UTC")
    return _next_second(mark.timestamp())


def _local_change(url: str) -> datetime | None:
    path = local_path_of(url)
    if path is None:
        return None
    try:
        nanoseconds = os.stat(path).st_mtime_ns
    except OSError:
        return None  # references to files that are not there yet, or on another machine
    return datetime.fromtimestamp(-(-nanoseconds // 10**9), UTC)


def _next_second(seconds: float) -> datetime:
    return datetime.fromtimestamp(-(-seconds // 1), UTC)
