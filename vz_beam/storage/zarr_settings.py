"""What zarr does only where it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import zarr

RECTILINEAR = "array.rectilinear_chunks"
"""The setting by which zarr opens arrays with chunks of several lengths; versions that cannot do not have it."""
_ONE_AT_A_TIME = threading.Lock()
"""Settings are those of all threads."""


def knows_rectilinear() -> bool:
    """Whether this zarr can read chunks of several lengths: 3.2 and later."""
    return zarr.config.get(RECTILINEAR, None) is not None


@contextmanager
def rectilinear_allowed() -> Iterator[None]:
    """Opens arrays and groups with chunks of several lengths, where zarr can; they are read as ever afterwards."""
    with _ONE_AT_A_TIME, zarr.config.set({RECTILINEAR: True} if knows_rectilinear() else {}):
        yield
