"""What a file was when it was read: its size and what its storage says of its version."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Two identities of one URL that differ mean that the file changed in between.

    Args:
        url: as it goes into stores.
        size: bytes.
        etag: the storage's own mark of the content, where it has one.
        modified: time of the last change, ISO 8601 in UTC; to the nanosecond for local files.
    """

    url: str
    size: int
    etag: str | None
    modified: str | None
