"""Receipts counted against the layout, and the summary that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vz_beam.codecs.decoding import required_packages
from vz_beam.combine.fragment import ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import IncompleteStoreError
from vz_beam.writers.shard_rows import chunks_in_shard
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary

_SHOWN = 10
"""Shards named in a message; the count says how many there are."""

_PROTOCOL_PACKAGES = {
    "s3": ("s3fs",),
    "gs": ("gcsfs",),
    "gcs": ("gcsfs",),
    "az": ("adlfs",),
    "abfs": ("adlfs",),
    "abfss": ("adlfs",),
    "http": ("aiohttp", "requests"),
    "https": ("aiohttp", "requests"),
}
_DISTRIBUTIONS = {"vz_beam": "vz-beam"}
"""Packages whose name for ``import`` is not their name for ``pip install``."""


def check_receipts(layout: Layout, receipts: Iterable[ShardReceipt], url: str) -> dict[ShardKey, ShardReceipt]:
    """The receipt of every shard; the same one twice is one.

    Raises:
        IncompleteStoreError: shards without a receipt, with two that differ, that the layout does not know, or
            whose chunks do not add up; arrays with fewer references than their inputs have.
    """
    known: dict[ShardKey, ShardReceipt] = {}
    differ: list[ShardKey] = []
    for receipt in receipts:
        key = ShardKey(*receipt.key)
        if known.setdefault(key, receipt) != receipt:
            differ.append(key)
    planned = list(layout.shard_keys())
    expected = set(planned)
    problems = [
        _problem("did not arrive", [key for key in planned if key not in known]),
        _problem("are not in the layout", sorted(key for key in known if key not in expected)),
        _problem("were written twice, with different contents", sorted(differ)),
        _problem(
            "hold another number of chunks than planned",
            [
                key
                for key in planned
                if key in known and known[key].rows + known[key].missing != chunks_in_shard(layout, key)
            ],
        ),
    ]
    problems += _lost_references(layout, known)
    found = "; ".join(problem for problem in problems if problem)
    if found:
        raise IncompleteStoreError(
            f"store {url} is not published, {len(planned):,} shards were planned: {found}. "
            "Way out: run again; nothing of this run is visible"
        )
    return {key: known[key] for key in planned}


def _lost_references(layout: Layout, receipts: Mapping[ShardKey, ShardReceipt]) -> list[str]:
    arrived: dict[str, int] = {}
    for key, receipt in receipts.items():
        arrived[key.path] = arrived.get(key.path, 0) + receipt.placed
    return [
        f"array {path!r} has {arrived.get(path, 0):,} references, and its inputs have {array.references:,}"
        for path, array in layout.arrays.items()
        if array.references is not None and array.references != arrived.get(path, 0)
    ]


def summarize(
    layout: Layout,
    receipts: Mapping[ShardKey, ShardReceipt],
    url: str,
    format: str,
    stored_nbytes: int,
    packages: tuple[str, ...],
) -> StoreSummary:
    """What was published, ``packages`` being what every store of the format needs."""
    values = receipts.values()
    written = sum(receipt.rows + receipt.missing for receipt in values)
    return StoreSummary(
        url=url,
        format=format,
        arrays=len(layout.arrays),
        dimensions=layout.sizes,
        references=sum(receipt.rows for receipt in values),
        missing=sum(receipt.missing for receipt in values),
        inlined=sum(receipt.inlined for receipt in values),
        virtual_nbytes=sum(receipt.virtual_nbytes for receipt in values),
        added=sum(receipt.placed for receipt in values),
        kept=sum(array.metadata.chunk_grid.size for array in layout.arrays.values()) - written,
        stored_nbytes=stored_nbytes,
        files=layout.inputs,
        failures=tuple(layout.failed),
        packages=_packages(layout, receipts, packages),
        notes=layout.reading_notes,
    )


def _packages(layout: Layout, receipts: Mapping[ShardKey, ShardReceipt], packages: tuple[str, ...]) -> tuple[str, ...]:
    protocols = sorted({protocol for receipt in receipts.values() for protocol in receipt.protocols})
    needed = [*packages, *(package for protocol in protocols for package in _PROTOCOL_PACKAGES.get(protocol, ()))]
    for array in layout.arrays.values():
        serializer = array.metadata.serializer
        codecs = array.metadata.codecs if serializer is None else (serializer, *array.metadata.codecs)
        needed += [_DISTRIBUTIONS.get(package, package) for package in required_packages(codecs)]
    return tuple(dict.fromkeys(needed))


def _problem(text: str, keys: list[ShardKey]) -> str:
    if not keys:
        return ""
    shown = ", ".join(f"{key.path} shard {key.number}" for key in keys[:_SHOWN])
    more = f" and {len(keys) - _SHOWN:,} more" if len(keys) > _SHOWN else ""
    return f"{len(keys):,} {text}: {shown}{more}"
