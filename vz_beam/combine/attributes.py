"""Which attributes change what the bytes mean, and what becomes of the others when inputs differ.

Source: CF conventions 1.11, appendix A (https://cfconventions.org/cf-conventions/cf-conventions.html#attribute-appendix).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from vz_beam.combine.canonical import canonical_text
from vz_beam.combine.witness import Witness

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
"""Attributes that must be the same in all inputs, unless they are overridden by name."""


NAMING = frozenset(
    [
        "ancillary_variables",
        "bounds",
        "cell_measures",
        "climatology",
        "coordinates",
        "formula_terms",
        "grid_mapping",
    ]
)
"""Attributes whose words are names of other variables."""
PACKING = frozenset(["_FillValue", "_Unsigned", "add_offset", "missing_value", "scale_factor"])
"""Those of them that say how numbers are stored: values can be stored anew by other ones."""
DROP_CONFLICTS = "drop_conflicts"
RULES = ("same", "first", DROP_CONFLICTS, "override")
"""What may become of an attribute that differs; see :class:`vz_beam.combine.choices.CombineChoices`."""
OTHERS = "*"
"""Stands for all attributes that have no rule of their own and change no meaning."""


class Said(NamedTuple):
    """A value of an attribute, and the first input (in the pattern's order) that has it."""

    witness: Witness
    value: Any


class AttributeUnion:
    """Attributes of many inputs: of each the first value, and the first other one. Any order and grouping is the same.

    "First" is in the pattern's order.
    """

    __slots__ = ("firsts", "others")

    def __init__(self) -> None:
        self.firsts: dict[str, Said] = {}
        self.others: dict[str, Said] = {}

    def add(self, witness: Witness, attributes: Mapping[str, Any]) -> None:
        """Take in the attributes of one more input."""
        for name, value in attributes.items():
            self._add(name, Said(witness, value))

    def merge(self, other: AttributeUnion) -> None:
        """Take in what another union knows."""
        for said in (other.firsts, other.others):
            for name, candidate in said.items():
                self._add(name, candidate)

    def result(self, order: Iterable[str], rules: Mapping[str, str]) -> dict[str, Any]:
        """The attributes that are kept: first those of ``order``, then the others by name."""
        kept = [name for name in self.firsts if name not in self.others or _rule(name, rules) != DROP_CONFLICTS]
        first = [name for name in order if name in set(kept)]
        rest = sorted(set(kept) - set(first))
        return {name: self.firsts[name].value for name in (*first, *rest)}

    def conflicts(self, rules: Mapping[str, str]) -> Iterator[tuple[str, Said, Said]]:
        """Name, first and first other value of those attributes that must be the same by their rules, and are not."""
        for name in sorted(self.others):
            if _rule(name, rules) == "same":
                yield name, self.firsts[name], self.others[name]

    def _add(self, name: str, said: Said) -> None:
        known = self.firsts.get(name)
        if known is None:
            self.firsts[name] = said
        elif _same(known.value, said.value):
            if said.witness < known.witness:
                self.firsts[name] = said
        elif said.witness < known.witness:
            # `known` is the first of all that were not `said`
            self.firsts[name], self.others[name] = said, known
        elif name not in self.others or said.witness < self.others[name].witness:
            self.others[name] = said


def _rule(name: str, rules: Mapping[str, str]) -> str:
    return rules.get(name, DROP_CONFLICTS if name in MEANING else rules.get(OTHERS, DROP_CONFLICTS))


def _same(one: Any, other: Any) -> bool:
    if one is other or (isinstance(one, (str, int, float)) and isinstance(other, (str, int, float)) and one == other):
        return True
    return canonical_text(one) == canonical_text(other)
