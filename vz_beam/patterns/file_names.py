"""Patterns read off the names of files, such as ``data_{time}_{variable}.nc``."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vz_beam.errors import PatternError
from vz_beam.patterns.dimensions import CombineDim, ConcatDim, MergeDim
from vz_beam.patterns.file_pattern import FilePattern
from vz_beam.patterns.file_sequence import listed_urls, pattern_from_file_sequence
from vz_beam.patterns.natural_order import natural_key

_SHOWN = 5
"""So many names are listed in an error: enough to see what is wrong with them."""

_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """A format function: the URL whose name holds the keys."""

    fields: tuple[str, ...]
    urls: Mapping[tuple[str, ...], str]

    def __call__(self, **keys: str) -> str:
        """The URL of those keys."""
        return self.urls[tuple(keys[field] for field in self.fields)]

    def lacks(self, **keys: str) -> bool:
        """Whether no file has those keys."""
        return tuple(keys[field] for field in self.fields) not in self.urls


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A text with named fields, matched with the last components of URLs, as many as it has itself.

    A field stands for one character or more, but no ``/``; a field that is named again repeats itself.

    >>> NamePattern("{year}/sst_{year}_{member}.nc").read("s3://bucket/2001/sst_2001_r1.nc")
    {'year': '2001', 'member': 'r1'}
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise PatternError(f"name_pattern is a str such as 'data_{{time}}.nc', not {self.text!r}")
        wrong = [field for field in _FIELD.findall(self.text) if not field.isidentifier()]
        if wrong or not self.fields or re.search("[{}]", _FIELD.sub("", self.text)):
            raise PatternError(
                f"name_pattern {self.text!r} does not say which fields it has; they are names in braces, such as "
                f"'data_{{time}}_{{variable}}.nc'" + (f", not {wrong}" if wrong else "")
            )
        if "}{" in self.text:
            raise PatternError(
                f"name_pattern {self.text!r} has two fields with nothing between: where would one end? "
                "Way out: make them one field"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order of first use."""
        return tuple(dict.fromkeys(_FIELD.findall(self.text)))

    def read(self, url: str) -> dict[str, str] | None:
        """The fields of a URL, a query left aside; ``None`` where its name does not fit.

        Raises:
            PatternError: the name can be read in more than one way.
        """
        depth = self.text.count("/") + 1
        name = "/".join(re.split("[?#]", url)[0].split("/")[-depth:])
        short, long = (re.fullmatch(self._expression(quantifier), name) for quantifier in ("+?", "+"))
        if short is None or long is None:
            return None
        # The two take the first and the last of all readings in order of the fields' lengths: one reading, if the same.
        if short.groupdict() != long.groupdict():
            raise PatternError(
                f"{url!r} fits {self.text!r} in more than one way: {short.groupdict()} or {long.groupdict()}. "
                "Way out: more of the fixed text in the pattern, or fewer fields"
            )
        return short.groupdict()

    def _expression(self, quantifier: str) -> str:
        seen: set[str] = set()
        expression = ""
        for place, part in enumerate(_FIELD.split(self.text)):
            if place % 2 == 0:
                expression += re.escape(part)
            elif part in seen:
                expression += f"(?P={part})"
            else:
                expression += f"(?P<{part}>[^/]{quantifier})"
                seen.add(part)
        return expression


def pattern_from_names(
    urls: Iterable[Any],
    concat_dim: str | Sequence[str] | None,
    name_pattern: str | None = None,
    *,
    allow_gaps: bool = False,
    **kwargs: Any,
) -> FilePattern:
    """A pattern of files that are already listed, in natural order of their names.

    >>> urls = ["sst_2.nc", "sst_10.nc", "wind_2.nc", "wind_10.nc"]
    >>> pattern = pattern_from_names(urls, "day", "{variable}_{day}.nc")
    >>> pattern.combine_dim_keys
    {'variable': ['sst', 'wind'], 'day': ['2', '10']}

    Args:
        urls: in any order.
        concat_dim: the dimension along which the files follow each other. With a ``name_pattern``, the field or fields
            that are joined; the other fields are merge dimensions.
        name_pattern: see :class:`NamePattern`. Without one, the place in natural order is the key.
        allow_gaps: leave combinations of keys that no file has out of the pattern, as declared gaps.
        **kwargs: as :class:`FilePattern` has them.

    Raises:
        PatternError: names that do not fit or fit two ways, two files of one place, places without a file.
    """
    listed = sorted(listed_urls(urls), key=natural_key)
    if name_pattern is None:
        if concat_dim is not None and not isinstance(concat_dim, str):
            raise PatternError(f"concat_dim={concat_dim!r}: several dimensions need a name_pattern that has them")
        return pattern_from_file_sequence(listed, concat_dim, **kwargs)
    names = NamePattern(name_pattern)
    places = _read_places(listed, names)
    keys = {
        field: sorted({place[number] for place in places}, key=natural_key) for number, field in enumerate(names.fields)
    }
    size = math.prod(map(len, keys.values()))
    if size > len(places) and not allow_gaps:
        absent = (_place(names, place) for place in itertools.product(*keys.values()) if place not in places)
        shown = _some(list(itertools.islice(absent, _SHOWN)), size - len(places))
        raise PatternError(
            f"{name_pattern!r} makes {size} places of {len(places)} files; {shown} without a file. "
            "Way out: add the files, or allow_gaps=True leaves these places out"
        )
    dims = _dimensions(keys, concat_dim, name_pattern)
    files = NamedFiles(names.fields, places)
    return FilePattern(files, *dims, gaps=files.lacks if size > len(places) else None, **kwargs)


def _read_places(urls: Iterable[str], names: NamePattern) -> dict[tuple[str, ...], str]:
    places: dict[tuple[str, ...], str] = {}
    misfits = []
    for url in urls:
        fields = names.read(url)
        if fields is None:
            misfits.append(url)
            continue
        place = tuple(fields[field] for field in names.fields)
        if place in places:
            raise PatternError(
                f"two files have one place, {_place(names, place)}: {places[place]!r} and {url!r}. "
                "Way out: leave one out, or a name_pattern that tells them apart"
            )
        places[place] = url
    if misfits:
        raise PatternError(
            f"{len(misfits)} of {len(misfits) + len(places)} names do not fit {names.text!r}: "
            f"{_some([repr(url) for url in misfits[:_SHOWN]], len(misfits))}. "
            "Way out: a name_pattern that fits, or a narrower list"
        )
    return places


def _dimensions(
    keys: Mapping[str, Sequence[str]], concat_dim: str | Sequence[str] | None, name_pattern: str
) -> list[CombineDim]:
    joined = () if concat_dim is None else (concat_dim,) if isinstance(concat_dim, str) else tuple(concat_dim)
    unknown = [name for name in joined if name not in keys]
    if unknown:
        raise PatternError(
            f"concat_dim={concat_dim!r} is not among the fields of {name_pattern!r}, which are {list(keys)}"
        )
    return [ConcatDim(name, keys[name]) if name in joined else MergeDim(name, keys[name]) for name in keys]


def _place(names: NamePattern, place: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"{field}={key!r}" for field, key in zip(names.fields, place, strict=True)) + "]"


def _some(texts: Sequence[str], count: int) -> str:
    return ", ".join(texts) + (f" and {count - len(texts)} more" if count > len(texts) else "")
