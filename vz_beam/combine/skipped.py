"""What parsers left out because they were asked to: said by a dataset, by an input, and of all inputs together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import xarray as xr

from vz_beam.combine.schema import join_path, nodes_of, source_of
from vz_beam.patterns.index import Index

SKIPPED_KEY = "skipped"
"""Of ``Dataset.encoding``, which no store gets: ``merge``, ``map`` and ``drop_encoding`` lose it, all else keeps it
(measured: xarray 2026.9)."""


@dataclass(frozen=True, slots=True)
class SkippedInput:
    """The variables that were left out of one input, as they flow to the summary: ``reasons`` by path, sorted."""

    index: Index
    url: str
    reasons: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", dict(sorted(self.reasons.items())))

    @property
    def rank(self) -> tuple[tuple[int, ...], str, tuple[tuple[str, str], ...]]:
        """What inputs are sorted by; two of one rank say the same."""
        return self.index.numbers, self.url, tuple(self.reasons.items())


@dataclass(frozen=True, slots=True)
class SkippedVariable:
    """A variable that was left out of some inputs.

    Args:
        path: of the variable.
        reason: why, in the first of those inputs in the pattern's order; others may differ in numbers.
        inputs: number of those inputs.
        url: of the first one.
    """

    path: str
    reason: str
    inputs: int
    url: str

    def __str__(self) -> str:
        where = f"{self.inputs:,} inputs, the first is {self.url}" if self.inputs > 1 else self.url
        return f"{self.path!r}: {one_line(self.reason)} (in {where})"


def skipped_in(dataset: xr.Dataset | xr.DataTree) -> dict[str, str]:
    """Reasons by path of what was left out of a dataset or tree when it was opened."""
    return {
        join_path(group, name): reason
        for group, node in nodes_of(dataset)
        for name, reason in node.encoding.get(SKIPPED_KEY, {}).items()
    }


def skipped_inputs(index: Index, dataset: xr.Dataset | xr.DataTree) -> Iterable[SkippedInput]:
    """The input at ``index`` if anything was left out of it, else nothing."""
    reasons = skipped_in(dataset)
    return [SkippedInput(index, source_of(dataset, index), reasons)] if reasons else []


def distinct_inputs(skipped: Iterable[SkippedInput]) -> list[SkippedInput]:
    """One of each input, in the pattern's order, whatever order they come in and how often."""
    known: dict[tuple[int, ...], SkippedInput] = {}
    for one in skipped:
        numbers = one.index.numbers
        if numbers not in known or one.rank < known[numbers].rank:
            known[numbers] = one
    return [known[numbers] for numbers in sorted(known)]


def skipped_variables(skipped: Iterable[SkippedInput]) -> tuple[SkippedVariable, ...]:
    """Each variable once, by path: the first of ``skipped``, which are in the pattern's order, is its witness."""
    firsts: dict[str, SkippedInput] = {}
    counts: dict[str, int] = {}
    for one in skipped:
        for path in one.reasons:
            firsts.setdefault(path, one)
            counts[path] = counts.get(path, 0) + 1
    return tuple(
        SkippedVariable(path, firsts[path].reasons[path], counts[path], firsts[path].url) for path in sorted(firsts)
    )


def one_line(text: str) -> str:
    r"""A text without line breaks.

    >>> one_line("cannot be read:\n  * damaged")
    'cannot be read: * damaged'
    """
    return " ".join(text.split())
