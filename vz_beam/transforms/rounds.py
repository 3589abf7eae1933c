"""Stores built in rounds: each one pipeline, published before the next begins, so that memory stays as one needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vz_beam.combine.skipped import SkippedVariable
from vz_beam.writers.store_summary import StoreSummary


def joined_summary(rounds: Sequence[StoreSummary]) -> StoreSummary:
    """One summary of all rounds: the store as the last one left it, and what each of them did.

    Args:
        rounds: at least one, in order.
    """
    last = rounds[-1]
    return replace(
        last,
        added=sum(one.added for one in rounds),
        files=sum(one.files for one in rounds),
        failures=tuple(text for one in rounds for text in one.failures),
        skipped=_joined_skipped(one.skipped for one in rounds),
        notes=tuple(dict.fromkeys(note for one in rounds for note in one.notes)),
        rewritten_chunks=sum(one.rewritten_chunks for one in rounds),
        rewritten_nbytes=sum(one.rewritten_nbytes for one in rounds),
        copied_nbytes=sum(one.copied_nbytes for one in rounds),
        counts=_added(one.counts for one in rounds),
    )


def _added(rounds: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in rounds:
        total.update(counts)
    return dict(total)


def _joined_skipped(rounds: Iterable[tuple[SkippedVariable, ...]]) -> tuple[SkippedVariable, ...]:
    found: dict[object, SkippedVariable] = {}
    for skipped in rounds:
        for one in skipped:
            known = found.get(one.path)
            found[one.path] = one if known is None else replace(known, inputs=known.inputs + one.inputs)
    return tuple(found.values())
