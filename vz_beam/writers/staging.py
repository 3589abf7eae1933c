"""Where a store is built before it is visible: beside its place, under a name that a repeated run finds again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vz_beam.errors import InputError
from vz_beam.storage.byte_sink import ByteSink, open_sink
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
    def url(self) -> str:
        """Canonical URL of the store."""
        return self.parent.sub(self.name).url

    def is_taken(self) -> bool:
        """Whether anything is at the store's place."""
        return self.parent.exists(self.name) or self.parent.sub(self.name).exists()

    def restore_replaced(self) -> None:
        """Put the old store back where a run was killed between two renames."""
        if self.parent.sub(self.replaced).exists():
            if self.is_taken():
                self.parent.delete(self.replaced)
            else:
                self.parent.move(self.replaced, self.name)

    def publish_folder(self) -> None:
        """Give the built folder the store's name; what is there already is replaced."""
        if not self.is_taken():
            self.parent.move(self.building, self.name)
        elif self.is_local:
            self.parent.move(self.name, self.replaced)
            self.parent.move(self.building, self.name)
            self.parent.delete(self.replaced)
        else:
            self.parent.delete(self.name)
            self.parent.move(self.building, self.name)


def open_staging(target: WriteTarget, storage_options: Mapping[str, Any] | None) -> Staging:
    """The staging place of a target.

    Raises:
        InputError: a target without a name of its own, such as a bucket.
    """
    parent_url, separator, name = target.url.rpartition("/")
    if os.altsep is not None and os.sep in name:
        parent_url, separator, name = target.url.rpartition(os.sep)
    is_root = parent_url.endswith(":/")  # "memory://store": the parent is the protocol's own root
    if is_root and not parent_url.startswith("memory"):
        raise InputError(f"{target.url}: a store needs a name of its own below the bucket or host")
    folder = f"{parent_url}/" if is_root or parent_url in ("", "file://") else parent_url
    parent = open_sink(folder if separator else ".", storage_options)
    return Staging(parent, name, parent.url.startswith("file:"))
