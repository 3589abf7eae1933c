"""How many chunks a read of an array asks for side by side: what hides the latency of far stores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zarr

CHUNKS_TOGETHER = 64
"""Chunks side by side, each a thread that waits: 1,000 of them at 50 ms take 0.8 s. Zarr asks for 10 unless told."""

_SETTING = "async.concurrency"
_LOCK = threading.Lock()
_RAISED: list[Any] = []
_READS: list[int] = []


@contextmanager
def chunks_together() -> Iterator[None]:
    """Has zarr ask for ``CHUNKS_TOGETHER`` chunks at a time, unless it is set to more.

    Zarr has one setting for all threads and reads it when a read begins; it is as before when the last block that
    any thread is in ends.
    """
    with _LOCK:
        known = zarr.config.get(_SETTING)
        if not _READS and known is not None and known < CHUNKS_TOGETHER:
            _RAISED.append(zarr.config.set({_SETTING: CHUNKS_TOGETHER}))
        _READS.append(threading.get_ident())
    try:
        yield
    finally:
        with _LOCK:
            _READS.remove(threading.get_ident())
            if not _READS and _RAISED:
                _RAISED.pop().__exit__(None, None, None)
