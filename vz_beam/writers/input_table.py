"""The inputs that a store was made of, and what each was then: kept in the store, for appending and verification."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from vz_beam.errors import FormatError, StoreExistsError
from vz_beam.storage.identity import Identity

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
_SHOWN = 5
"""Inputs that an error names."""


def sorted_inputs(inputs: Iterable[Identity]) -> list[Identity]:
    """Each once, by URL; those of one URL that differ are both there."""
    return sorted(set(inputs), key=lambda one: (one.url, one.size, one.etag or "", one.modified or ""))


def inputs_file(inputs: Sequence[Identity]) -> bytes:
    """The table as a Parquet file: the same bytes for the same inputs."""
    columns = [pa.array([getattr(one, field.name) for one in inputs], field.type) for field in _SCHEMA]
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=_SCHEMA), buffer, compression="zstd", compression_level=3, store_schema=False
    )
    return buffer.getvalue()


def read_inputs_file(data: bytes, url: str) -> list[Identity]:
    """The inputs that :func:`inputs_file` wrote; ``url`` names the store.

    Raises:
        FormatError: a damaged file.
    """
    try:
        table = pq.read_table(pa.BufferReader(data), columns=_SCHEMA.names)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise FormatError(
            f"{INPUTS_KEY} of {url} is damaged ({str(error)[:200]}). Way out: build the store anew, or delete this "
            "file: inputs are then no longer recognised"
        ) from None
    return [Identity(*row) for row in zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True)]


def joined_inputs(stored: Iterable[Identity], added: Iterable[Identity], url: str) -> list[Identity]:
    """The inputs of a store that grows.

    Raises:
        StoreExistsError: what is added is in the store already.
    """
    known = {one.url: one for one in stored}
    added = sorted_inputs(added)
    if again := [one for one in added if one.url in known]:
        changed = sum(not one.is_same(known[one.url]) for one in again)
        named = ", ".join(one.url for one in again[:_SHOWN]) + (", ..." if len(again) > _SHOWN else "")
        how = f", {changed:,} of them since changed" if changed else ""
        raise StoreExistsError(
            f"{len(again):,} of {len(added):,} inputs are in {url} already{how}: {named}. Way out: append only new "
            "ones, as build(mode='append') and vz-beam append do by themselves; or build the store anew "
            "(mode='overwrite')"
        )
    return sorted_inputs([*known.values(), *added])
