"""The ``gen`` entries of Kerchunk's JSON: one text each that stands for many references.

Source: https://fsspec.github.io/kerchunk/spec.html, version 1, "gen".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vz_beam.errors import FormatError
from vz_beam.parsers.kerchunk.templates import Templates, Value

MOST_GENERATED = 5_000_000
"""References of all generators of a file: they take a gigabyte, and two numbers in a file can ask for any number."""


def generated(generators: Any, templates: Templates) -> Iterator[tuple[str, list[Any]]]:
    """Key and reference of all that the generators make.

    Raises:
        FormatError: generators that are no such, or make too many references.
    """
    if not isinstance(generators, Sequence) or isinstance(generators, str):
        raise FormatError(f"gen is a {type(generators).__name__}, and should be a list")
    left = MOST_GENERATED
    for generator in generators:
        if not isinstance(generator, Mapping):
            raise FormatError("an entry of gen is no JSON object")
        texts = [generator.get(name) for name in ("key", "url")]
        if not all(isinstance(text, str) for text in texts):
            raise FormatError("an entry of gen lacks the texts 'key' and 'url'")
        dimensions = _dimensions(generator.get("dimensions"))
        left -= math.prod(map(len, dimensions.values()))
        if left < 0:
            raise FormatError(f"gen makes more than {MOST_GENERATED:,} references: write them out in Parquet")
        yield from _references(generator, dimensions, templates)


def _references(
    generator: Mapping[str, Any], dimensions: Mapping[str, Sequence[Value]], templates: Templates
) -> Iterator[tuple[str, list[Any]]]:
    has_range = [name in generator for name in ("offset", "length")]
    if any(has_range) and not all(has_range):
        raise FormatError("an entry of gen has one of 'offset' and 'length', and needs both or neither")
    for values in itertools.product(*dimensions.values()):
        known = dict(zip(dimensions, values, strict=True))
        key, url = (templates.expanded(generator[name], known) for name in ("key", "url"))
        if not any(has_range):
            yield key, [url]
            continue
        yield key, [url, *(_number(generator[name], name, templates, known) for name in ("offset", "length"))]


def _number(text: Any, name: str, templates: Templates, known: Mapping[str, Value]) -> int:
    expanded = templates.expanded(str(text), known).strip()
    if not (expanded.isascii() and expanded.isdecimal() and len(expanded) <= 18):
        raise FormatError(f"{name} {text!r} of an entry of gen is {expanded!r}, and should be a number of bytes")
    return int(expanded)


def _dimensions(dimensions: Any) -> dict[str, Sequence[Value]]:
    if not isinstance(dimensions, Mapping) or not dimensions:
        raise FormatError("an entry of gen has no dimensions")
    found: dict[str, Sequence[Value]] = {}
    for name, values in dimensions.items():
        if isinstance(values, list) and all(type(value) in (int, str) for value in values):
            found[name] = values
            continue
        steps = [values.get("start", 0), values.get("stop"), values.get("step", 1)] if isinstance(values, dict) else []
        if not steps or any(type(step) is not int or abs(step) > 2**62 for step in steps) or steps[2] == 0:
            raise FormatError(f"dimension {name!r} of an entry of gen is neither a list nor a range: {values!r}")
        found[name] = range(*steps)
        if values and len(found[name]) > MOST_GENERATED:
            raise FormatError(f"gen makes more than {MOST_GENERATED:,} references: write them out in Parquet")
    return found
