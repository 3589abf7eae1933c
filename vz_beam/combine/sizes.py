"""Numbers of bytes for people."""

from __future__ import annotations


def readable_size(nbytes: int) -> str:
    """A number of bytes for people.

    >>> readable_size(999), readable_size(1_234_567)
    ('999 B', '1.2 MB')
    """
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.95:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} PB"
