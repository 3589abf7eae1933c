"""What a build would do, told before it is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.sizes import readable_size
from vz_beam.combine.skipped import SkippedVariable, one_line

_SHOWN = 20
"""Cases of one kind that are printed; the plan itself has them all."""


class ReferenceCount(NamedTuple):
    """Of one array over all opened inputs: references, chunks that are nowhere, bytes that are referenced."""

    references: int = 0
    missing: int = 0
    nbytes: int = 0

    def plus(self, other: ReferenceCount) -> ReferenceCount:
        """Both together."""
        return ReferenceCount(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a build would do.

    Args:
        inputs: number of inputs of the pattern.
        opened: of those that were opened for the plan, failed ones included.
        layout: of the opened ones; ``None`` where they cannot be combined.
        counts: references by path of array, of the opened ones.
        disagreements: why they cannot be combined, each with both files and both values.
        failures: a text for each input that could not be read.
        skipped: variables that references cannot express, where leaving them out was asked for.
        store: where the store would be, and its format; empty where none was named.
    """

    inputs: int
    opened: int
    layout: Layout | None
    counts: Mapping[str, ReferenceCount] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    skipped: tuple[SkippedVariable, ...] = ()
    store: str = ""

    @property
    def total(self) -> ReferenceCount:
        """References of all arrays together, of the opened inputs."""
        total = ReferenceCount()
        for count in self.counts.values():
            total = total.plus(count)
        return total

    def __str__(self) -> str:
        whole = self.inputs / max(1, self.opened)
        about = "" if self.opened == self.inputs else "about "
        lines = [f"plan of {self.store or 'a store'}, nothing is written"]
        of_all = "" if self.opened == self.inputs else f" of {self.inputs:,} (a sample: what follows is of these)"
        lines.append(f"  inputs      {self.opened:,}{of_all} opened, {len(self.failures):,} failed")
        if self.layout is not None:
            lines += [f"  array       {told}" for told in map(self._array, self.layout.arrays.items())]
        total = self.total
        lines.append(
            f"  references  {about}{round(total.references * whole):,} to "
            f"{readable_size(round(total.nbytes * whole))} in the files"
        )
        if self.layout is not None:
            shards = sum(1 for _ in self.layout.shard_keys())
            lines.append(f"  shards      {shards:,} of at most {self.layout.chunks_per_shard:,} chunks")
        notes = () if self.layout is None else (*self.layout.notes, *self.layout.reading_notes)
        for title, texts in (
            ("disagree", self.disagreements),
            ("failed", self.failures),
            ("excluded", () if self.layout is None else tuple(map(str, self.layout.excluded.values()))),
            ("skipped", tuple(map(str, self.skipped))),
            ("note", notes),
        ):
            lines += [f"  {title:<11} {one_line(text)}" for text in texts[:_SHOWN]]
            if len(texts) > _SHOWN:
                lines.append(f"  {title:<11} and {len(texts) - _SHOWN:,} more")
        return "\n".join(lines)

    def _array(self, item: tuple[str, ArrayLayout]) -> str:
        assert self.layout is not None
        path, array = item
        metadata = array.metadata
        names = metadata.dimension_names or ()
        sizes = ", ".join(f"{name}: {length:,}" for name, length in zip(names, metadata.shape, strict=False))
        chunks = metadata.chunk_grid.shown or "one value"
        if array.is_loaded:
            return f"{path}({sizes}) {metadata.dtype}, loaded"
        shards = math.ceil(metadata.chunk_grid.size / self.layout.chunks_per_shard)
        told = f"{path}({sizes}) {metadata.dtype} in chunks of {chunks}"
        if (count := self.counts.get(path)) is not None:  # an era has a part of them
            told += f", {count.references:,} references to {readable_size(count.nbytes)}"
        return f"{told}, {shards:,} shard{'' if shards == 1 else 's'}"
