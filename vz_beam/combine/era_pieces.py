"""How the eras of a store follow each other, where what they hold can be read as one array of decoded values.

Source: the idea is https://github.com/zarr-developers/zarr-specs/issues/288, "Virtual concatenation of arrays".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vz_beam.combine.attributes import MEANING
from vz_beam.combine.canonical import canonical_text
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.manifests.metadata import Attributes

PIECES_KEY = "vz_beam_pieces"
"""Attribute of the root group of a store of eras: :func:`pieces_text`."""
_OF_DECODING = frozenset(
    ["_FillValue", "_Unsigned", "add_offset", "missing_value", "scale_factor", "valid_max", "valid_min", "valid_range"]
)
"""Attributes that decoding undoes: decoded values mean the same although these differ."""

_PACKED_KINDS = frozenset("iuf")


class Piece(NamedTuple):
    """A part of the whole: the elements ``start`` to ``stop`` along the dimension in an era's group."""

    group: str
    start: int
    stop: int


def pieces_of(layouts: Mapping[str, Layout], era_of: Mapping[int, str], dim: str) -> list[Piece]:
    """The pieces of the whole, in order; none where the eras' decoded values are not of one array.

    Args:
        layouts: of each era by the name of its group.
        era_of: the era of the inputs at each place along ``dim``, by number.
        dim: along which all inputs follow each other.
    """
    if not _are_alike(list(layouts.values()), dim):
        return []
    lengths = {name: _lengths(layout, dim) for name, layout in layouts.items()}
    pieces: list[Piece] = []
    for number in sorted(era_of):
        name = era_of[number]
        start, stop = lengths[name][number]
        if pieces and (pieces[-1].group, pieces[-1].stop) == (name, start):
            pieces[-1] = pieces[-1]._replace(stop=stop)
        else:
            pieces.append(Piece(name, start, stop))
    return pieces


def pieces_text(dim: str, pieces: list[Piece]) -> str:
    """The attribute that says how a store's groups follow each other."""
    return json.dumps({"dim": dim, "pieces": pieces})


def pieces_in(attributes: Attributes) -> tuple[str, list[Piece]] | None:
    """The dimension and the pieces that attributes of a root group say; ``None`` where they say none."""
    try:
        document = json.loads(attributes.get(PIECES_KEY, "null"))
        return str(document["dim"]), [Piece(str(g), int(start), int(stop)) for g, start, stop in document["pieces"]]
    except (ValueError, TypeError, KeyError):
        return None


def _lengths(layout: Layout, dim: str) -> dict[int, tuple[int, int]]:
    """Where the inputs of each number begin and end along ``dim``."""
    starts = layout.starts[dim]
    numbers = sorted((number for number in range(len(starts)) if starts[number] >= 0), key=lambda n: int(starts[n]))
    ends = [*(int(starts[number]) for number in numbers[1:]), layout.sizes[dim]]
    return {number: (int(starts[number]), end) for number, end in zip(numbers, ends, strict=True)}


def _are_alike(layouts: list[Layout], dim: str) -> bool:
    first = layouts[0]
    if any(list(one.starts) != [dim] or one.arrays.keys() != first.arrays.keys() for one in layouts):
        return False
    return all(
        "/" not in path and _is_alike(path, first.arrays[path], one.arrays[path], dim)
        for one in layouts
        for path in one.arrays
    )


def _is_alike(path: str, one: ArrayLayout, other: ArrayLayout, dim: str) -> bool:
    mine, others = one.metadata, other.metadata
    names = mine.dimension_names or ()
    kinds = {mine.dtype.kind, others.dtype.kind}
    if names != (others.dimension_names or ()) or not (len(kinds) == 1 or kinds <= _PACKED_KINDS):
        return False
    if any(size != n for name, size, n in zip(names, mine.shape, others.shape, strict=True) if name != dim):
        return False
    if _meaning(path, one, dim) != _meaning(path, other, dim):
        return False
    is_constant = one.is_loaded and other.is_loaded and mine.dtype == others.dtype and one.chunks == other.chunks
    return dim in names or is_constant


def _meaning(path: str, array: ArrayLayout, dim: str) -> dict[str, str]:
    attributes: Mapping[str, Any] = array.metadata.attributes
    left_out = set(_OF_DECODING)
    if path == dim and " since " in str(attributes.get("units", "")):
        left_out.add("units")
    return {name: canonical_text(value) for name, value in attributes.items() if name in MEANING - left_out}
