"""The inputs that a store was made of, what each was then, and the places of those that it lacks.

Kept in the store, for appending, filling and verification.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from vz_beam.combine.hole import Hole
from vz_beam.errors import FormatError, StoreExistsError
from vz_beam.storage.identity import Identity
from vz_beam.storage.parquet_tables import table_of
from vz_beam.storage.urls import url_in_stores

INPUTS_KEY = "vz_beam/inputs.parquet"
"""Where a store that is a folder keeps them."""
_SCHEMA = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag", pa.string()),
        pa.field("modified", pa.string()),
    ]
)
_HOLES = b"vz_beam.holes"
"""Of the file's own metadata: the holes as JSON, where there are any."""
_SHOWN = 5
"""Inputs that an error names."""


class InputTable(NamedTuple):
    """What a store knows of its inputs; each list is sorted."""

    inputs: tuple[Identity, ...] = ()
    holes: tuple[Hole, ...] = ()

    @classmethod
    def of(cls, inputs: Iterable[Identity], holes: Iterable[Hole]) -> InputTable:
        """Each input once, by URL; those of one URL that differ are both there."""
        once = sorted(set(inputs), key=lambda one: (one.url, one.size, one.etag or "", one.modified or ""))
        named = (hole._replace(url=url_in_stores(hole.url)) if hole.url else hole for hole in holes)
        return cls(tuple(once), tuple(sorted(named, key=lambda hole: (hole.ranges, hole.url, str(hole.keys)))))


def inputs_file(table: InputTable) -> bytes:
    """The table as a Parquet file: the same bytes for the same inputs."""
    columns = [pa.array([getattr(one, field.name) for one in table.inputs], field.type) for field in _SCHEMA]
    holes = {_HOLES: json.dumps([hole.to_json() for hole in table.holes]).encode()} if table.holes else None
    buffer = io.BytesIO()
    rows = pa.table(columns, schema=_SCHEMA).replace_schema_metadata(holes)
    # pyarrow writes metadata with its own schema only
    options = {"compression": "zstd", "compression_level": 3, "store_schema": bool(table.holes)}
    pq.write_table(rows, buffer, **options)
    return buffer.getvalue()


def read_inputs_file(data: bytes, url: str) -> InputTable:
    """The table that :func:`inputs_file` wrote; ``url`` names the store.

    Raises:
        FormatError: a damaged file.
    """
    try:
        table = table_of(data, _SCHEMA.names)
        holes = tuple(map(Hole.from_json, json.loads((table.schema.metadata or {}).get(_HOLES, b"[]"))))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{INPUTS_KEY} of {url} is damaged ({str(error)[:200]}). Way out: build the store anew, or delete this "
            "file: inputs are then no longer recognised"
        ) from None
    rows = zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True)
    return InputTable(tuple(Identity(*row) for row in rows), holes)


def joined_tables(stored: InputTable, added: InputTable, url: str) -> InputTable:
    """The table of a store that grows.

    Raises:
        StoreExistsError: what is added is in the store already.
    """
    known = {one.url: one for one in stored.inputs}
    if again := [one for one in added.inputs if one.url in known]:
        changed = sum(not one.is_same(known[one.url]) for one in again)
        named = ", ".join(one.url for one in again[:_SHOWN]) + (", ..." if len(again) > _SHOWN else "")
        how = f", {changed:,} of them since changed" if changed else ""
        raise StoreExistsError(
            f"{len(again):,} of {len(added.inputs):,} inputs are in {url} already{how}: {named}. Way out: append only "
            "new ones, as build(mode='append') and vz-beam append do by themselves; or build the store anew "
            "(mode='overwrite')"
        )
    return InputTable.of([*known.values(), *added.inputs], [*stored.holes, *added.holes])
