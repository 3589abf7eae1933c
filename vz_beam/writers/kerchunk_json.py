"""Kerchunk references in one JSON file, for stores that are not large.

Source: https://fsspec.github.io/kerchunk/spec.html, version 1, without templates and generators.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import IncompleteStoreError, StoreExistsError, UnsupportedError
from vz_beam.writers.dataset_references import chunk_references, metadata_texts
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.receipts import check_receipts, summarize
from vz_beam.writers.shard_rows import shard_rows
from vz_beam.writers.staging import Staging, open_staging
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import WriteTarget

MAX_REFERENCES = 2_000_000
"""A reader holds all references in memory, 236 MB a million (measured), and reads them all before the first value."""


class KerchunkJSONWriter:
    """Writes one file. Each shard is a part in ``.<name>.building``, and commit joins the parts."""

    name = "kerchunk-json"
    suffixes = (".json",)
    packages = ("kerchunk",)

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """See :meth:`vz_beam.writers.writer.Writer.begin`."""
        store_metadata(layout)
        chunks = sum(array.metadata.chunk_grid.size for array in layout.arrays.values())
        if chunks > MAX_REFERENCES:
            raise UnsupportedError(
                f"{target.url}: {chunks:,} chunks are more than the {MAX_REFERENCES:,} that one JSON file should hold, "
                "since a reader keeps all of them in memory. Way out: write to a name ending in .parquet"
            )
        staging = open_staging(target, storage_options)
        if target.mode == "create" and staging.is_taken():
            raise _exists(target)
        staging.parent.delete(staging.building)

    def write_shard(
        self,
        target: WriteTarget,
        layout: Layout,
        key: ShardKey,
        fragment: Fragment,
        storage_options: Mapping[str, Any] | None = None,
    ) -> ShardReceipt:
        """See :meth:`vz_beam.writers.writer.Writer.write_shard`."""
        rows = shard_rows(layout, key, fragment)
        grid_shape = layout.arrays[key.path].metadata.chunk_grid.grid_shape
        lines = (_line(name, reference) for name, reference in chunk_references(rows, grid_shape))
        data = "\n".join(lines).encode()
        staging = open_staging(target, storage_options)
        staging.parent.sub(staging.building).write(_part_key(key), data)
        return rows.receipt(len(data))

    def commit(
        self,
        target: WriteTarget,
        layout: Layout,
        receipts: Iterable[ShardReceipt],
        storage_options: Mapping[str, Any] | None = None,
    ) -> StoreSummary:
        """See :meth:`vz_beam.writers.writer.Writer.commit`."""
        staging = open_staging(target, storage_options)
        counted = check_receipts(layout, receipts, target.url)
        references = sum(receipt.rows for receipt in counted.values())
        nbytes = _published_nbytes(staging, layout, references)
        if nbytes is None:
            data = _join(staging, layout, counted, target)
            if target.mode == "create" and staging.is_taken() and staging.parent.read(staging.name) != data:
                raise _exists(target)
            staging.parent.write(staging.name, data)
            staging.parent.delete(staging.building)
            nbytes = len(data)
        return summarize(layout, counted, staging.url, self.name, nbytes, self.packages)


def _line(name: str, reference: str | list[Any]) -> str:
    # A tab sorts before all that JSON leaves unescaped in a key, so lines sort as their keys do.
    return f"{json.dumps(name, ensure_ascii=False)}\t{json.dumps(reference, ensure_ascii=False)}"


def _part_key(key: ShardKey) -> str:
    return f"{key.path}/{key.number}.part"


def _join(staging: Staging, layout: Layout, receipts: Iterable[ShardKey], target: WriteTarget) -> bytes:
    parts = staging.parent.sub(staging.building)
    found = set(parts.list())
    lines = [_line(name, text) for name, text in metadata_texts(layout)]
    for key in receipts:
        name = _part_key(key)
        if name not in found:
            raise IncompleteStoreError(
                f"store {target.url} is not published: {name} is not in {parts.url} although it was written. "
                "Way out: run again, one run at a time"
            )
        # Not splitlines: it also cuts at separators that JSON leaves unescaped.
        lines += [line for line in parts.read(name).decode().split("\n") if line]
    lines.sort()
    text = ",\n".join(line.replace("\t", ": ", 1) for line in lines)
    return f'{{"version": 1, "refs": {{\n{text}\n}}}}\n'.encode()


def _published_nbytes(staging: Staging, layout: Layout, references: int) -> int | None:
    """Size of the store, where a commit that is now repeated has published it; else ``None``."""
    if staging.parent.sub(staging.building).exists() or not staging.parent.exists(staging.name):
        return None
    data = staging.parent.read(staging.name)
    try:
        found = json.loads(data).get("refs", {})
    except ValueError:
        return None
    documents = dict(metadata_texts(layout))
    same = len(found) == references + len(documents) and documents.items() <= found.items()
    return len(data) if same else None


def _exists(target: WriteTarget) -> StoreExistsError:
    return StoreExistsError(
        f"{target.url} is there already. Way out: another name, mode='overwrite' to replace it, or delete it yourself"
    )


WRITER = KerchunkJSONWriter()
