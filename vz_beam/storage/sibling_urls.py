"""Names of files as another file tells them, made into URLs."""

from __future__ import annotations

import re
from urllib.parse import quote

from vz_beam.storage.source_errors import not_found
from vz_beam.storage.urls import is_chained

_WINDOWS_ABSOLUTE = re.compile(r"^([A-Za-z]:|\\\\)")
_WITHOUT_BUCKET = ("file", "memory")


def sibling_url(url: str, name: str) -> str:
    """The canonical URL of the file that the file at ``url`` calls ``name``.

    Args:
        url: canonical; of a chain, the outermost layer that names a file has the folder.
        name: relative to the folder of ``url``, with ``/``; literal, so no URL. An absolute path is one of the machine
            that ``url`` is on: there is none for a remote file.

    Raises:
        SourceNotFoundError: a name that leads out of the store of ``url``.

    >>> sibling_url("s3://bucket/a/b.h5", "c.h5"), sibling_url("file:///a/b.h5", "/data/c.h5")
    ('s3://bucket/a/c.h5', 'file:///data/c.h5')
    >>> sibling_url("https://host/a/b.h5?day=2", "../c 1%.h5"), sibling_url("zip://a/b.h5::s3://bucket/x.zip", "c.h5")
    ('https://host/c%201%25.h5', 'zip://a/c.h5::s3://bucket/x.zip')
    """
    layers = url.split("::") if is_chained(url) else [url]
    number = next((number for number, layer in enumerate(layers) if "://" in layer), 0)
    is_last = number == len(layers) - 1
    layers[number] = _joined(layers[number], name, is_last)
    return "::".join(layers)


def member_url(url: str, name: str) -> str:
    """The canonical URL of the file ``name`` in the folder at ``url``, which may end with a slash or not.

    >>> member_url("s3://bucket/a.zarr", ".zmetadata"), member_url("https://host/a.zarr/?day=2", "x/0")
    ('s3://bucket/a.zarr/.zmetadata', 'https://host/a.zarr/x/0')
    """
    layers = url.split("::") if is_chained(url) else [url]
    number = next((number for number, layer in enumerate(layers) if "://" in layer), 0)
    layer = layers[number]
    if layer.startswith(("http://", "https://")):
        layer = layer.partition("?")[0]
    layers[number] = layer.rstrip("/") + "/" if layer.partition("://")[2] else layer
    return sibling_url("::".join(layers), name)


def is_absolute(name: str) -> bool:
    r"""Whether ``name`` is a path from a root, as POSIX or Windows write it.

    >>> is_absolute("/data/a.h5"), is_absolute("C:\\data\\a.h5"), is_absolute("data/a.h5")
    (True, True, False)
    """
    return name.startswith("/") or _WINDOWS_ABSOLUTE.match(name) is not None


def _joined(layer: str, name: str, is_last: bool) -> str:
    scheme, _, rest = layer.partition("://")
    if is_absolute(name):
        if scheme == "file" and name.startswith("/"):
            return f"file://{name}"
        raise not_found(name, f"{scheme}:// has no such absolute path")
    if scheme in ("http", "https"):
        rest, name = rest.partition("?")[0], quote(name, safe="/")
    segments = rest.split("/")[:-1]
    has_root = is_last and (scheme not in _WITHOUT_BUCKET or rest.startswith("/"))
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or parts[-1] == ".." or name.endswith("/"):
        raise not_found(name, "it names no file")
    for part in parts:
        if part != "..":
            segments.append(part)
        elif len(segments) > has_root:
            segments.pop()
        else:
            raise not_found(name, f"it leads above the root of {scheme}://{'/'.join(segments)}")
    return f"{scheme}://{'/'.join(segments)}"
