"""Stores that the caller made, found by URL: ``ObjectStoreRegistry`` of obspec_utils, or a plain mapping."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore

from vz_beam.errors import InputError
from vz_beam.storage.object_stores import object_store
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import OBJECT_SCHEMES, canonical_url, local_path_of, root_and_key, scheme_of


class Registry(Protocol):
    """Anything that finds the store of a URL, such as ``obspec_utils.registry.ObjectStoreRegistry``."""

    def resolve(self, url: str, /) -> tuple[Any, str]:
        """The store, and the path in it."""
        ...


Stores = Registry | Mapping[str, Any] | Callable[[], "Registry | Mapping[str, Any]"]
"""What is taken where stores are asked for. A function is called on the worker: it pickles, and stores should not."""


class PrefixRegistry:
    """Stores by URL prefix; the longest prefix wins, compared segment by segment, so ``data`` is not ``data2``.

    Args:
        stores: obstore's stores by URL prefix, such as ``{"s3://bucket": S3Store("bucket")}``.
    """

    __slots__ = ("_stores",)

    def __init__(self, stores: Mapping[str, Any] | None = None) -> None:
        self._stores: list[tuple[tuple[str, str], Any]] = []
        for prefix, store in (stores or {}).items():
            self.register(prefix, store)

    def register(self, url: str, store: Any) -> None:
        """Let ``store`` serve what lies below ``url``, from now on in place of another store of that prefix."""
        if not url or not (scheme_of(url) or url.startswith("/")):
            raise InputError(
                f"Urls are expected to contain a scheme (e.g., `file://` or `s3://`), or to be absolute paths, and the "
                f"prefix {url!r} is neither"
            )
        place = root_and_key(canonical_url(url))
        place = place[0], "/".join(_segments(place[1]))
        kept = [(other, known) for other, known in self._stores if other != place]
        self._stores = sorted([*kept, (place, store)], key=lambda item: -len(_segments(item[0][1])))

    def resolve(self, url: str) -> tuple[Any, str]:
        """The store of a canonical URL, and the path in it: below the store's own prefix, where it has one.

        Raises:
            InputError: no store for this URL.
        """
        root, key = root_and_key(url)
        for (prefix_root, prefix_key), store in self._stores:
            if prefix_root == root and _is_below(key, prefix_key):
                is_http = root.startswith(("http://", "https://"))  # such a store encodes its keys itself
                return store, _without_own_prefix(store, unquote(key) if is_http else key)
        known = sorted(shown(f"{root}/{key}".rstrip("/")) for (root, key), _ in self._stores)
        raise InputError(
            f"no store for {shown(url)}: Could not find an ObjectStore matching the url `{shown(url)}` in the "
            f"registry, which has stores for {known}"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a registry cannot be pickled: its stores hold credentials. Way out: give a function that makes it, which "
            "is called on the worker"
        )

    def __repr__(self) -> str:
        return f"PrefixRegistry({[shown(root) for (root, _), _ in self._stores]})"


def as_registry(stores: Stores) -> Registry:
    """A registry of what the caller gave: itself, a mapping, or a function that makes one of those."""
    if callable(stores) and not hasattr(stores, "resolve"):
        stores = stores()
    if isinstance(stores, Mapping):
        return PrefixRegistry(stores)
    if hasattr(stores, "resolve"):
        return stores
    raise InputError(
        f"a {type(stores).__name__} is no registry: give {{url prefix: obstore store}}, or something with resolve(url)"
    )


def registry_of(url: str, storage_options: Mapping[str, Any] | None) -> Registry:
    """A registry of the one store that serves a canonical URL, for readers that want one.

    Raises:
        InputError: obstore has no store for it.
    """
    if local_path_of(url) is not None:
        return PrefixRegistry({"file:///": LocalStore()})
    if scheme_of(url) not in OBJECT_SCHEMES:
        raise InputError(
            f"{shown(url)}: obstore has no store for this URL, and nothing else will do. Way out: give a registry, "
            "or open it by a parser of vz_beam"
        )
    store, _ = object_store(url, storage_options)
    return PrefixRegistry({root_and_key(url)[0]: store})


def resolve(registry: Registry, url: str) -> tuple[Any, str]:
    """The store of a canonical URL, and the path in it.

    ObjectStoreRegistry cuts a URL at ``#`` and ``?`` and so would read another file (measured, obspec_utils 0.9). It
    is asked about a neutral name in the same folder instead, in whose place the real name is put.
    """
    is_http = url.startswith(("http://", "https://"))
    if is_http and urlsplit(url).query:
        raise InputError(
            f"{shown(url)}: the stores of a registry have no queries. Way out: open this URL without the registry"
        )
    if isinstance(registry, PrefixRegistry):
        return registry.resolve(url)
    cut = re.search(r"[#?%;]", url)
    head = url[: url.rindex("/", 0, cut.start() if cut else len(url)) + 1]
    try:
        store, path = registry.resolve(head + "x")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"no store for {shown(url)}: Could not find an ObjectStore matching the url `{shown(url)}` in the registry"
        ) from error
    path = os.fspath(path)
    if not path.endswith("x"):
        raise InputError(f"{shown(url)}: the registry gave {path!r} for a file named 'x' in the same folder")
    tail = url[len(head) :]
    return store, path[:-1] + (unquote(tail) if is_http else tail)


def _segments(key: str) -> list[str]:
    return [segment for segment in key.split("/") if segment]


def _is_below(key: str, prefix: str) -> bool:
    parts = _segments(prefix)
    return _segments(key)[: len(parts)] == parts


def _without_own_prefix(store: Any, key: str) -> str:
    own = getattr(store, "prefix", None)
    if own is None and type(store).__name__ == "HTTPStore":
        own = unquote(urlsplit(store.url).path)
    parts = _segments(os.fspath(own)) if own else []
    if _segments(key)[: len(parts)] != parts:
        raise InputError(f"{key!r} is not below {'/'.join(parts)!r}, the prefix of the store that was given for it")
    return "/".join(key.strip("/").split("/")[len(parts) :])
