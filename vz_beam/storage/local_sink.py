"""A folder on a local disk."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from vz_beam.errors import StoreError
from vz_beam.storage.open_handle import OpenHandle
from vz_beam.storage.sink_keys import Keys, checked_key, is_below, joined
from vz_beam.storage.source_errors import filesystem_error, not_found

_UNFINISHED = ".vz_beam-unfinished-"
"""What starts with this is left over from a process that was killed: it is neither listed nor read."""


class LocalSink(OpenHandle):
    """The folder ``path``; objects appear in it by renaming, which is atomic."""

    __slots__ = ("_root",)

    def __init__(self, path: str) -> None:
        self._root = Path(path)
        self.url = f"file://{path}"

    def write(self, key: str, data: bytes) -> None:
        """Writes beside the target and renames; whoever reads it sees the old object or the new one."""
        target = self._root / checked_key(key)
        unfinished = target.parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.write_bytes(data)
                os.replace(unfinished, target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._write_error(error, key) from error

    def read(self, key: str) -> bytes:
        """A whole object."""
        try:
            return (self._root / checked_key(key)).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise not_found(joined(self.url, key), "no such file") from error
        except OSError as error:
            raise filesystem_error(error, joined(self.url, key)) from error

    def exists(self, key: str = "") -> bool:
        """Whether there is a file, or a folder that has files in it."""
        path = self._root / checked_key(key, allow_empty=True)
        return path.is_file() or bool(self.list(key))

    def list(self, prefix: str = "") -> Keys:
        """The keys of all files below ``prefix``, sorted."""
        start = self._root / checked_key(prefix, allow_empty=True)
        if prefix and start.is_file():
            return [prefix]
        keys = []
        for folder, folders, names in os.walk(start, onerror=_unless_absent):
            folders[:] = [name for name in folders if not name.startswith(_UNFINISHED)]
            place = os.path.relpath(folder, self._root).replace(os.sep, "/")
            place = "" if place == "." else place
            keys += [joined(place, name) for name in names if not name.startswith(_UNFINISHED)]
        return sorted(keys)

    def delete(self, prefix: str = "") -> None:
        """Removes a file or folder. A folder first goes out of sight in one step."""
        path = self._root / checked_key(prefix, allow_empty=True)
        try:
            if path.is_dir() and not path.is_symlink():
                aside = path.parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
                os.rename(path, aside)
                shutil.rmtree(aside)
            else:
                path.unlink(missing_ok=True)
        except (FileNotFoundError, NotADirectoryError):
            return  # another process was first
        except OSError as error:
            raise self._write_error(error, prefix) from error

    def sub(self, key: str) -> LocalSink:
        """The sink of the folder ``key``."""
        return LocalSink(str(self._root / checked_key(key)))

    def copy(self, source: str, target: str) -> None:
        """One file under two names where the disk can: objects are replaced, never changed."""
        old, new = self._root / checked_key(source), self._root / checked_key(target)
        unfinished = new.parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(old, unfinished)
            except FileNotFoundError as error:
                raise not_found(joined(self.url, source), "no such file") from error
            except OSError:  # a disk without links
                shutil.copyfile(old, unfinished)
            os.replace(unfinished, new)
            unfinished.unlink(missing_ok=True)  # replacing a name by another one of the same file does nothing
        except OSError as error:
            raise self._write_error(error, target) from error

    def move(self, source: str, target: str) -> None:
        """Renames. An old folder in the way is put aside first, and back where the rename fails."""
        old, new = self._root / checked_key(source), self._root / checked_key(target)
        if source == target:
            return
        if is_below(source, target) or is_below(target, source):
            raise StoreError(f"{self.url}: {source!r} cannot move to {target!r}: one lies in the other")
        if not old.exists():
            raise not_found(joined(self.url, source), "nothing to move")
        aside = new.parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            if old.is_file() and not new.is_dir():
                os.replace(old, new)
                return
            was_there = new.exists()
            if was_there:
                os.rename(new, aside)
            try:
                os.rename(old, new)
            except BaseException:
                if was_there:
                    os.rename(aside, new)
                raise
        except OSError as error:
            raise self._write_error(error, target) from error
        _remove(aside)

    def _write_error(self, error: OSError, key: str) -> StoreError:
        return StoreError(f"{joined(self.url, key)} could not be written: {error.strerror or error}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise filesystem_error(error, str(error.filename)) from error
