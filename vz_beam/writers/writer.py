"""What every writer of a reference store offers, how it is found, and the loop that writes a whole store."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import InputError, StoreExistsError, StoreNotFoundError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.plugins import find_plugins
from vz_beam.storage.identity import Identity
from vz_beam.writers.input_table import InputTable
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary

MODES = ("create", "overwrite", "append")


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where a store goes. It crosses Beam edges and holds no credentials: these are given at each call.

    Args:
        url: a path or URL; the store appears there at commit.
        mode: ``"create"`` refuses an existing store, ``"overwrite"`` replaces it at commit, ``"append"`` puts what is
            written to its end.
        append_dim: the dimension along which a store grows; ``None`` is that which joins what is added.
        run: tells one run from another that writes to the same place; the same in all of its workers.
        goes_on: whether what earlier rounds have listed beside the store, inputs that failed and variables that were
            skipped, stays there.
        sources: options of the inputs' stores that are no secrets, which some stores say to their readers.
    """

    url: str
    mode: str = "create"
    append_dim: str | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    goes_on: bool = False
    sources: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        url = os.fspath(self.url).rstrip("/")
        object.__setattr__(self, "url", url)
        if not url:
            raise InputError("the store needs a path or URL, and an empty one was given")
        if self.mode not in MODES:
            raise InputError(f"mode {self.mode!r} is not one of {', '.join(map(repr, MODES))}")
        if self.append_dim is not None and self.mode != "append":
            raise InputError(f"append_dim={self.append_dim!r} is for mode='append', and the mode is {self.mode!r}")


class AppendSides(NamedTuple):
    """A store and what is to be put to its end, both as the store says it.

    Args:
        stored: the store's arrays; with their chunks only those that are loaded in what is added.
        added: the same of what is added.
        chunks_per_shard: of the store.
        keeps_shards: whether shards of the store can stay as they are.
    """

    stored: ManifestGroup
    added: ManifestGroup
    chunks_per_shard: int
    keeps_shards: bool


class Writer(Protocol):
    """Writes stores of one format. All of its methods may be called again, with the same result."""

    @property
    def name(self) -> str:
        """What users call the format, such as ``"kerchunk-parquet"``."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Ends of URLs of this format, dots included."""

    def sides(
        self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None
    ) -> AppendSides:
        """The store at the target and what ``layout`` says, which is to be put to its end. The store stays as it is.

        Raises:
            StoreNotFoundError: no store is there.
            UnsupportedError: arrays that the format cannot express.
        """

    def input_table(self, target: WriteTarget, storage_options: Mapping[str, Any] | None = None) -> InputTable:
        """What the store at the target says of its inputs, and of places without one; nothing where it does not say.

        Raises:
            StoreNotFoundError: no store is there.
        """

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
        inputs: Iterable[Identity] = (),
    ) -> StoreSummary:
        """Check the receipts against the layout and make the store visible, whole or not at all.

        Args:
            target: of the store.
            layout: of the store, and where it grows, of what it becomes.
            receipts: of all shards of the layout.
            storage_options: for the target.
            inputs: what the references are from, to be kept in the store.

        Raises:
            IncompleteStoreError: shards that did not arrive.
            StoreError: another run has begun to write to the same place since.
            StoreExistsError: in ``inputs`` is one that the store has already.
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
    raise InputError(
        f"{os.fspath(url)}: the suffix {suffix!r} names no format. Use one of {known}, or say format=... explicitly"
    )


def no_store(target: WriteTarget) -> StoreNotFoundError:
    """The error where a store is to grow, or to be looked at, and is not there."""
    return StoreNotFoundError(f"{target.url}: there is no store. Way out: build it first (mode='create')")


def store_exists(target: WriteTarget) -> StoreExistsError:
    """The error where a store is to be created, and something is at its place."""
    return StoreExistsError(
        f"{target.url} is there already. Way out: another name, mode='overwrite' to replace it, or delete it yourself"
    )


def write_store(
    writer: Writer,
    url: str | os.PathLike[str],
    layout: Layout,
    shards: Mapping[ShardKey, Fragment],
    *,
    mode: str = "create",
    storage_options: Mapping[str, Any] | None = None,
    inputs: Iterable[Identity] = (),
) -> StoreSummary:
    """Write a whole store in one loop; shards that are not given hold no references."""
    return write_to(writer, WriteTarget(os.fspath(url), mode), layout, shards, storage_options, inputs)


def write_to(
    writer: Writer,
    target: WriteTarget,
    layout: Layout,
    shards: Mapping[ShardKey, Fragment],
    storage_options: Mapping[str, Any] | None = None,
    inputs: Iterable[Identity] = (),
) -> StoreSummary:
    """The same for a target."""
    writer.begin(target, layout, storage_options)
    receipts = [
        writer.write_shard(target, layout, key, shards.get(key, Fragment.empty()), storage_options)
        for key in layout.shard_keys()
    ]
    return writer.commit(target, layout, receipts, storage_options, inputs)
