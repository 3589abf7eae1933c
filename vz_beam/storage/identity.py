"""What a file was when it was read: its size and what its storage says of its version."""

from __future__ import annotations

from dataclasses import dataclass

IDENTITY_KEY = "identity"
"""Of ``Dataset.encoding``: the :class:`Identity` of the file when it was opened. As with ``"source"``, xarray's
``merge``, ``map`` and ``drop_encoding`` lose it."""


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

    def is_same(self, other: Identity) -> bool:
        """Whether both are of the same content; by time where not both have an etag.

        >>> Identity("a", 1, "x", "1999").is_same(Identity("a", 1, "x", "2000"))
        True
        """
        if (self.url, self.size) != (other.url, other.size):
            return False
        if self.etag is not None and other.etag is not None:
            return self.etag == other.etag
        return self.modified == other.modified
