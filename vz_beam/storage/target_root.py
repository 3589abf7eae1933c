"""The folder of a store as recipes get it: a URL, or an object that holds a filesystem of fsspec and a path in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vz_beam.errors import InputError
from vz_beam.storage.urls import OBJECT_SCHEMES, is_chained

_OBJECT_WORDS = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "anon": "skip_signature",
    "endpoint_url": "endpoint",
    "account_name": "account_name",
    "account_key": "account_key",
    "sas_token": "sas_token",
}
"""Words of fsspec's filesystems for object stores, and obstore's for the same."""
_LOCAL = ("file", "local")


def folder_of(target_root: Any) -> str:
    """The URL or path of the folder.

    Args:
        target_root: a text or path; or an object with ``root_path``, and ``fs`` where its path has no protocol, as
            pangeo-forge-recipes' ``FSSpecTarget`` is.

    Raises:
        InputError: something else.
    """
    root = getattr(target_root, "root_path", target_root)
    if not isinstance(root, (str, os.PathLike)) or not os.fspath(root):
        raise InputError(
            f"target_root is a URL, a path, or an object with root_path, not a {type(target_root).__name__} of "
            f"{root!r}. Way out: WriteReferences(store, target_root=...), or the runner's TargetStorage.root_path"
        )
    text = os.fspath(root).rstrip("/")
    protocol = _protocol(target_root)
    if "://" in text or is_chained(text) or protocol in ("", *_LOCAL):
        return text
    return f"{protocol}://{text.lstrip('/')}"


def options_of(target_root: Any) -> Mapping[str, Any] | None:
    """Storage options of the folder, in the words that its URL needs here; ``None`` where it says none."""
    filesystem = getattr(target_root, "fs", None)
    options = dict(getattr(filesystem, "storage_options", None) or {})
    if not options:
        return None
    if _protocol(target_root) not in OBJECT_SCHEMES:
        return options
    found = {ours: options[word] for word, ours in _OBJECT_WORDS.items() if options.get(word) is not None}
    region = (options.get("client_kwargs") or {}).get("region_name")
    endpoint = (options.get("client_kwargs") or {}).get("endpoint_url")
    found |= {} if region is None else {"region": region}
    found |= {} if endpoint is None else {"endpoint": endpoint}
    return found or None


def _protocol(target_root: Any) -> str:
    protocol = getattr(getattr(target_root, "fs", None), "protocol", "")
    return str(protocol if isinstance(protocol, str) else next(iter(protocol), ""))
