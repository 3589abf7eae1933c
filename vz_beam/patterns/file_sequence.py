"""Patterns from a list of files: in the order given, or read off their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vz_beam.errors import PatternError
from vz_beam.patterns.dimensions import CombineDim, ConcatDim
from vz_beam.patterns.file_pattern import FilePattern


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """A format function: the URL at the place that the one keyword names; of one file, without keywords."""

    urls: tuple[str, ...]

    def __call__(self, **keys: int) -> str:
        """The URL at that place."""
        return self.urls[next(iter(keys.values()), 0)]


def pattern_from_file_sequence(
    file_list: Iterable[Any], concat_dim: str | None, nitems_per_file: int | None = None, **kwargs: Any
) -> FilePattern:
    """The files of a list, joined along ``concat_dim`` in the order of the list; keys are the places from 0.

    >>> pattern_from_file_sequence(["b.nc", "a.nc"], "time")
    <FilePattern {'time': 2}>

    Args:
        file_list: URLs, ``str`` or ``os.PathLike``.
        concat_dim: name of the dimension; ``None`` where the list is one file that is complete by itself.
        nitems_per_file: elements along ``concat_dim`` in each file, where that is known and the same.
        **kwargs: as :class:`FilePattern` has them.

    Raises:
        PatternError: an empty list, a file listed twice, several files and no dimension.
    """
    urls = listed_urls(file_list)
    repeated = [url for url, count in Counter(urls).items() if count > 1]
    if repeated:
        raise PatternError(f"these files are listed more than once: {', '.join(map(repr, repeated[:5]))}")
    dims: tuple[CombineDim, ...] = ()
    if concat_dim is not None:
        dims = (ConcatDim(concat_dim, range(len(urls)), nitems_per_file),)
    elif len(urls) > 1:
        raise PatternError(
            f"{len(urls)} files and concat_dim=None: along which dimension do they follow each other? "
            "Way out: concat_dim='time', or whatever its name is"
        )
    elif nitems_per_file is not None:
        raise PatternError(f"nitems_per_file={nitems_per_file!r} without a concat_dim counts along no dimension")
    return FilePattern(ListedFiles(urls), *dims, **kwargs)


def listed_urls(file_list: Iterable[Any]) -> tuple[str, ...]:
    """The URLs of a list of ``str`` and ``os.PathLike``.

    Raises:
        PatternError: an empty list, a single text or path in its place, items of another type.
    """
    if isinstance(file_list, str | bytes | Mapping) or not isinstance(file_list, Iterable):
        raise PatternError(
            f"the list of files is a {type(file_list).__name__}, {file_list!r}. Way out: a list, [{file_list!r}]; "
            "for a name with wildcards, pattern_from_glob"
        )
    urls = []
    for number, item in enumerate(file_list):
        url = item.__fspath__() if hasattr(type(item), "__fspath__") else item
        if not isinstance(url, str) or not url:
            raise PatternError(f"file {number} of the list is {item!r}; it is a str that is not empty, or a path")
        urls.append(str.__str__(url))
    if not urls:
        raise PatternError(
            "the list of files is empty. Way out: look at what made it, a search without a match or a "
            "wrong folder, and give at least one file"
        )
    return tuple(urls)
