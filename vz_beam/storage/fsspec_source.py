"""A file of any filesystem or chain of filesystems that fsspec knows."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from vz_beam.storage.identity import Identity
from vz_beam.storage.object_source import MAX_BYTES
from vz_beam.storage.range_plan import GAP_BYTES, plan_ranges
from vz_beam.storage.source_errors import filesystem_error
from vz_beam.storage.source_handle import SourceHandle
from vz_beam.storage.source_ranges import checked_data, checked_end, checked_range, checked_ranges
from vz_beam.storage.storage_options import filesystem_options
from vz_beam.storage.traffic import current_traffic
from vz_beam.storage.urls import scheme_of, source_url

_ETAGS = ("ETag", "etag", "e_tag", "md5Hash", "content_md5")
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")


class FsspecSource(SourceHandle):
    """One file of a filesystem. It is asked for nothing until it is read.

    Args:
        filesystem: fsspec's.
        path: in the filesystem.
        url: as it goes into stores.
    """

    __slots__ = ("_filesystem", "_first", "_lock", "_path", "_size", "_traffic")

    def __init__(self, filesystem: Any, path: str, url: str) -> None:
        self.open_beside = None
        self.open_url = None
        self.url = url
        self._filesystem = filesystem
        self._path = path
        self._size: int | None = None
        self._first: Identity | None = None
        self._traffic = current_traffic()
        # Only filesystems made of coroutines promise to be safe from many threads.
        is_async = getattr(filesystem, "async_impl", False)
        self._lock: AbstractContextManager[Any] = nullcontext() if is_async else threading.RLock()

    @classmethod
    def open(cls, url: str, storage_options: Mapping[str, Any] | None = None) -> FsspecSource:
        """The source of a canonical URL; its own ``url`` leaves out layers that only keep copies."""
        filesystem, path = filesystem_and_path(url, storage_options)
        return cls(filesystem, path, source_url(url))

    @property
    def local_path(self) -> None:
        """Files of fsspec have none here."""
        return None

    def size(self) -> int:
        """Size when it was first asked for, bytes."""
        return self.identity().size if self._size is None else self._size

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``; TruncatedFileError where the file has fewer."""
        start, stop = checked_range(self.url, start, stop)
        if start == stop:
            return b""
        # What lies past the end is an error in one filesystem and empty in another.
        checked_end(self.url, [(start, stop)], self.size())
        self._traffic.ask()
        try:
            with self._lock:
                data = bytes(self._filesystem.cat_file(self._path, start=start, end=stop))
        except Exception as error:
            raise filesystem_error(error, self.url) from None
        self._traffic.note(len(data))
        return checked_data(self.url, start, stop, data)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range, from coalesced requests in one call of ``cat_ranges``."""
        wanted = checked_ranges(self.url, ranges)
        if not wanted:
            return []
        checked_end(self.url, wanted, self.size())
        plan = plan_ranges(wanted, gap_bytes=GAP_BYTES, max_bytes=MAX_BYTES)
        starts = [start for start, _ in plan.fetches]
        stops = [stop for _, stop in plan.fetches]
        self._traffic.ask(len(starts))
        try:
            with self._lock:
                found = self._filesystem.cat_ranges([self._path] * len(starts), starts, stops, on_error="raise")
        except Exception as error:
            raise filesystem_error(error, self.url) from None
        fetched = []
        for (start, stop), data in zip(plan.fetches, found, strict=True):
            if isinstance(data, Exception):
                raise filesystem_error(data, self.url)
            self._traffic.note(len(data))
            fetched.append(checked_data(self.url, start, stop, bytes(data)))
        return plan.assemble(fetched)

    def identity(self) -> Identity:
        """What the file is now, as far as its filesystem says."""
        self._traffic.ask()
        try:
            with self._lock:
                self._filesystem.invalidate_cache()
                info = self._filesystem.info(self._path)
        except Exception as error:
            raise filesystem_error(error, self.url) from None
        self._traffic.note()
        if info.get("type") == "directory":
            raise filesystem_error(IsADirectoryError(), self.url)
        if info.get("size") is None:  # servers that send a file in pieces do not say
            self._size = self._counted()
        else:
            self._size = int(info["size"])
        etag = next((str(info[word]) for word in _ETAGS if info.get(word)), None)
        modified = next(filter(None, (_time(info.get(w)) for w in _TIMES)), None)
        found = Identity(self.url, self._size, etag, modified)
        self._first = self._first or found
        return found

    def first_identity(self) -> Identity:
        """What the file was when its size was first asked for."""
        return self._first or self.identity()

    def close(self) -> None:
        """Nothing to do: fsspec keeps its filesystems, and no file stays open."""

    def _counted(self) -> int:
        self._traffic.ask()
        try:
            with self._lock:
                return len(self._filesystem.cat_file(self._path))
        except Exception as error:
            raise filesystem_error(error, self.url) from None


def filesystem_and_path(url: str, storage_options: Mapping[str, Any] | None = None) -> tuple[Any, str]:
    """The filesystem of fsspec for a canonical URL or chain, and the path in it.

    Raises:
        InputError: an unknown protocol, a package that is not installed, options of obstore.
    """
    import fsspec  # takes as long to import as a small file to read, and few URLs need it

    protocols = tuple(scheme_of(layer) or layer for layer in url.split("::"))
    options = filesystem_options(protocols, storage_options)
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except Exception as error:
        raise filesystem_error(error, url) from None
    return filesystem, path


def _time(value: Any) -> str | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, (int, float)) and value > 0:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return str(value) if value else None
