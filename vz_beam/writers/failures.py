"""Inputs that failed, listed in ``failures.jsonl`` in the folder of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vz_beam.combine.schema import FailedInput
from vz_beam.storage.byte_sink import open_sink
from vz_beam.writers.store_summary import StoreSummary

FILE_NAME = "failures.jsonl"


def record_failures(
    summary: StoreSummary, failures: Sequence[FailedInput], storage_options: Mapping[str, Any] | None = None
) -> StoreSummary:
    """List ``failures`` beside the store, one JSON object a line; returns the summary that names them.

    The lines of this store replace those of its earlier runs; those of other stores in the folder stay.
    """
    parent, _, name = summary.url.rstrip("/").rpartition("/")
    folder = open_sink(parent, storage_options)
    lines = []
    if folder.exists(FILE_NAME):
        known = folder.read(FILE_NAME).decode().splitlines()
        lines = [line for line in known if json.loads(line).get("store") != name]
        if not failures and len(lines) == len(known):
            return summary
    ordered = sorted(failures, key=lambda failure: (failure.index.numbers, failure.url, failure.message))
    lines += [
        json.dumps(
            {
                "store": name,
                "index": str(failure.index),
                "url": failure.url,
                "error": failure.error_type,
                "message": failure.message,
                "attempts": failure.attempts,
            },
            ensure_ascii=False,
        )
        for failure in ordered
    ]
    if lines:
        folder.write(FILE_NAME, "".join(f"{line}\n" for line in lines).encode())
    else:
        folder.delete(FILE_NAME)
    return replace(summary, failures=tuple(map(str, ordered)))
