"""Keys of objects below a sink's root: checks, prefixes by segments, and the order in which a store moves."""

from __future__ import annotations

from collections.abc import Iterable

from vz_beam.errors import InputError

Keys = list[str]
"""Keys of objects, relative to the root; named here since ``list`` is a method of every sink."""

# The objects that make readers see a store: they come last, so that what they promise is there before them.
_METADATA_NAMES = frozenset({".zmetadata", ".zgroup", ".zarray", ".zattrs", "zarr.json"})


def checked_key(key: str, *, allow_empty: bool = False) -> str:
    """The key itself, where it is segments joined by ``/`` that stay below the root.

    >>> checked_key("air/refs.0.parq")
    'air/refs.0.parq'
    """
    if key == "" and allow_empty:
        return key
    if any(segment in ("", ".", "..") for segment in key.split("/")) or "\0" in key:
        raise InputError(f"{key!r} is no key: segments joined by '/' are expected, none of them empty, '.' or '..'")
    return key


def is_below(key: str, prefix: str) -> bool:
    """Whether ``key`` is ``prefix`` or lies in it, by whole segments.

    >>> is_below("data/x", "data"), is_below("data2/x", "data"), is_below("a", "")
    (True, False, True)
    """
    return prefix == "" or key == prefix or key.startswith(prefix + "/")


def joined(*parts: str) -> str:
    """The parts that are not empty, joined by ``/``."""
    return "/".join(part for part in parts if part)


def metadata_last(keys: Iterable[str]) -> list[str]:
    """The keys in the order in which they may become visible: the root's metadata at the very end.

    >>> metadata_last([".zmetadata", "air/.zarray", "air/refs.0.parq"])
    ['air/refs.0.parq', 'air/.zarray', '.zmetadata']
    """
    return sorted(keys, key=lambda key: (visibility_rank(key), key))


def visibility_rank(key: str) -> tuple[int, int]:
    """Keys of a lower rank have to be there first; within one rank the order does not matter.

    >>> visibility_rank("air/refs.0.parq") < visibility_rank("air/.zarray") < visibility_rank(".zmetadata")
    True
    """
    segments = key.split("/")
    return (1, -len(segments)) if segments[-1] in _METADATA_NAMES else (0, 0)
