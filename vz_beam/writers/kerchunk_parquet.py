"""Kerchunk references in Parquet: one file for each shard, and ``.zmetadata``, which makes them a store.

Source: fsspec ``LazyReferenceMapper``; https://fsspec.github.io/kerchunk/spec.html, "Parquet references".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from vz_beam.combine.layout import Layout
from vz_beam.errors import InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk.parquet_references import read_parquet, record_size_of
from vz_beam.parsers.kerchunk.store_group import Choices
from vz_beam.storage.byte_source import ByteSource
from vz_beam.writers.kerchunk_metadata import store_metadata
from vz_beam.writers.record_store import RecordStoreWriter
from vz_beam.writers.writer import WriteTarget


class KerchunkParquetWriter(RecordStoreWriter):
    """What fsspec and xarray read as references in Parquet.

    Readers of a store with groups must give ``remote_protocol`` among their storage options, and open groups by
    engine ``"zarr"`` on ``"reference://"``: fsspec 2026.9 takes every group for an array when it guesses the protocol,
    and engine ``"kerchunk"`` turns consolidated metadata off, without which zarr 3.1 shows groups as empty.
    """

    name: ClassVar[str] = "kerchunk-parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".parq")
    packages: ClassVar[tuple[str, ...]] = ("kerchunk", "fastparquet")
    metadata_key: ClassVar[str] = ".zmetadata"
    says_fill: ClassVar[bool] = False

    def check(self, target: WriteTarget) -> None:
        """Refuses braces in paths."""
        if "{" in target.url or "}" in target.url:
            raise InputError(
                f"{target.url}: fsspec takes braces in the path of a store for fields to fill in, and could not read "
                "it. Way out: a path without braces"
            )

    def documents(self, layout: Layout) -> Mapping[str, Any]:
        """See :meth:`vz_beam.writers.record_store.RecordStoreWriter.documents`."""
        return store_metadata(layout)

    def metadata_files(self, layout: Layout) -> dict[str, bytes]:
        """See :meth:`vz_beam.writers.record_store.RecordStoreWriter.metadata_files`."""
        document = {"metadata": store_metadata(layout), "record_size": layout.chunks_per_shard}
        return {self.metadata_key: json.dumps(document, ensure_ascii=False).encode()}

    def stored(self, source: ByteSource, choices: Choices) -> tuple[ManifestGroup, int]:
        """See :meth:`vz_beam.writers.record_store.RecordStoreWriter.stored`."""
        return read_parquet(source, None, choices, fill_lost=False), record_size_of(source)


WRITER = KerchunkParquetWriter()
