"""Globs on keys, segment by segment: what a shell does to paths, done to the keys of object stores. Pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

_MAGIC = re.compile(r"[*?\[]")
# An object that makes the folder it is in a Zarr store or group: such a folder is one input, not many.
_STORE_MARKS = frozenset({"zarr.json", ".zmetadata", ".zgroup", ".zarray"})


def has_magic(pattern: str) -> bool:
    """Whether the pattern holds any of ``*``, ``?`` and ``[``."""
    return _MAGIC.search(pattern) is not None


def literal_folder(pattern: str) -> str:
    """The folders before the first segment with a wildcard.

    >>> literal_folder("a/b/20*/x.nc"), literal_folder("*.nc"), literal_folder("a/b")
    ('a/b', '', 'a')
    """
    segments = pattern.split("/")
    number = next((i for i, segment in enumerate(segments) if has_magic(segment)), len(segments) - 1)
    return "/".join(segments[:number])


def matches(key: str, pattern: str) -> bool:
    """Whether the segments of ``key`` match those of ``pattern``; ``**`` stands for any number of them.

    >>> matches("a/b/c.nc", "a/**/*.nc"), matches("a/c.nc", "a/**/*.nc"), matches("a/b/c.nc", "a/*.nc")
    (True, True, False)
    """
    return _match(key.split("/"), pattern.split("/"))


def matching(keys: list[str], pattern: str) -> list[str]:
    """The keys that match, each once; and of Zarr stores that match, the folder.

    >>> matching(["d/a.nc", "d/x.zarr/zarr.json", "d/x.zarr/c/0"], "d/*")
    ['d/a.nc', 'd/x.zarr']
    """
    found: dict[str, None] = {}
    for key in keys:
        if matches(key, pattern):
            found[key] = None
            continue
        folder, _, name = key.rpartition("/")
        if name in _STORE_MARKS and matches(folder, pattern):
            found[folder] = None
    stores = {key.rpartition("/")[0] for key in keys if key.rpartition("/")[2] in _STORE_MARKS} & found.keys()
    return [key for key in found if not any(key.startswith(f"{store}/") for store in stores)]


def below(keys: list[str], folder: str) -> list[str]:
    """The files of a folder and of those below: no hidden ones, and each Zarr store as one."""
    start = f"{folder}/" if folder else ""
    inside = [key[len(start) :] for key in keys if key.startswith(start)]
    seen = [key for key in inside if not any(part.startswith(".") for part in key.split("/")) or _is_mark(key)]
    stores = sorted({key.rpartition("/")[0] for key in seen if _is_mark(key)})
    files = [key for key in seen if not any(store == "" or key.startswith(f"{store}/") for store in stores)]
    roots = [store for store in stores if not any(store.startswith(f"{other}/") or other == "" for other in stores)]
    if "" in stores:
        return [folder]
    return [start + key for key in files if not _is_mark(key)] + [start + store for store in roots]


def _is_mark(key: str) -> bool:
    return key.rpartition("/")[2] in _STORE_MARKS


def _match(segments: list[str], patterns: list[str]) -> bool:
    # reach[j]: whether the segments so far can be what the first j patterns stand for
    reach = [True] + [False] * len(patterns)
    for j, pattern in enumerate(patterns):
        reach[j + 1] = reach[j] and pattern == "**"
    for segment in segments:
        now = [False] * (len(patterns) + 1)
        for j, pattern in enumerate(patterns):
            if pattern == "**":
                now[j + 1] = now[j] or (reach[j + 1] and not segment.startswith("."))
            else:
                now[j + 1] = reach[j] and _one(segment, pattern)
        reach = now
    return reach[-1]


def _one(segment: str, pattern: str) -> bool:
    return fnmatchcase(segment, pattern) and (not segment.startswith(".") or pattern.startswith("."))
