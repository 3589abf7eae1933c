"""What a writer reports: a receipt for each shard, and one summary of the published store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vz_beam.combine.fragment import ShardKey
from vz_beam.combine.sizes import readable_size
from vz_beam.combine.skipped import SkippedVariable, one_line


@dataclass(frozen=True, slots=True)
class ShardReceipt:
    """Proof that a shard was written.

    Args:
        key: the shard.
        rows: chunks that the shard says, inlined ones included.
        missing: chunks of the shard that are nowhere.
        inlined: those of ``rows`` whose bytes are in the store.
        nbytes: size of the shard's file, bytes.
        checksum: CRC-32 of the shard's file, by which a repeated commit knows what it has published.
        virtual_nbytes: what the references point at, bytes.
        protocols: of the referenced URLs, sorted, such as ``("s3",)``.
        placed: number of references that inputs gave, those that the layout holds left out.
    """

    key: ShardKey
    rows: int
    missing: int
    inlined: int
    nbytes: int
    checksum: int
    virtual_nbytes: int
    protocols: tuple[str, ...] = ()
    placed: int = 0


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """A published store.

    Args:
        url: where it is.
        format: the writer's name.
        arrays: number of arrays.
        dimensions: length of each dimension of the root group, elements.
        references: chunks that the written shards say, inlined ones included; where a store was created, all of it.
        missing: chunks of these shards that read as the fill value.
        inlined: those of ``references`` whose bytes are in the store.
        virtual_nbytes: what the references point at, bytes.
        added: references that the inputs gave.
        kept: chunks of shards that stay as they are, where a store has grown.
        stored_nbytes: size of the store itself, bytes.
        files: number of inputs.
        failures: a text for each input that was left out, as it could not be read; ``failures.jsonl`` beside the store
            says more.
        packages: what a reader must have installed beside xarray and zarr.
        skipped: each variable that was left out of the inputs, as they were opened with ``unsupported="skip"``;
            ``skipped.jsonl`` beside the store has the reasons of every input.
        notes: what the user should know although it is no error.
        rewritten_chunks: number of chunks that were written anew, beside the store.
        rewritten_nbytes: their size as they are now, bytes.
        copied_nbytes: what was read for them, bytes.
        counts: what the pipelines counted, by the names of Beam's metrics: ``requests`` and ``bytes_read`` for opening,
            ``files_failed_FormatError``, ``open_milliseconds`` of all workers, and so on.
    """

    url: str
    format: str
    arrays: int
    dimensions: Mapping[str, int] = field(default_factory=dict)
    references: int = 0
    missing: int = 0
    inlined: int = 0
    virtual_nbytes: int = 0
    added: int = 0
    kept: int = 0
    stored_nbytes: int = 0
    files: int = 0
    failures: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    skipped: tuple[SkippedVariable, ...] = ()
    notes: tuple[str, ...] = ()
    rewritten_chunks: int = 0
    rewritten_nbytes: int = 0
    copied_nbytes: int = 0
    counts: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        sizes = ", ".join(f"{name}: {length:,}" for name, length in self.dimensions.items())
        plural = "" if self.arrays == 1 else "s"
        referenced, stored = readable_size(self.virtual_nbytes), readable_size(self.stored_nbytes)
        lines = [f"{self.url} ({self.format})"]
        if self.arrays:
            lines += [
                f"  holds       {self.arrays} array{plural}" + (f" over {sizes}" if sizes else ""),
                f"  references  {self.references:,} ({self.inlined:,} inlined, {self.missing:,} chunks missing)",
                *([f"  of these    {self.added:,} new; {self.kept:,} chunks stay as they are"] if self.kept else []),
                f"  data        {referenced} referenced, {stored} stored",
            ]
        if self.rewritten_chunks:
            lines.append(
                f"  rewritten   {self.rewritten_chunks:,} chunks, {readable_size(self.copied_nbytes)} read and "
                f"{readable_size(self.rewritten_nbytes)} written beside the store"
            )
        if self.files:
            lines.append(f"  inputs      {self.files:,} read, {len(self.failures):,} failed")
        if requests := self.counts.get("requests", 0):
            repeated, nbytes = self.counts.get("requests_repeated", 0), self.counts.get("bytes_read", 0)
            lines.append(
                f"  requests    {requests:,}, {repeated:,} repeated, {readable_size(nbytes)} read to open files"
            )
        for title, texts in (
            ("failed", self.failures),
            ("skipped", tuple(map(str, self.skipped))),
            ("note", self.notes),
        ):
            lines += [f"  {title:<11} {one_line(text)}" for text in texts[:_SHOWN]]
            if len(texts) > _SHOWN:
                lines.append(f"  {title:<11} and {len(texts) - _SHOWN:,} more")
        if self.packages:
            lines.append(f"  to read     pip install {' '.join(self.packages)}")
        return "\n".join(lines)


_SHOWN = 5
"""Failures and the like shown in a summary: enough to see what is wrong; ``failures`` has them all."""
