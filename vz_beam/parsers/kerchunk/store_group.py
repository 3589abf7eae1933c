"""From metadata documents and the references of each array to a group of manifests, whichever form they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from vz_beam.errors import (
    ExternalFileError,
    FormatError,
    IncompleteStoreError,
    InputError,
    ManifestError,
    SourceNotFoundError,
    UnsupportedError,
)
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk.dimension_names import DimensionNames, check_names
from vz_beam.parsers.kerchunk.documents import ArrayDocument, Documents
from vz_beam.parsers.refusal import unsupported_variables

DENSE_CHUNKS = 2**22
"""Chunks of a grid that may all be missing, 67 MB of manifest; larger grids need references:"""
SPARSE_FACTOR = 1000
"""This many chunks for each reference. A manifest has columns for every chunk; more is damage."""
_OF_ONE_VARIABLE = (
    FormatError,
    UnsupportedError,
    ManifestError,
    InputError,
    SourceNotFoundError,
    ExternalFileError,
    IncompleteStoreError,
)
"""Errors that leave the other variables alone."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What is asked of a parser.

    Args:
        group: path of the group to take.
        drop: names or paths of arrays and groups to leave out.
        skip_unsupported: whether to list what cannot be read, rather than to refuse it.
        referenced: paths of the arrays whose references are read, all chunks of others being missing; ``None`` is all.
    """

    group: str
    drop: frozenset[str]
    skip_unsupported: bool
    referenced: frozenset[str] | None = None

    def reads(self, path: str) -> bool:
        """Whether the references of an array are asked for."""
        return self.referenced is None or path in self.referenced

    def wants(self, path: str) -> bool:
        """Whether an array is in the group that was asked for, and not left out."""
        return path.startswith(f"{self.group}/" if self.group else "") and not self.drops(path)

    def drops(self, path: str) -> bool:
        """Whether an array is left out, or a group that it is in."""
        parts = path.split("/")
        if not self.drop:
            return False
        below = path.removeprefix(f"{self.group}/") if self.group else path
        places = {"/".join(parts[: end + 1]) for end in range(len(parts))}
        inner = below.split("/")
        places |= {"/".join(inner[: end + 1]) for end in range(len(inner))}
        return not self.drop.isdisjoint(places | set(inner))


def choices_of(group: str | None, names: Iterable[Iterable[str] | None], unsupported: str) -> Choices:
    """The choices that the arguments of a parser make."""
    drop = frozenset(name.strip("/") for each in names for name in each or ())
    return Choices((group or "").strip("/"), drop, unsupported == "skip")


def manifest_group(
    url: str,
    documents: Documents,
    manifest_of: Callable[[ArrayDocument, ArrayMetadata], ChunkManifest],
    choices: Choices,
    unread: Mapping[str, str],
) -> ManifestGroup:
    """The group that was asked for, with all below it.

    Args:
        url: of the store, for messages.
        documents: of the whole store.
        manifest_of: gives the references of an array.
        choices: of the caller.
        unread: reasons by path of what has references and is no array.

    Raises:
        UnsupportedError: arrays that cannot be read; names all of them.
        InputError: a group that is not there.
    """
    prefix = f"{choices.group}/" if choices.group else ""
    if choices.group not in documents.groups:
        known = [path for path in documents.groups if path]
        raise InputError(f"{url} has no group {choices.group!r}; its groups are {known or 'none but the root'}")
    wanted = {path: document for path, document in documents.arrays.items() if choices.wants(path)}
    reasons = {path: why for path, why in unread.items() if choices.wants(path)}
    metadata: dict[str, ArrayMetadata] = {}
    manifests: dict[str, ChunkManifest] = {}
    for path, document in wanted.items():
        try:
            known_metadata = document.metadata()
            check_names(known_metadata)
            grid_shape = known_metadata.chunk_grid.grid_shape
            is_read = choices.reads(path)
            manifests[path] = manifest_of(document, known_metadata) if is_read else ChunkManifest.empty(grid_shape)
            metadata[path] = known_metadata
        except _OF_ONE_VARIABLE as error:
            reasons[path] = str(error).removeprefix(f"{url}: ")
    if reasons and not choices.skip_unsupported:
        raise unsupported_variables(url, reasons)
    skipped = {path.removeprefix(prefix): why for path, why in reasons.items()}
    groups = [p for p in documents.groups if (p == choices.group or p.startswith(prefix)) and not _dropped(p, choices)]
    return _tree(choices.group, groups, documents, metadata, manifests, skipped)


def check_sparse(grid_chunks: int, references: int) -> None:
    """Refuses a grid that is far larger than its references.

    Raises:
        UnsupportedError: it is.
    """
    if references and grid_chunks > DENSE_CHUNKS + SPARSE_FACTOR * references:
        raise UnsupportedError(
            f"its shape makes {grid_chunks:,} chunks, and there are {references:,} references: a manifest has a place "
            "for every chunk, and so many empty ones are not for it"
        )


def _dropped(path: str, choices: Choices) -> bool:
    return path != choices.group and choices.drops(path)


def _tree(
    root: str,
    groups: Iterable[str],
    documents: Documents,
    metadata: Mapping[str, ArrayMetadata],
    manifests: Mapping[str, ChunkManifest],
    skipped: Mapping[str, str],
) -> ManifestGroup:
    members: dict[str, dict[str, ArrayMetadata]] = {path: {} for path in groups}
    for path, known in metadata.items():
        parent, _, name = path.rpartition("/")
        members[parent][name] = known
    taken = {name for known in metadata.values() for name in known.dimension_names or ()}
    names = DimensionNames(taken | {path.rpartition("/")[2] for path in metadata})
    made: dict[str, ManifestGroup] = {}
    for path in members:
        named = names.of_group(members[path])
        below = f"{path}/" if path else ""
        arrays = {name: ManifestArray(known, manifests[below + name]) for name, known in named.items()}
        attributes = documents.groups[path]
        made[path] = ManifestGroup(arrays, {}, attributes, skipped if path == root else None)
        if path != root:
            parent, _, name = path.rpartition("/")
            made[parent].groups[name] = made[path]
    return made[root]
