"""Where a store is built before it is visible: beside its place, under a name that a repeated run finds again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vz_beam.combine.fragment import ShardKey
from vz_beam.errors import IncompleteStoreError, InputError, StoreError
from vz_beam.storage.byte_sink import ByteSink, open_sink
from vz_beam.storage.urls import canonical_url, root_and_key
from vz_beam.writers.writer import WriteTarget


@dataclass(frozen=True, slots=True)
class Staging:
    """The place of a store and its siblings, all of them names in one parent folder.

    Args:
        parent: the folder that the store stands in.
        name: the store's own name.
        is_local: whether a rename is one step.
    """

    parent: ByteSink
    name: str
    is_local: bool

    @property
    def building(self) -> str:
        """Name under which the store is built."""
        return f".{self.name}.building"

    @property
    def replaced(self) -> str:
        """Name that the old store has for the moment between two renames."""
        return f".{self.name}.replaced"

    @property
    def claim(self) -> str:
        """Name of the object that says which run writes to this place: the last one that has begun."""
        return f".{self.name}.run"

    @property
    def url(self) -> str:
        """Canonical URL of the store."""
        return self.parent.sub(self.name).url

    def is_taken(self) -> bool:
        """Whether anything is at the store's place."""
        return self.parent.exists(self.name)

    def claim_for(self, run: str) -> None:
        """Say that ``run`` writes here from now on."""
        self.parent.write(self.claim, run.encode())

    def check_claim(self, run: str) -> None:
        """Refuse to publish what two runs have written.

        Raises:
            StoreError: another run has begun since.
        """
        if self.parent.exists(self.claim) and self.parent.read(self.claim) != run.encode():
            raise StoreError(
                f"store {self.url} is not published by this run: another one has begun to write to it meanwhile. "
                "Way out: let that one end, then run again, one run at a time"
            )

    def release(self) -> None:
        """Say that no run writes here any more."""
        self.parent.delete(self.claim)

    def restore_replaced(self) -> None:
        """Put the old store back where a run was killed between two renames."""
        if self.parent.exists(self.replaced):
            if self.is_taken():
                self.parent.delete(self.replaced)
            else:
                self.parent.move(self.replaced, self.name)

    def publish_folder(self) -> None:
        """Give the built folder the store's name; what is there already is replaced.

        Two renames on a local disk; elsewhere the old store goes first, since a reader must not see some objects of
        it and some of the new one.
        """
        if self.is_taken() and self.is_local:
            self.parent.move(self.name, self.replaced)
        elif self.is_taken():
            self.parent.delete(self.name)
        self.parent.move(self.building, self.name)
        self.parent.delete(self.replaced)


def open_staging(target: WriteTarget, storage_options: Mapping[str, Any] | None) -> Staging:
    """The staging place of a target.

    Raises:
        InputError: a target without a name of its own, such as a bucket.
    """
    root, key = root_and_key(canonical_url(target.url))
    folder, _, name = key.rpartition("/")
    if not name:
        raise InputError(f"{target.url}: a store needs a name of its own below the root, bucket or host")
    is_local = root == "file://"
    slash = "/" if is_local or (folder and root != "memory://") else ""
    return Staging(open_sink(f"{root}{slash}{folder}", storage_options), name, is_local)


def part_key(key: ShardKey) -> str:
    """Where a shard stands while a store is built that is one file, or has no file for each shard."""
    return f"{key.path}/{key.number}.part"


def lost_parts(url: str, place: str, absent: Sequence[str], count: int, what: str = "parts") -> IncompleteStoreError:
    """The error where what was written is not there any more.

    Args:
        url: of the store.
        place: URL of the folder where it should be.
        absent: keys below that folder.
        count: how many there should be.
        what: they are.
    """
    return IncompleteStoreError(
        f"store {url} is not published: {len(absent):,} of {count:,} {what} are not in {place} although they were "
        f"written, the first is {absent[0]}. Way out: run again, one run at a time"
    )
