"""What the user chooses about combining: checked once, the same for a plan made in a loop and by a pipeline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vz_beam.combine.attributes import DROP_CONFLICTS, MEANING, OTHERS, RULES
from vz_beam.errors import InputError
from vz_beam.patterns.foreign import as_index
from vz_beam.patterns.index import Index

CHUNKS_PER_SHARD = 100_000
"""The default ``record_size`` of kerchunk: a Parquet file of this many rows is read in about 10 ms."""
POLICIES = ("raise", "warn", "keep")
"""What may become of something odd: an error, a note in the summary, or nothing."""

_WORDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "order_by": (("index", "coordinate"), ()),
    "holes": (("raise", "missing"), ()),
    "variables": (("raise", "union", "intersection"), ()),
    "chunk_grid": (("regular", "rectilinear"), ()),
    "mismatch": (("raise", "exclude", "split", "rewrite"), ()),
    "overlaps": (POLICIES, ()),
    "gaps": (POLICIES, ()),
}
"""The words of each choice: those of this version, and those that are planned."""


@dataclass(frozen=True, slots=True)
class CombineChoices:
    """How many inputs become one dataset.

    Args:
        chunks_per_shard: chunks of an array that one worker writes as one object.
        order_by: ``"index"`` places inputs in the pattern's order, ``"coordinate"`` by the values of the concatenated
            dimension's coordinate.
        holes: what becomes of inputs that the pattern promises and that are absent or failed: ``"raise"``, or
            ``"missing"``, where their chunks are missing and read as missing data.
        absent: inputs of the pattern that are known not to exist (``pattern.missing()``): with ``holes="missing"``
            their coordinates come from their keys.
        variables: what becomes of variables that only some inputs have: ``"raise"``, ``"union"`` keeps them with the
            others' parts missing, ``"intersection"`` leaves them out.
        fill_values: by path: what missing parts of variables read as that have no attribute ``_FillValue`` and cannot
            hold NaN. It becomes their ``_FillValue``: name a value that the data do not have.
        mismatch: what becomes of inputs that disagree: ``"raise"`` lists every disagreement in one error,
            ``"exclude"`` leaves out those that differ from most others, which count as failures, ``"split"`` makes a
            group for each era of inputs that agree: ``era_1``, ``era_2`` in the order of their first ones,
            ``"rewrite"`` writes those chunks anew that are stored in another way than most (packing, type, codecs,
            chunk shape), or that hold the end of one input and the beginning of the next.
        chunk_grid: ``"regular"``, or ``"rectilinear"``, where chunks along the joined dimensions may have any lengths,
            such as those of monthly files that are one chunk each. Only Icechunk repositories and Zarr stores can say
            so, and zarr 3.2 and later read it, once ``zarr.config.set({"array.rectilinear_chunks": True})`` says that
            they may. Arrays whose chunks are all of one shape stay regular.
        attributes: rules by name of attribute for those that differ: ``"drop_conflicts"`` leaves them out, ``"first"``
            keeps the value of the first input that has one, ``"same"`` makes a difference a mismatch, and so are all
            that change what values mean (``units``, ``scale_factor``, ...) without being asked. ``"override"`` is
            ``"first"`` for those as well: you say that the inputs mean the same. The name ``"*"`` is for all others
            that change no meaning; without it they are dropped.
        tolerance: by path, or one for all: how far loaded numbers that are to agree, such as latitudes, may be apart,
            in their own units, and times in seconds. Those of the first input are kept.
        overlaps: what becomes of a dimension coordinate whose values overlap, repeat or run backwards from one input
            to the next.
        gaps: what becomes of places at which a regular dimension coordinate goes on later than its step says.

    Raises:
        InputError: another word, fewer than one chunk, a rule that cannot be followed.
    """

    chunks_per_shard: int = CHUNKS_PER_SHARD
    order_by: str = "index"
    holes: str = "raise"
    absent: tuple[Index, ...] = ()
    variables: str = "raise"
    fill_values: Mapping[str, Any] = field(default_factory=dict)
    mismatch: str = "raise"
    chunk_grid: str = "regular"
    attributes: Mapping[str, str] = field(default_factory=dict)
    tolerance: float | Mapping[str, float] = field(default_factory=dict)
    overlaps: str = "raise"
    gaps: str = "warn"

    def __post_init__(self) -> None:
        if self.chunks_per_shard < 1:
            raise InputError(f"chunks_per_shard={self.chunks_per_shard} must be at least 1")
        for name, (known, planned) in _WORDS.items():
            value, words = getattr(self, name), ", ".join(map(repr, known))
            if value in planned:
                raise InputError(f"{name}={value!r} is not in this version of vz_beam; it has {words}")
            if value not in known:
                raise InputError(f"{name}={value!r} is not one of {words}")
        if not isinstance(self.fill_values, Mapping):
            raise InputError(f"fill_values={self.fill_values!r} is to be a mapping of paths to values")
        object.__setattr__(self, "fill_values", dict(self.fill_values))
        object.__setattr__(self, "absent", tuple(map(as_index, self.absent)))
        object.__setattr__(self, "attributes", _rules(self.attributes))
        object.__setattr__(self, "tolerance", _tolerances(self.tolerance))

    @property
    def overridden(self) -> frozenset[str]:
        """Attributes that may differ although they change what values mean."""
        return frozenset(name for name, rule in self.attributes.items() if rule == "override")

    def tolerance_of(self, path: str) -> float:
        """How far values of a loaded variable may be apart that are to agree."""
        assert isinstance(self.tolerance, Mapping)
        return self.tolerance.get(path, self.tolerance.get(OTHERS, 0.0))


def _rules(attributes: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(attributes, Mapping):
        raise InputError(f"attributes={attributes!r} is to be a mapping of names to rules")
    for name, rule in attributes.items():
        if rule not in RULES:
            raise InputError(f"the rule {rule!r} of attribute {name!r} is not one of {', '.join(map(repr, RULES))}")
        if name in MEANING and rule in ("first", DROP_CONFLICTS):
            raise InputError(
                f"attribute {name!r} changes what values mean, and {rule!r} would show wrong ones where inputs differ. "
                "Way out: 'override', if you know that they mean the same"
            )
    return dict(attributes)


def _tolerances(tolerance: Any) -> dict[str, float]:
    given = tolerance if isinstance(tolerance, Mapping) else {OTHERS: tolerance}
    for path, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise InputError(f"the tolerance {value!r} of {path!r} is to be a number from 0 on")
    return {path: float(value) for path, value in given.items()}
