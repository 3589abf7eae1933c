"""A prefix of an object store that obstore writes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import obstore
from obstore.store import ObjectStore

from vz_beam.errors import SourceError, StoreError, TransientSourceError, VzBeamError
from vz_beam.storage.object_stores import check_process, request_pool
from vz_beam.storage.open_handle import OpenHandle
from vz_beam.storage.sink_keys import Keys, checked_key, is_below, joined, metadata_last, visibility_rank
from vz_beam.storage.source_errors import not_found, object_error
from vz_beam.storage.url_secrets import shown


class ObjectSink(OpenHandle):
    """The objects below ``prefix`` of ``store``. An object store shows a new object when all of it has arrived."""

    __slots__ = ("_prefix", "_store")

    def __init__(self, store: ObjectStore, prefix: str, url: str) -> None:
        self._store = store
        self._prefix = prefix.strip("/")
        self.url = url

    def write(self, key: str, data: bytes) -> None:
        """Writes a whole object."""
        check_process()
        try:
            obstore.put(self._store, self._path(checked_key(key)), data)
        except Exception as error:
            raise self._write_error(error, key) from None

    def read(self, key: str) -> bytes:
        """A whole object."""
        check_process()
        try:
            return bytes(obstore.get(self._store, self._path(checked_key(key))).bytes())
        except Exception as error:
            raise object_error(error, joined(self.url, key)) from None

    def exists(self, key: str = "") -> bool:
        """Whether there is an object, or any below."""
        return next(iter(self._keys(key)), None) is not None

    def list(self, prefix: str = "") -> Keys:
        """The keys of all objects below ``prefix``, sorted."""
        return sorted(self._keys(prefix))

    def delete(self, prefix: str = "") -> None:
        """Removes all objects below; those that make a store visible go first."""
        for _rank, keys in itertools.groupby(reversed(metadata_last(self._keys(prefix))), key=visibility_rank):
            self._delete(list(keys))

    def sub(self, key: str) -> ObjectSink:
        """The sink of the objects below ``key``."""
        root = self.url if self.url.endswith("/") else f"{self.url}/"
        return ObjectSink(self._store, self._path(checked_key(key)), root + key)

    def copy(self, source: str, target: str) -> None:
        """Has the store copy an object."""
        self._copy([(checked_key(source), checked_key(target))])

    def move(self, source: str, target: str) -> None:
        """Copies every object, metadata last, then removes what is old. Done twice, it ends the same."""
        if checked_key(source) == checked_key(target):
            return
        if is_below(source, target) or is_below(target, source):
            raise StoreError(f"{shown(self.url)}: {source!r} cannot move to {target!r}: one lies in the other")
        moved = {key: joined(target, key[len(source) + 1 :]) for key in self._keys(source)}
        if not moved:
            raise not_found(joined(self.url, source), "nothing to move")
        old = set(self._keys(target)) - set(moved.values())
        for _rank, keys in itertools.groupby(metadata_last(moved), key=visibility_rank):
            self._copy([(key, moved[key]) for key in keys])
        self._delete(sorted(old))
        self.delete(source)

    def _keys(self, prefix: str) -> Keys:
        check_process()
        path = self._path(checked_key(prefix, allow_empty=True))
        start = len(self._prefix) + 1 if self._prefix else 0
        try:
            found = [entry["path"] for page in obstore.list(self._store, prefix=path or None) for entry in page]
            if prefix and not found and self._is_object(path):
                found = [path]
        except VzBeamError:
            raise
        except Exception as error:
            raise object_error(error, joined(self.url, prefix)) from None
        return [path[start:] for path in found]

    def _is_object(self, path: str) -> bool:
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def _copy(self, pairs: Sequence[tuple[str, str]]) -> None:
        def copy(pair: tuple[str, str]) -> None:
            try:
                obstore.copy(self._store, self._path(pair[0]), self._path(pair[1]))
            except FileNotFoundError:
                raise not_found(joined(self.url, pair[0]), "nothing to copy") from None
            except Exception as error:
                raise self._write_error(error, pair[1]) from None

        list(request_pool().map(copy, pairs))

    def _delete(self, keys: Keys) -> None:
        try:
            if keys:
                obstore.delete(self._store, [self._path(key) for key in keys])
        except FileNotFoundError:
            for key in keys:  # one of them went in between: the others still have to
                self._delete_one(key)
        except Exception as error:
            raise self._write_error(error, keys[0]) from None

    def _delete_one(self, key: str) -> None:
        try:
            obstore.delete(self._store, self._path(key))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._write_error(error, key) from None

    def _path(self, key: str) -> str:
        return joined(self._prefix, key)

    def _write_error(self, error: Exception, key: str) -> VzBeamError:
        found = object_error(error, joined(self.url, key))
        if isinstance(found, TransientSourceError) or not isinstance(found, SourceError):
            return found
        return StoreError(f"could not be written: {found}")
