"""What the user chooses about combining: checked once, the same for a plan made in a loop and by a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vz_beam.combine.layout import CHUNKS_PER_SHARD
from vz_beam.errors import InputError
from vz_beam.patterns.foreign import as_index
from vz_beam.patterns.index import Index

_WORDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "order_by": (("index", "coordinate"), ()),
    "holes": (("raise", "missing"), ()),
    "variables": (("raise", "union", "intersection"), ()),
    "mismatch": (("raise", "exclude", "split"), ("rewrite",)),
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
            group for each era of inputs that agree: ``era_1``, ``era_2`` in the order of their first ones.

    Raises:
        InputError: another word, or fewer than one chunk.
    """

    chunks_per_shard: int = CHUNKS_PER_SHARD
    order_by: str = "index"
    holes: str = "raise"
    absent: tuple[Index, ...] = ()
    variables: str = "raise"
    fill_values: Mapping[str, Any] = field(default_factory=dict)
    mismatch: str = "raise"

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
