"""Icechunk repositories written by many workers: each shard is a file of packed references, committed in batches.

Sessions of Icechunk that workers would send back hold the credentials of their storage, and all references of a commit
at once: so workers write packed references beside the repository, and the commit reads them, a batch at a time. Each
batch is a commit on a branch of its own, in the order of the chunks, so that a manifest is written once or twice; at
the end ``main`` is moved to it, which readers see as one step.

Source: https://icechunk.io/en/stable/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.compact import packed_fragment, unpacked_fragment
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.errors import StoreError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.icechunk_repos.reading import read_repository
from vz_beam.parsers.kerchunk.store_group import choices_of
from vz_beam.storage.folder_source import FolderSource, open_file_or_folder
from vz_beam.storage.identity import Identity
from vz_beam.storage.listing import sizes_below
from vz_beam.writers.appended_rows import appended_rows, fragment_of_group, group_as_stored, loaded_chunks
from vz_beam.writers.icechunk_documents import NewNodes, new_nodes
from vz_beam.writers.icechunk_locations import Checksum, checksums_of, icechunk_url
from vz_beam.writers.icechunk_nodes import create_nodes, delete_node, write_document
from vz_beam.writers.icechunk_references import write_chunks, write_references
from vz_beam.writers.icechunk_repository import (
    BUILDING,
    MAIN,
    access_text,
    add_containers,
    create_repository,
    is_published,
    open_repository,
    storage_of,
    told,
    without_caches,
)
from vz_beam.writers.input_table import InputTable, inputs_file, joined_tables, read_inputs_file
from vz_beam.writers.receipts import check_receipts, summarize
from vz_beam.writers.staging import Staging, lost_parts, open_staging, part_key
from vz_beam.writers.store_summary import ShardReceipt, StoreSummary
from vz_beam.writers.writer import AppendSides, WriteTarget, no_store, store_exists

COMMIT_REFERENCES = 1_000_000
"""References of one commit, which icechunk holds in memory at 0.5 KiB each; it asks for fewer than 50,000,000."""
_INPUTS = "vz_beam/inputs"
_RUN, _TABLE = "vz_beam_run", "vz_beam_inputs"
"""Of a commit's metadata: the run that made it, and where in the repository the table of inputs is."""


