"""What every writer of a reference store offers, how it is found, and the loop that writes a whole store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import InputError
from vz_beam.plugins import find_plugins
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary

MODES = ("create", "overwrite")
_LATER = {".icechunk": "Icechunk", ".zarr": "Zarr with chunk manifests"}


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where a store goes. It crosses Beam edges and holds no credentials: these are given at each call.

    Args:
        url: a path or URL; the store appears there at commit.
        mode: ``"create"`` refuses an existing store, ``"overwrite"`` replaces it at commit.
    """

    url: str
    mode: str = "create"

    def __post_init__(self) -> None:
        url = os.fspath(self.url).rstrip("/")
        object.__setattr__(self, "url", url)
        if not url:
            raise InputError("the store needs a path or URL, and an empty one was given")
        if self.mode not in MODES:
            later = " (append is not in this version)" if self.mode == "append" else ""
            raise InputError(f"mode {self.mode!r} is not one of {', '.join(map(repr, MODES))}{later}")


class Writer(Protocol):
    """Writes stores of one format. All of its methods may be called again, with the same result."""

    @property
    def name(self) -> str:
        """What users call the format, such as ``"kerchunk-parquet"``."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Ends of URLs of this format, dots included."""

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """Refuse what cannot work, and clear what a killed run left. Must end before the first shard is written.

        Raises:
            StoreExistsError: the target is there and ``mode`` is ``"create"``.
            UnsupportedError: arrays that the format cannot express.
        """

    def write_shard(
        self,
        target: WriteTarget,
        layout: Layout,
        key: ShardKey,
        fragment: Fragment,
        storage_options: Mapping[str, Any] | None = None,
    ) -> ShardReceipt:
        """Write all references of one shard, where no reader sees them yet; in any order, any number of times."""

    def commit(
        self,
        target: WriteTarget,
        layout: Layout,
        receipts: Iterable[ShardReceipt],
        storage_options: Mapping[str, Any] | None = None,
    ) -> StoreSummary:
        """Check the receipts against the layout and make the store visible, whole or not at all.

        Raises:
            IncompleteStoreError: shards that did not arrive.
            StoreExistsError: a store has appeared at the target since ``begin``, and ``mode`` is ``"create"``.
        """


def find_writer(url: str | os.PathLike[str], format: str | None = None) -> Writer:
    """The writer named ``format``, or the one whose suffix ``url`` has.

    Raises:
        InputError: an unknown format or suffix; lists those that are known.
    """
    plugins = find_plugins("vz_beam.writers", "WRITER", "vz_beam.writers")
    writers: list[Writer] = list(plugins.found.values())
    known = ", ".join(f"{writer.name} ({' '.join(writer.suffixes)})" for writer in writers)
    known += "".join(f"; {name} cannot be used here: {reason}" for name, reason in plugins.failed.items())
    if format is not None:
        for writer in writers:
            if writer.name == format:
                return writer
        raise InputError(f"format {format!r} is not known: the formats are {known}")
    suffix = PurePosixPath(os.fspath(url).rstrip("/")).suffix.lower()
    for writer in writers:
        if suffix in writer.suffixes:
            return writer
    if suffix in _LATER:
        raise InputError(f"{os.fspath(url)}: {_LATER[suffix]} is not in this version; the formats are {known}")
    raise InputError(
        f"{os.fspath(url)}: the suffix {suffix!r} names no format. Use one of {known}, or say format=... explicitly"
    )


def write_store(
    writer: Writer,
    url: str | os.PathLike[str],
    layout: Layout,
    shards: Mapping[ShardKey, Fragment],
    *,
    mode: str = "create",
    storage_options: Mapping[str, Any] | None = None,
) -> StoreSummary:
    """Write a whole store in one loop; shards that are not given hold no references."""
    target = WriteTarget(os.fspath(url), mode)
    writer.begin(target, layout, storage_options)
    receipts = [
        writer.write_shard(target, layout, key, shards.get(key, Fragment.empty()), storage_options)
        for key in layout.shard_keys()
    ]
    return writer.commit(target, layout, receipts, storage_options)
