"""An object of a store that obstore reads: S3, Google, Azure, HTTP, memory."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from vz_beam.errors import SourceError, TransientSourceError, VzBeamError
from vz_beam.storage.identity import Identity
from vz_beam.storage.object_stores import check_process, request_pool
from vz_beam.storage.range_plan import GAP_BYTES, plan_ranges
from vz_beam.storage.source_errors import is_asked_again, object_error
from vz_beam.storage.source_handle import SourceHandle
from vz_beam.storage.source_ranges import checked_end, checked_range, checked_ranges, truncated
from vz_beam.storage.traffic import current_traffic

MAX_BYTES = 8 * 1024 * 1024
"""Longer fetches are cut, so that they come over several connections."""

ATTEMPTS = 4
WAIT_SECONDS = 0.2
"""Before the second attempt; doubled for each further one. obstore tries again where a request fails, and not where
its answer breaks off or is of other bytes."""
_HTTP = ("http://", "https://")
_PAST_END = ("status code: 416", "Range Not Satisfiable", "Invalid range", "StartTooLarge")
_T = TypeVar("_T")


class RangedStore(Protocol):
    """What a source needs of a store: obstore's stores have it, and so do those of the obspec protocols."""

    def get_range(self, path: str, /, *, start: int, end: int) -> Any:
        """The bytes ``start`` to ``end``."""
        ...

    def head(self, path: str, /) -> Any:
        """A mapping with size, e_tag and last_modified."""
        ...


class ObjectSource(SourceHandle):
    """One object. It is asked for nothing until it is read.

    Args:
        store: obstore's, or one of the same methods.
        key: in the store.
        url: as it goes into stores.
    """

    __slots__ = ("_head", "_key", "_lock", "_store", "_traffic")

    def __init__(self, store: RangedStore, key: str, url: str) -> None:
        self._store: RangedStore | None = store
        self.open_beside = None
        self.open_url = None
        self._key = key
        self.url = url
        self._head: Identity | None = None
        self._lock = threading.Lock()
        self._traffic = current_traffic()

    @property
    def local_path(self) -> None:
        """Objects have none."""
        return None

    def size(self) -> int:
        """Size when it was first asked for, bytes."""
        return self.first_identity().size

    def read_head(self, nbytes: int) -> bytes:
        """The first ``nbytes`` bytes, or all where there are fewer: the answer tells the size as well."""
        store = self._open_store()
        get: Callable[..., Any] | None = getattr(store, "get", None)
        if get is not None and self._head is None:
            self._traffic.ask()
            try:
                result = get(self._key, options={"range": (0, nbytes)})
                data = bytes(result.bytes())
            except Exception:
                pass  # an empty object has no such range; else the requests below fail, and their errors tell more
            else:
                self._head = self._identity_of(result.meta)
                self._traffic.note(len(data))
                return data
        return super().read_head(nbytes)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``; TruncatedFileError where the object has fewer."""
        start, stop = checked_range(self.url, start, stop)
        return bytes(self._fetched(start, stop)) if start < stop else b""

    def _fetched(self, start: int, stop: int) -> memoryview:
        """What one request brings, not copied."""
        store = self._open_store()
        if stop - start > MAX_BYTES:
            checked_end(self.url, [(start, stop)], self.size())
        for attempt in range(1, ATTEMPTS + 1):
            self._traffic.ask()
            try:
                data = self._answer(store, start, stop)
                self._traffic.note(len(data))
                break
            except VzBeamError:
                raise
            except Exception as error:
                if attempt < ATTEMPTS and is_asked_again(error):
                    self._traffic.note_repeated()
                    time.sleep(WAIT_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
                    continue
                if isinstance(error, OverflowError) or any(words in str(error) for words in _PAST_END):
                    raise truncated(self.url, start, stop, self.size()) from None
                raise object_error(error, self.url) from None
        if len(data) < stop - start:
            raise truncated(self.url, start, stop, self.size())
        return data

    def _answer(self, store: RangedStore, start: int, stop: int) -> memoryview:
        get: Callable[..., Any] | None = getattr(store, "get", None)
        if get is None:
            return memoryview(store.get_range(self._key, start=start, end=stop))
        result = get(self._key, options={"range": (start, stop)})
        data = memoryview(result.bytes())
        self._check_same(result.meta)
        return data

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range, from coalesced requests that go out side by side."""
        wanted = checked_ranges(self.url, ranges)
        if len(wanted) == 1 and wanted[0][1] - wanted[0][0] <= MAX_BYTES:
            return [self.read(*wanted[0])]
        if self._head is not None or any(stop - start > MAX_BYTES for start, stop in wanted):
            checked_end(self.url, wanted, self.size())
        # Not get_ranges: it joins whatever is up to 1 MiB apart, and so undoes this plan (obstore 0.12).
        plan = plan_ranges(wanted, gap_bytes=GAP_BYTES, max_bytes=MAX_BYTES)
        if len(plan.fetches) <= 1:
            return plan.assemble([self._fetched(*fetch) for fetch in plan.fetches])
        return plan.assemble(request_pool().map(lambda fetch: self._fetched(*fetch), plan.fetches))

    def _check_same(self, meta: Any) -> None:
        """Refuses an answer from another version of the object than the first one was: their bytes do not fit."""
        found = self._identity_of(meta)
        with self._lock:
            first = self._head = self._head or found
        is_same = found.is_same(first)
        if not is_same and self.url.startswith(_HTTP):  # mirrors behind one name may each have marks of their own
            is_same = (found.size, found.modified) == (first.size, first.modified) and found.modified is not None
        if not is_same:
            raise TransientSourceError(f"{self.url} has changed while it was read. This may pass: try again")

    def identity(self) -> Identity:
        """What the object is now."""
        store = self._open_store()
        self._traffic.ask()
        try:
            head = store.head(self._key)
        except Exception as error:
            found = self._head_of_get(store)
            if found is None:
                raise object_error(error, self.url) from None
            head = found
        self._traffic.note()
        self._head = self._identity_of(head)
        return self._head

    def first_identity(self) -> Identity:
        """What the object was when its size became known."""
        return self._head or self.identity()

    def close(self) -> None:
        """Lets go of the store."""
        self._store = None

    def _open_store(self) -> RangedStore:
        if self._store is None:
            raise _closed(self.url)
        check_process()
        return self._store

    def _identity_of(self, head: Any) -> Identity:
        modified = head.get("last_modified")
        moment = modified.isoformat() if modified is not None else None
        return Identity(self.url, int(head["size"]), head.get("e_tag"), moment)

    def _head_of_get(self, store: RangedStore) -> Any:
        """What a ranged GET says, where HEAD is refused: URLs may be signed for GET alone. Else ``None``."""
        get: Callable[..., Any] | None = getattr(store, "get", None)
        if get is None or not self.url.startswith(_HTTP):
            return None
        self._traffic.ask()
        try:
            return get(self._key, options={"range": (0, 1)}).meta
        except Exception:
            return None  # the caller raises the error of HEAD, which tells more


def _closed(url: str) -> SourceError:
    return SourceError(f"{url} was closed and is read again")
