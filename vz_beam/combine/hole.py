"""Places of a combined dataset that no input gave, kept in the store so that a later run can fill them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vz_beam.patterns.index import Index
from vz_beam.patterns.keys import Key, decode_key, encode_key


class Hole(NamedTuple):
    """A place without an input.

    Args:
        url: of the input that failed; empty where nobody knows one.
        keys: of the place, by dimension of the pattern.
        ranges: (start, stop), elements, by dimension along which inputs are joined.
    """

    url: str
    keys: tuple[tuple[str, Key], ...]
    ranges: tuple[tuple[str, tuple[int, int]], ...]

    def moved(self, dim: str, elements: int) -> Hole:
        """The same place where ``elements`` are put before it along a dimension.

        >>> Hole("", (), (("time", (0, 2)),)).moved("time", 10).ranges
        (('time', (10, 12)),)
        """
        ranges = ((name, (start, stop)) for name, (start, stop) in self.ranges)
        return self._replace(
            ranges=tuple(
                (name, (start + elements, stop + elements) if name == dim else (start, stop))
                for name, (start, stop) in ranges
            )
        )

    def to_json(self) -> list[Any]:
        """The place in lists, texts and whole numbers."""
        keys = [[dim, *encode_key(key)] for dim, key in self.keys]
        return [self.url, keys, [[dim, *limits] for dim, limits in self.ranges]]

    @classmethod
    def from_json(cls, fields: Any) -> Hole:
        """The place that :meth:`to_json` wrote."""
        url, keys, ranges = fields
        return cls(
            str(url),
            tuple((dim, decode_key(kind, text)) for dim, kind, text in keys),
            tuple((dim, (int(start), int(stop))) for dim, start, stop in ranges),
        )


class Holes:
    """The places of a store that have no input, found by what would fill them."""

    def __init__(self, holes: Iterable[Hole]) -> None:
        self._by_url: dict[str, Hole] = {}
        self._by_keys: dict[Any, Hole] = {}
        for hole in holes:
            if hole.url:
                self._by_url[hole.url] = hole
            if _tell(dict(hole.keys)) and not (hole.url and _are_counts(hole)):
                self._by_keys[_encoded(dict(hole.keys))] = hole

    def find(self, index: Index, url: str = "") -> Hole | None:
        """The place of an input that failed before, or has the keys of one that was absent; else ``None``."""
        keys = {position.dimension: position.key for position in index.positions}
        found = self._by_url.get(url)
        return found if found is not None or not _tell(keys) else self._by_keys.get(_encoded(keys))


def _tell(keys: Mapping[str, Key]) -> bool:
    """Whether keys say which place is meant."""
    return bool(keys) and None not in keys.values()


def _are_counts(hole: Hole) -> bool:
    """Whether keys may only count the files of a list, of which others may have these numbers in another list."""
    return all(type(key) is int for _, key in hole.keys)


def _encoded(keys: Mapping[str, Key]) -> Any:
    return tuple((dim, *encode_key(key)) for dim, key in sorted(keys.items()))
