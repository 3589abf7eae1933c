"""What happens in a run, as structured logs.

The logger ``vz_beam`` gets each event as ``EVENT {JSON}``, which engines collect from their workers; its records have
the same as the dict ``vz_beam``. Where the environment variable ``VZ_BEAM_LOG_FILE`` names a file, all processes of
this machine append each event to it as a line of JSON, whatever levels are logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vz_beam.transforms.appended_file import append_to

if TYPE_CHECKING:
    from vz_beam.combine.schema import FailedInput

FILE_VARIABLE = "VZ_BEAM_LOG_FILE"
DETAIL, NOTICE, TROUBLE = logging.DEBUG, logging.INFO, logging.WARNING
_LOGGER = logging.getLogger("vz_beam")


def log_failure(failure: FailedInput) -> None:
    """Tells of an input that goes into no store, at least not now."""
    told = {"url": failure.url, "index": str(failure.index), "error": failure.error_type, "message": failure.message}
    log_event(TROUBLE, "file_failed", **told, attempts=failure.attempts)


def log_event(level: int, event: str, **fields: Any) -> None:
    """Tells that something has happened.

    A log that cannot be written stops no run.

    Args:
        level: ``DETAIL`` (of each file and shard), ``NOTICE`` or ``TROUBLE``.
        event: its name.
        **fields: what is known of it, as JSON has it; no secrets.
    """
    told = {name: value for name, value in fields.items() if value is not None}
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, "%s %s", event, json.dumps(told), extra={"vz_beam": {"event": event, **told}})
    if path := os.environ.get(FILE_VARIABLE):
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"time": now, "level": logging.getLevelName(level), "process": os.getpid(), "event": event}
        with contextlib.suppress(OSError):
            append_to(path, json.dumps({**head, **told}).encode() + b"\n")
