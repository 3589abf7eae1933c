"""Which attributes change what the bytes mean, and what becomes of the others when inputs differ.

Source: CF conventions 1.11, appendix A (https://cfconventions.org/cf-conventions/cf-conventions.html#attribute-appendix).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vz_beam.combine.canonical import canonical_text

MEANING = frozenset(
    [
        "_FillValue",
        "_Unsigned",
        "add_offset",
        "axis",
        "bounds",
        "calendar",
        "cell_methods",
        "climatology",
        "compress",
        "coordinates",
        "flag_masks",
        "flag_meanings",
        "flag_values",
        "formula_terms",
        "grid_mapping",
        "leap_month",
        "leap_year",
        "missing_value",
        "month_lengths",
        "positive",
        "scale_factor",
        "standard_name",
        "units",
        "valid_max",
        "valid_min",
        "valid_range",
    ]
)
"""Attributes that must be the same in all inputs; of the others, those that differ are left out."""


class AttributeUnion:
    """Attributes of many inputs: those that never differed. Any order and grouping gives the same."""

    __slots__ = ("conflicts", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.conflicts: set[str] = set()

    def add(self, attributes: Mapping[str, Any]) -> None:
        """Take in the attributes of one more input."""
        for name, value in attributes.items():
            if name in self.conflicts:
                continue
            known = self.values.setdefault(name, value)
            if known is not value and known != value and canonical_text(known) != canonical_text(value):
                self.conflicts.add(name)
                del self.values[name]

    def merge(self, other: AttributeUnion) -> None:
        """Take in what another union knows."""
        self.conflicts |= other.conflicts
        self.add(other.values)
        for name in self.conflicts & self.values.keys():
            del self.values[name]

    def result(self, order: Iterable[str]) -> dict[str, Any]:
        """The attributes that never differed: first those of ``order``, then the others by name."""
        first = [name for name in order if name in self.values]
        rest = sorted(self.values.keys() - set(first))
        return {name: self.values[name] for name in (*first, *rest)}
