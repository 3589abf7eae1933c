"""obstore's clients: one for each bucket or host and its options, kept for as long as the process lives."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from obstore.store import HTTPStore, MemoryStore, ObjectStore, from_url

from vz_beam.errors import InputError, SourceError
from vz_beam.storage.source_errors import object_error
from vz_beam.storage.storage_options import object_options, unknown_option
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import root_and_key, scheme_of

# obstore tries 10 times over 3 minutes; a pipeline tries each file again on its own, and has others to go on with.
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
_MAX_STORES = 64  # clients keep connections open, and one store may be needed for each signed URL
_PLAIN_PATH = re.compile(r"^[A-Za-z0-9._~/-]*$")
_THREADS = 16  # requests side by side: those of a browser's worth of connections to one host hide its latency

_STORES: OrderedDict[Any, ObjectStore] = OrderedDict()
_MEMORY = MemoryStore()
_LOCK = threading.Lock()
_USED_IN: list[int] = []
_POOLS: dict[tuple[int, str], ThreadPoolExecutor] = {}

_CLIENT_WORDS = frozenset(
    {
        "allow_http", "allow_invalid_certificates", "connect_timeout", "default_headers", "http1_only", "http2_only",
        "pool_idle_timeout", "pool_max_idle_per_host", "proxy_url", "proxy_ca_certificate", "proxy_excludes",
        "timeout", "user_agent",
    }
)  # fmt: skip
"""Words that obstore takes in ``client_options``; elsewhere it ends the process's work with a panic (0.12)."""


def object_store(url: str, storage_options: Mapping[str, Any] | None = None) -> tuple[ObjectStore, str]:
    """The store of obstore for a canonical URL, and the key in it.

    ``memory://`` is one store for the whole process; it is not that of fsspec.

    Raises:
        InputError: options that the store does not know, a key that obstore cannot address.
    """
    scheme = scheme_of(url)
    root, key = root_and_key(url)
    if scheme == "memory":
        return _MEMORY, key
    options = object_options(scheme, storage_options)
    if scheme in ("http", "https"):
        if not _PLAIN_PATH.match(key) or "//" in key or "/." in f"/{key}":
            root, key = url, ""  # obstore encodes keys and has no queries: such a URL is a store of its own
    elif key.startswith("/") or "//" in key:
        raise InputError(
            f"{shown(url)}: obstore cannot address keys that have an empty segment. "
            f"Way out: read it through fsspec, as in simplecache::{shown(url)}"
        )
    check_process()
    identity = (root, _frozen(options))
    with _LOCK:
        store = _STORES.pop(identity, None)
        if store is None:
            store = _new_store(scheme, root, options)
        _STORES[identity] = store
        while len(_STORES) > _MAX_STORES:
            _STORES.popitem(last=False)
    return store, key


def check_process() -> None:
    """Refuses to go on in a process that was forked after obstore was used: every request would wait for ever."""
    if not _USED_IN:
        _USED_IN.append(os.getpid())
    elif _USED_IN[0] != os.getpid():
        raise SourceError(
            "this process was forked from one that had read from an object store, and obstore's threads do not "
            "survive that. Way out: start workers with the method 'spawn' or 'forkserver', or before the first read"
        )


def request_pool(use: str = "requests", threads: int = _THREADS) -> ThreadPoolExecutor:
    """The threads that wait for requests which go out side by side.

    Each use has threads of its own: what runs in one may wait for what runs in another, not in the same.
    """
    place = (os.getpid(), use)
    with _LOCK:
        if place not in _POOLS:
            for other in [other for other in _POOLS if other[0] != os.getpid()]:
                del _POOLS[other]  # threads do not survive a fork
            _POOLS[place] = ThreadPoolExecutor(threads, thread_name_prefix=f"vz_beam-{use}")
        return _POOLS[place]


def _new_store(scheme: str, root: str, options: dict[str, Any]) -> ObjectStore:
    client = {word: options[word] for word in _CLIENT_WORDS & options.keys()} | (options.get("client_options") or {})
    settings: dict[str, Any] = {"retry_config": _RETRIES, **options}
    settings = {word: value for word, value in settings.items() if word not in _CLIENT_WORDS}
    endpoint = str(options.get("endpoint") or options.get("endpoint_url") or options.get("base_url") or root)
    if endpoint.startswith("http://"):  # whoever writes it wants it, and obstore's own error does not say what lacks
        client.setdefault("allow_http", True)
    if client:
        settings["client_options"] = client
    try:
        if scheme in ("http", "https"):
            return HTTPStore.from_url(root, **settings)
        return from_url(root, **settings)
    except TypeError as error:
        raise InputError(f"{shown(root)}: an option has a value of the wrong type") from error
    except Exception as error:
        if found := re.search(r"Configuration key: '(\w+)'", str(error)):
            raise unknown_option(scheme, found.group(1)) from None
        if "Account must be specified" in str(error):
            raise InputError(
                f"{shown(root)} does not say which account. Way out: storage_options={{'account_name': ...}}, or "
                "abfs://container@account.dfs.core.windows.net/key"
            ) from None
        raise object_error(error, root) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how obstore fails where it did not mean to, of no Exception
            raise
        raise InputError(
            f"{shown(root)}: obstore cannot take these options together: {sorted(options)}. Way out: leave out those "
            "that its documentation does not name"
        ) from None


def _frozen(value: Any) -> Any:
    """A hashable stand-in for options; it is kept in memory only."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), _frozen(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return f"{type(value).__name__}:{value!r}" if isinstance(value, (str, int, float, bool, timedelta)) else id(value)
