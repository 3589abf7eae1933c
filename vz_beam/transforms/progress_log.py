"""What workers on this machine have done so far, in a file that all of them append to."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from vz_beam.transforms.appended_file import append_to

RECORD = struct.Struct("<qqq")
"""Files opened, references, files failed. One append of 24 bytes is not torn apart by those of other processes."""


class Progress(NamedTuple):
    """Sums over all workers."""

    files: int
    references: int
    failures: int


class ProgressLog:
    """Notes of workers in the file at ``path``; with ``None`` nothing is noted."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def note_opened(self, references: int) -> None:
        """One more file was opened."""
        self._append(1, references, 0)

    def note_failed(self) -> None:
        """One more file could not be opened."""
        self._append(0, 0, 1)

    def read(self) -> Progress:
        """What was noted so far."""
        if self._path is None or not os.path.exists(self._path):
            return Progress(0, 0, 0)
        with open(self._path, "rb") as file:
            data = file.read()
        records = list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))
        return Progress(*(sum(column) for column in zip(*records, strict=True))) if records else Progress(0, 0, 0)

    def _append(self, *record: int) -> None:
        if self._path is None:
            return
        append_to(self._path, RECORD.pack(*record))
