"""What is not in a store, listed beside it: inputs that failed, and variables that were skipped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vz_beam.combine.schema import FailedInput
from vz_beam.combine.skipped import SkippedInput, distinct_inputs, skipped_variables
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.url_secrets import without_secrets
from vz_beam.writers.store_summary import StoreSummary

FAILURES = "failures.jsonl"
SKIPPED = "skipped.jsonl"


def record_failures(
    summary: StoreSummary,
    failures: Sequence[FailedInput],
    storage_options: Mapping[str, Any] | None = None,
    *,
    goes_on: bool = False,
    tried: Iterable[str] = (),
) -> StoreSummary:
    """List ``failures`` beside the store, one JSON object a line; returns the summary that names them.

    ``goes_on`` keeps what is listed there of the store already, but for inputs that were ``tried`` again.
    """
    ordered = sorted(failures, key=lambda failure: (failure.index.numbers, failure.url, failure.message))
    records = (
        {
            "index": str(failure.index),
            "url": failure.url,
            "error": failure.error_type,
            "message": failure.message,
            "attempts": failure.attempts,
        }
        for failure in ordered
    )
    _replace_lines(summary.url, FAILURES, records, storage_options, goes_on, frozenset(map(without_secrets, tried)))
    return replace(summary, failures=tuple(map(str, ordered)))


def record_skipped(
    summary: StoreSummary,
    skipped: Iterable[SkippedInput],
    storage_options: Mapping[str, Any] | None = None,
    *,
    goes_on: bool = False,
) -> StoreSummary:
    """List what was left out of each input beside the store, one JSON object an input; returns the summary of it.

    ``goes_on`` keeps what is listed there of the store already.
    """
    ordered = distinct_inputs(skipped)
    records = ({"index": str(one.index), "url": one.url, "skipped": one.reasons} for one in ordered)
    _replace_lines(summary.url, SKIPPED, records, storage_options, goes_on)
    return replace(summary, skipped=skipped_variables(ordered))


def _replace_lines(
    url: str,
    file_name: str,
    records: Iterable[Mapping[str, Any]],
    storage_options: Mapping[str, Any] | None,
    goes_on: bool,
    tried: frozenset[str] = frozenset(),
) -> None:
    """The lines of the store at ``url`` replace those of its earlier runs; those of other stores in the folder stay.

    Where a store goes on, its earlier lines stay too, but for those of the same inputs and of those ``tried`` again.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    folder = open_sink(parent, storage_options)
    records = list(records)
    lines = [json.dumps({"store": name, **record}, ensure_ascii=False) for record in records]
    again = tried.union(record["url"] for record in records)
    # not splitlines: it also cuts at separators that JSON leaves unescaped
    known = folder.read(file_name).decode().split("\n")[:-1] if folder.exists(file_name) else []
    others = [line for line in known if _stays(json.loads(line), name, again, goes_on)]
    if not lines and len(others) == len(known):
        return
    if others or lines:
        folder.write(file_name, "".join(f"{line}\n" for line in [*others, *lines]).encode())
    else:
        folder.delete(file_name)


def _stays(record: Mapping[str, Any], name: str, again: frozenset[str], goes_on: bool) -> bool:
    return record.get("store") != name or (goes_on and record.get("url") not in again)