class IcechunkWriter:
    """Icechunk repositories, of icechunk 1.1 or 2."""

    name = "icechunk"
    suffixes = (".icechunk",)
    packages = ("icechunk",)

    def sides(
        self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None
    ) -> AppendSides:
        """See :meth:`vz_beam.writers.writer.Writer.sides`."""
        self._published(target, storage_options)
        loaded = loaded_chunks(layout)
        stored = _group(target, storage_options, frozenset(loaded))
        nodes = new_nodes(layout, {})
        documents = {_key(path): document for path, document in nodes.groups.items()}
        documents |= {_key(path): array.document for path, array in nodes.arrays.items()}
        chunks = {path: nodes.arrays[path].chunks for path in loaded}
        added = group_as_stored(documents, chunks, target.url)
        return AppendSides(stored, added, layout.chunks_per_shard, keeps_shards=True)

    def input_table(self, target: WriteTarget, storage_options: Mapping[str, Any] | None = None) -> InputTable:
        """See :meth:`vz_beam.writers.writer.Writer.input_table`."""
        return _input_table(self._published(target, storage_options), open_staging(target, storage_options))

    def begin(self, target: WriteTarget, layout: Layout, storage_options: Mapping[str, Any] | None = None) -> None:
        """See :meth:`vz_beam.writers.writer.Writer.begin`."""
        new_nodes(layout, {})
        storage_of(target.url, storage_options)
        staging = open_staging(target, storage_options)
        if target.mode == "create" and staging.is_taken():
            repository = open_repository(target.url, storage_options)
            if repository is None or is_published(repository):
                raise store_exists(target)
        staging.parent.delete(staging.building)
        staging.claim_for(target.run)

    def write_shard(
        self,
        target: WriteTarget,
        layout: Layout,
        key: ShardKey,
        fragment: Fragment,
        storage_options: Mapping[str, Any] | None = None,
    ) -> ShardReceipt:
        """See :meth:`vz_beam.writers.writer.Writer.write_shard`."""
        array = layout.arrays.get(key.path)
        stored = partial(_stored_fragment, target, storage_options, layout)
        rows = appended_rows(layout, key, fragment, stored, says_fill=True)
        is_there = array is not None and (array.is_loaded or array.is_kept)
        for url in () if is_there else fragment.locations:
            icechunk_url(url)
        data = packed_fragment(Fragment.empty() if is_there else fragment)
        staging = open_staging(target, storage_options)
        staging.parent.sub(staging.building).write(part_key(key), data)
        return rows.receipt(data)

    def commit(
        self,
        target: WriteTarget,
        layout: Layout,
        receipts: Iterable[ShardReceipt],
        storage_options: Mapping[str, Any] | None = None,
        inputs: Iterable[Identity] = (),
    ) -> StoreSummary:
        """See :meth:`vz_beam.writers.writer.Writer.commit`."""
        staging = open_staging(target, storage_options)
        counted = check_receipts(layout, receipts, target.url)
        repository = open_repository(target.url, storage_options)
        if repository is None or _metadata(repository).get(_RUN) != target.run:
            parts = staging.parent.sub(staging.building)
            absent = [part_key(key) for key in counted if not parts.exists(part_key(key))]
            if absent:
                raise lost_parts(target.url, parts.url, absent, len(counted))
            staging.check_claim(target.run)
            if target.mode == "create" and repository is not None and is_published(repository):
                raise store_exists(target)
            if repository is None:
                repository = create_repository(target.url, storage_options, layout)
            fragments = ((key, unpacked_fragment(parts.read(part_key(key)))) for key in counted)
            with told(target.url):
                _publish(repository, staging, target, layout, fragments, inputs, storage_options)
        staging.parent.delete(staging.building)
        staging.release()
        nbytes = sum(sizes_below(staging.url, storage_options).values())
        summary = summarize(layout, counted, staging.url, self.name, nbytes, self.packages)
        return replace(summary, notes=(*summary.notes, *_notes(open_repository(target.url, storage_options))))

    @staticmethod
    def _published(target: WriteTarget, storage_options: Mapping[str, Any] | None) -> Any:
        repository = open_repository(target.url, storage_options)
        if repository is None or not is_published(repository):
            raise no_store(target)
        return repository


