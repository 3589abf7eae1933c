"""A folder of any filesystem that fsspec knows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from vz_beam.errors import SourceError, StoreError, TransientSourceError, VzBeamError
from vz_beam.storage.fsspec_source import filesystem_and_path
from vz_beam.storage.open_handle import OpenHandle
from vz_beam.storage.sink_keys import Keys, checked_key, is_below, joined, metadata_last
from vz_beam.storage.source_errors import filesystem_error, not_found
from vz_beam.storage.url_secrets import shown

_UNFINISHED = ".vz_beam-unfinished-"
# Protocols of disks: a file shows while it is written, and renaming it is one step.
_DISKS = frozenset({"sftp", "ssh", "ftp", "smb", "hdfs", "arrow_hdfs", "webhdfs", "dask", "dbfs"})


class FsspecSink(OpenHandle):
    """The files below ``path`` of ``filesystem``."""

    __slots__ = ("_filesystem", "_path")

    def __init__(self, filesystem: Any, path: str, url: str) -> None:
        self._filesystem = filesystem
        self._path = path.rstrip("/")
        self.url = url.rstrip("/")

    @classmethod
    def open(cls, url: str, storage_options: Mapping[str, Any] | None = None) -> FsspecSink:
        """The sink whose root is a canonical URL."""
        filesystem, path = filesystem_and_path(url, storage_options)
        return cls(filesystem, path, url)

    def write(self, key: str, data: bytes) -> None:
        """Writes a whole file; on disks beside the target, which is then replaced."""
        target = self._place(checked_key(key))
        try:
            self._filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            if not _DISKS.isdisjoint(_protocols(self._filesystem)):
                unfinished = f"{target.rpartition('/')[0]}/{_UNFINISHED}{uuid.uuid4().hex}"
                self._filesystem.pipe_file(unfinished, data)
                self._filesystem.mv(unfinished, target)
            else:
                self._filesystem.pipe_file(target, data)
        except Exception as error:
            raise self._write_error(error, key) from None

    def read(self, key: str) -> bytes:
        """A whole file."""
        try:
            return bytes(self._filesystem.cat_file(self._place(checked_key(key))))
        except Exception as error:
            raise filesystem_error(error, joined(self.url, key)) from None

    def exists(self, key: str = "") -> bool:
        """Whether there is a file, or a folder that has files in it."""
        return bool(self.list(key))

    def list(self, prefix: str = "") -> Keys:
        """The keys of all files below ``prefix``, sorted."""
        place = self._place(checked_key(prefix, allow_empty=True))
        try:
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(place)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise filesystem_error(error, joined(self.url, prefix)) from None
        root = self._filesystem._strip_protocol(self._path).rstrip("/")
        keys = [str(path).removeprefix(root).lstrip("/") for path in found]
        return sorted(key for key in keys if _UNFINISHED not in key and is_below(key, prefix))

    def delete(self, prefix: str = "") -> None:
        """Removes a file or folder; what makes a store visible goes first."""
        try:
            for key in reversed(metadata_last(self.list(prefix))):
                self._filesystem.rm_file(self._place(key))
            place = self._place(prefix)
            if self._filesystem.isdir(place):
                self._filesystem.rm(place, recursive=True)
        except FileNotFoundError:
            return  # another process was first
        except Exception as error:
            raise self._write_error(error, prefix) from None

    def sub(self, key: str) -> FsspecSink:
        """The sink of the folder ``key``."""
        return FsspecSink(self._filesystem, self._place(checked_key(key)), joined(self.url, key))

    def copy(self, source: str, target: str) -> None:
        """Reads a file and writes it: not every filesystem can copy."""
        self.write(target, self.read(source))

    def move(self, source: str, target: str) -> None:
        """Copies every file, metadata last, then removes what is old. Done twice, it ends the same."""
        if checked_key(source) == checked_key(target):
            return
        if is_below(source, target) or is_below(target, source):
            raise StoreError(f"{shown(self.url)}: {source!r} cannot move to {target!r}: one lies in the other")
        keys = metadata_last(self.list(source))
        if not keys:
            raise not_found(joined(self.url, source), "nothing to move")
        moved = {key: joined(target, key[len(source) + 1 :]) for key in keys}
        old = set(self.list(target)) - set(moved.values())
        for key, new in moved.items():
            self.copy(key, new)
        for key in old:
            self.delete(key)
        self.delete(source)

    def _place(self, key: str) -> str:
        return joined(self._path, key) if self._path else f"/{key}"

    def _write_error(self, error: Exception, key: str) -> VzBeamError:
        found = filesystem_error(error, joined(self.url, key))
        if isinstance(found, TransientSourceError) or not isinstance(found, SourceError):
            return found
        return StoreError(f"could not be written: {found}")


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
