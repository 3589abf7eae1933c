"""The one way to write each file's URL, and its parts.

Measured on fsspec 2026.9 with names that hold ``#``, ``?``, ``%20`` and spaces: fsspec, and so every reader of
Kerchunk references, takes the path of ``file://`` and the key of ``s3://`` literally. A percent-encoded
``file:///a%20b.nc`` reads a file of that very name, or another one's bytes. So these are never encoded, and URLs of
``http`` always are.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from vz_beam.errors import InputError
from vz_beam.storage.url_secrets import has_password, shown, without_secrets

OBJECT_SCHEMES = frozenset({"s3", "gs", "az", "azure", "abfs", "abfss", "http", "https", "memory"})
"""The schemes that obstore serves here; ``file`` is read by the operating system, all others by fsspec."""

CACHE_LAYERS = ("simplecache", "filecache", "blockcache", "cached")
"""fsspec protocols that keep a copy and name no file of their own."""

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)://")
_SWALLOWED = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+):/(?!/)")
_SAME_SCHEME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "local": "file"}
_FRAGMENT_FOR_NETCDF = re.compile(r"#(mode|bytes)\b.*$")
_SAFE_IN_HTTP = "%/:?&=+$,;@!*'()[]~"


def canonical_url(url: str | os.PathLike[str]) -> str:
    """The URL of a file as it goes into stores: absolute, and written in one way only.

    >>> canonical_url("/data/a#b 1%.nc"), canonical_url("s3a://bucket/what?.nc")
    ('file:///data/a#b 1%.nc', 's3://bucket/what?.nc')
    >>> canonical_url("https://host/a b#1.nc?day=2"), canonical_url("memory:///a/b")
    ('https://host/a%20b%231.nc?day=2', 'memory://a/b')

    Raises:
        InputError: an empty name, a URL with a password in it, a URL that went through ``pathlib``.
    """
    text = os.fspath(url)
    if not isinstance(text, str):
        raise InputError(f"a file is named by a str or a path, not by {type(text).__name__}: {url!r}")
    if not text:
        raise InputError("an empty text names no file")
    if "\0" in text:
        raise InputError(f"{text!r} holds a null character, which no file name can")
    if not isinstance(url, str):
        if _SWALLOWED.match(text):
            raise InputError(f"{text!r} was a URL, and pathlib took one of its slashes: give it as a str")
        return _local_url(text)
    if is_chained(text):
        layers = text.split("::")
        return "::".join([*layers[:-1], canonical_url(layers[-1])])
    scheme = scheme_of(text)
    if scheme == "":
        return _local_url(os.path.expanduser(text))
    rest = text.partition(":")[2].removeprefix("//")
    scheme = _SAME_SCHEME.get(scheme, scheme)
    if scheme == "file":
        return _local_url("/" + rest.removeprefix("localhost").lstrip("/"))
    if has_password(text):
        raise InputError(
            f"{shown(text)} carries a user or password, which would be written into the store with every reference. "
            "Way out: leave it out of the URL and give it in storage_options"
        )
    if scheme in ("http", "https"):
        plain = _FRAGMENT_FOR_NETCDF.sub("", rest)
        return f"{scheme}://{quote(plain, safe=_SAFE_IN_HTTP)}"
    return f"{scheme}://{rest.lstrip('/') if scheme == 'memory' else rest}"


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case, ``""`` for a path; of a chain, the outermost.

    >>> scheme_of("S3://bucket/key"), scheme_of("/a/b"), scheme_of("simplecache::s3://bucket/key")
    ('s3', '', 'simplecache')
    """
    if is_chained(url):
        return url.split("::")[0].split("://")[0].lower()
    if url.startswith("file:/"):
        return "file"
    match = _SCHEME.match(url)
    return match.group(1).lower() if match else ""


def is_chained(url: str) -> bool:
    """Whether the URL is one of fsspec's chains, such as ``zip://a.nc::s3://bucket/x.zip``.

    >>> is_chained("file:///data/a::b.nc"), is_chained("simplecache::/data/a.nc"), is_chained("data/a::b.nc")
    (False, True, False)
    """
    first, mark, rest = url.partition("::")
    if not mark or first.startswith(("file:", "local:")) or not rest:
        return False
    return "://" in first or bool(re.fullmatch(r"[a-z][a-z0-9_+.\-]*", first) and ("://" in rest or rest[0] in "/~."))


def local_path_of(url: str) -> str | None:
    """The path of a canonical ``file://`` URL, ``None`` for any other.

    >>> local_path_of("file:///a/b#1.nc")
    '/a/b#1.nc'
    """
    return url.removeprefix("file://") if url.startswith("file:///") else None


def server_of(url: str) -> str:
    """Who is asked for a file: host and port, a bucket, or this machine; of a chain, whoever has its last layer.

    >>> server_of("HTTPS://host:81/a.nc"), server_of("zip://a.nc::s3://bucket/x.zip"), server_of("/data/a.nc")
    ('https://host:81', 's3://bucket', 'file://')
    """
    return root_and_key(canonical_url(url.split("::")[-1] if is_chained(url) else url))[0]


def root_and_key(url: str) -> tuple[str, str]:
    """A canonical URL's bucket or host, and the key below it.

    >>> root_and_key("s3://bucket/a/b.nc"), root_and_key("file:///a/b"), root_and_key("memory://a/b")
    (('s3://bucket', 'a/b.nc'), ('file://', 'a/b'), ('memory://', 'a/b'))
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("file", "memory"):
        return f"{scheme}://", rest.lstrip("/")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def without_end_slash(url: str) -> str:
    """A canonical URL of a folder, without the slash at its end, unless it is the root.

    >>> without_end_slash("s3://bucket/a/"), without_end_slash("memory://")
    ('s3://bucket/a', 'memory://')
    """
    return url.rstrip("/") if root_and_key(url)[1] else url


def source_url(url: str) -> str:
    """The canonical URL without secrets and the layers that only keep copies: what a reference has to point at.

    >>> source_url("simplecache::s3://bucket/key"), source_url("zip://a.nc::s3://bucket/x.zip")
    ('s3://bucket/key', 'zip://a.nc::s3://bucket/x.zip')
    """
    layers = url.split("::") if is_chained(url) else [url]
    while len(layers) > 1 and layers[0].split("://")[0] in CACHE_LAYERS:
        del layers[0]
    return "::".join(map(without_secrets, layers))


def url_in_stores(url: str | os.PathLike[str]) -> str:
    """The URL by which a store knows the file that is read from ``url``.

    >>> url_in_stores("/data/a.nc"), url_in_stores("simplecache::https://host/a.nc?token=1")
    ('file:///data/a.nc', 'https://host/a.nc')
    """
    return source_url(canonical_url(url))


def _local_url(path: str) -> str:
    return "file://" + os.path.abspath(path)
