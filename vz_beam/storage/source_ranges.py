"""Checks of the byte ranges that sources are asked for, the same words for every kind of source."""

from __future__ import annotations

from collections.abc import Sequence

from vz_beam.errors import InputError, TruncatedFileError
from vz_beam.storage.url_secrets import shown


def checked_range(url: str, start: int, stop: int) -> tuple[int, int]:
    """The half-open range as plain integers.

    Raises:
        InputError: a range that starts before 0 or ends before it starts.
    """
    start, stop = int(start), int(stop)
    if not 0 <= start <= stop:
        raise InputError(
            f"{shown(url)}: bytes {start} to {stop} are no range: 0 <= start <= stop is expected. "
            "A broken offset or length in the file can cause this"
        )
    return start, stop


def truncated(url: str, start: int, stop: int, size: int) -> TruncatedFileError:
    """The error of a file that is shorter than what is read from it."""
    return TruncatedFileError(
        f"{shown(url)}: bytes {start} to {stop} were asked for, but the file has {size} bytes. "
        "Way out: check that the download or copy was complete, and fetch the file again"
    )


def checked_data(url: str, start: int, stop: int, data: bytes, size: int | None = None) -> bytes:
    """``data`` itself where it fills the range; ``size`` is the file's, where it is known, bytes.

    Raises:
        TruncatedFileError: less data than asked for.
    """
    if len(data) < stop - start:
        raise truncated(url, start, stop, start + len(data) if size is None else size)
    return data


def checked_end(url: str, ranges: Sequence[tuple[int, int]], size: int) -> None:
    """Nothing, where all ranges lie in a file of ``size`` bytes.

    Checked before anything is planned or allocated: a broken length may be that of no memory.

    Raises:
        TruncatedFileError: a range that ends behind the file.
    """
    for start, stop in ranges:
        if start < stop and stop > size:
            raise truncated(url, start, stop, size)


def checked_ranges(url: str, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Every range as plain integers; see :func:`checked_range`."""
    return [checked_range(url, start, stop) for start, stop in ranges]