def _publish(
    repository: Any,
    staging: Staging,
    target: WriteTarget,
    layout: Layout,
    fragments: Iterator[tuple[ShardKey, Fragment]],
    inputs: Iterable[Identity],
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Commits all parts to the branch ``BUILDING``, and moves ``main`` there."""
    base = repository.lookup_branch(MAIN)
    last_table = _metadata(repository).get(_TABLE)
    if BUILDING in repository.list_branches():
        repository.delete_branch(BUILDING)
    repository.create_branch(BUILDING, base)
    table = InputTable.of(inputs, layout.holes)
    if target.mode == "append":
        table = joined_tables(_input_table(repository, staging), table, staging.url)
    times = {one.url: _checksum(one) for one in table.inputs}
    writing = without_caches(repository, target.url, storage_options)
    session = writing.writable_session(BUILDING)
    nodes = new_nodes(layout, {})
    if target.mode == "append":
        _grow(session.store, layout, nodes)
    else:
        create_nodes(session.store, "", "w", nodes, {})
    count, urls = 0, set()
    for key, fragment in fragments:
        if count and count + len(fragment) > COMMIT_REFERENCES:
            session.commit(f"vz_beam: {count:,} references before {key.path} shard {key.number}")
            session, count = writing.writable_session(BUILDING), 0
        checksums = checksums_of(fragment.locations, {url: times[url] for url in fragment.locations if url in times})
        grid_shape = layout.arrays[key.path].metadata.chunk_grid.grid_shape
        write_references(session.store, key.path, grid_shape, fragment, checksums, validate_containers=False)
        urls |= set(fragment.locations)
        count += len(fragment)
    add_containers(repository, target.url, storage_options, map(icechunk_url, sorted(urls)), target.sources)
    metadata = {_RUN: target.run}
    if any(table):
        data = inputs_file(table)
        metadata[_TABLE] = f"{_INPUTS}-{target.run}.parquet"
        staging.parent.sub(staging.name).write(metadata[_TABLE], data)
    tip = session.commit(f"vz_beam: {target.mode}, {layout.inputs:,} inputs", metadata=metadata)
    staging.check_claim(target.run)
    if repository.lookup_branch(MAIN) != base:
        raise StoreError(
            f"{target.url}: somebody has committed to the branch {MAIN!r} meanwhile, and it stays as it is. "
            "Way out: run again"
        )
    repository.reset_branch(MAIN, tip, from_snapshot_id=base)
    repository.delete_branch(BUILDING)
    if last_table is not None and last_table != metadata.get(_TABLE):
        staging.parent.sub(staging.name).delete(str(last_table))  # only the last commit's is ever asked for


def _grow(store: Any, layout: Layout, nodes: NewNodes) -> None:
    """Documents of all nodes as they become; arrays that are loaded are written anew, as they are small."""
    for path, document in nodes.groups.items():
        write_document(store, path, document)
    for path, array in nodes.arrays.items():
        if layout.arrays[path].is_loaded:
            delete_node(store, path)
        write_document(store, path, array.document)
        write_chunks(store, path, array.metadata.chunk_grid.grid_shape, array.chunks)


def _notes(repository: Any) -> tuple[str, ...]:
    """What readers must know: Icechunk reads from no container that they do not name."""
    text = access_text(repository)
    return (f"open it with icechunk.Repository.open(storage, {text})",) if text else ()


def _checksum(identity: Identity) -> Checksum:
    """The mark by which Icechunk knows that a file has changed since it was opened."""
    if identity.modified is None:
        return identity.etag
    return datetime.fromisoformat(identity.modified.replace("Z", "+00:00"))


def _metadata(repository: Any) -> dict[str, Any]:
    """That of the last commit of ``main``."""
    return dict(next(iter(repository.ancestry(branch=MAIN))).metadata)


def _input_table(repository: Any, staging: Staging) -> InputTable:
    key = _metadata(repository).get(_TABLE)
    if key is None:
        return InputTable()
    return read_inputs_file(staging.parent.sub(staging.name).read(str(key)), staging.url)


def _group(
    target: WriteTarget,
    storage_options: Mapping[str, Any] | None,
    referenced: frozenset[str] | None,
    rows: Mapping[str, range] | None = None,
) -> ManifestGroup:
    """The store's last snapshot; with the chunks of the arrays ``referenced`` only, or of all, and of some rows."""
    source = open_file_or_folder(target.url, storage_options)
    try:
        assert isinstance(source, FolderSource)
        choices = replace(choices_of(None, (), "raise"), referenced=referenced)
        return read_repository(source, choices, MAIN, None, None, rows)
    finally:
        source.close()


def _stored_fragment(
    target: WriteTarget,
    storage_options: Mapping[str, Any] | None,
    layout: Layout,
    path: str,
    numbers: NDArray[np.int64],
) -> Fragment:
    """The references that the store has for some chunks of an array, from those manifests that have any of them."""
    growth = layout.arrays[path].growth
    rows = {}
    if growth is not None and len(numbers) and growth.stored:
        inner = math.prod(growth.stored[1:])
        rows = {path: range(int(numbers.min()) // inner, int(numbers.max()) // inner + 1)}
    return fragment_of_group(_group(target, storage_options, frozenset([path]), rows), path, numbers)


def _key(path: str) -> str:
    return f"{path}/zarr.json" if path else "zarr.json"


WRITER = IcechunkWriter()
