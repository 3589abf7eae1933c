"""A file that the operating system opens."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

from vz_beam.errors import SourceError, VzBeamError
from vz_beam.storage.identity import Identity
from vz_beam.storage.source_errors import filesystem_error, not_found
from vz_beam.storage.source_handle import SourceHandle
from vz_beam.storage.source_ranges import checked_data, checked_end, checked_range
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import local_path_of


class LocalSource(SourceHandle):
    """A local file, read by ``pread``: any number of threads may read at once.

    Args:
        path: absolute.
        url: as it goes into stores, where it is not ``"file://" + path``.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: a folder, or a file that may not be read.
    """

    __slots__ = ("_descriptor", "_first", "_size", "local_path")

    local_path: str | None

    def __init__(self, path: str, url: str | None = None) -> None:
        self.open_beside = None
        self.open_url = None
        self._descriptor = -1
        self.url = f"file://{path}" if url is None else url
        self.local_path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise _local_error(error, path, self.url) from error
        if stat.S_ISDIR(status.st_mode):
            self.close()
            raise filesystem_error(IsADirectoryError(), self.url)
        self._size = status.st_size
        self._first = _identity(self.url, status)

    def size(self) -> int:
        """Size when the file was opened, bytes."""
        return self._size

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``; TruncatedFileError where the file has fewer."""
        start, stop = checked_range(self.url, start, stop)
        if start == stop:
            return b""
        try:
            if stop > self._size:  # pread would take the memory first, and a broken length can be any
                checked_end(self.url, [(start, stop)], os.fstat(self._descriptor).st_size)
            data = os.pread(self._descriptor, stop - start, start)
            while start + len(data) < stop and (more := self._more(start + len(data), stop)):
                data += more
        except OSError as error:
            raise self._read_error(error) from error
        return checked_data(self.url, start, stop, data)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range; not coalesced, since planning costs more than ``pread`` of what is cached."""
        return [self.read(start, stop) for start, stop in ranges]

    def identity(self) -> Identity:
        """What the file is now, be it changed since it was opened."""
        try:
            status = os.stat(self.local_path) if self.local_path else os.fstat(self._descriptor)
        except OSError as error:
            raise self._read_error(error) from error
        return _identity(self.url, status)

    def first_identity(self) -> Identity:
        """What the file was when it was opened."""
        return self._first

    def close(self) -> None:
        """Closes the file; a source that is only dropped closes itself once no read is under way."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def _more(self, start: int, stop: int) -> bytes:
        return os.pread(self._descriptor, stop - start, start)  # Linux gives at most 2 GiB at once

    def _read_error(self, error: OSError) -> VzBeamError:
        if self._descriptor < 0:
            return SourceError(f"{shown(self.url)} was closed and is read again")
        return filesystem_error(error, self.url)


def _identity(url: str, status: os.stat_result) -> Identity:
    seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return Identity(url, status.st_size, None, f"{moment}.{nanoseconds:09d}Z")


def _local_error(error: OSError, path: str, url: str) -> VzBeamError:
    if isinstance(error, FileNotFoundError) and "%" in path and os.path.exists(unquote(path)):
        return not_found(
            url,
            "no such file",
            f"There is a file {unquote(path)!r}: file:// URLs are taken literally, as fsspec does. Way out: give its "
            "path, not a percent-encoded URL",
        )
    if isinstance(error, FileNotFoundError):
        folder = os.path.dirname(local_path_of(url) or path)
        exists = os.path.isdir(folder)
        return not_found(url, "no such file" if exists else f"its folder {folder!r} does not exist either")
    return filesystem_error(error, url)
