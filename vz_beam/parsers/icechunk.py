"""Icechunk repositories: the parser itself.

Source: https://icechunk.io/en/latest/reference/spec/, versions 1 and 2.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.errors import FormatError, InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import FolderSource

_MAGIC = "ICE🧊CHUNK".encode()


@dataclass(frozen=True, slots=True)
class IcechunkParser(FileParser):
    """A snapshot of an Icechunk repository as manifests: virtual chunks, the repository's own, and inlined ones.

    The repository is read by its specification, without icechunk: by our own byte sources, on any protocol. What the
    repository knows of a virtual file (etag, time of modification) is not kept.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are those up to ``unsupported``.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
        branch: name of a branch; ``main`` where none of the three is given.
        tag: name of a tag.
        snapshot_id: of a snapshot, 20 digits.
        batch_size: taken for VirtualiZarr's sake; manifests are read whole.
    """

    branch: str | None = None
    tag: str | None = None
    snapshot_id: str | None = None
    batch_size: int | None = None

    name: ClassVar[str] = "icechunk"
    suffixes: ClassVar[tuple[str, ...]] = (".icechunk",)
    title: ClassVar[str] = "Icechunk"
    reads: ClassVar[str] = (
        "branches, tags and snapshots of repositories of versions 1 and 2; virtual, native and inlined chunks"
    )

    def __post_init__(self) -> None:
        FileParser.__post_init__(self)
        given = [name for name in ("branch", "tag", "snapshot_id") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} are given: name one of branch, tag and snapshot_id")

    def matches(self, head: bytes) -> bool:
        """Whether the document that marks a folder is one of Icechunk."""
        if head.startswith(_MAGIC):
            return True
        if not head.startswith(b"{") or b'"snapshot"' not in head[:20]:
            return False
        try:
            document = json.loads(head)
        except ValueError:
            return False
        return isinstance(document, dict) and isinstance(document.get("snapshot"), str)

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The arrays, groups and attributes of a snapshot of the repository ``source``.

        Raises:
            UnsupportedError: arrays that references cannot express.
            FormatError: no repository, or a damaged one.
            InputError: a branch, tag or group that is not there.
        """
        if not source.size():
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        if not isinstance(source, FolderSource):
            raise FormatError(
                f"{source.url} is a file, and an Icechunk repository is a folder. Way out: name the folder"
            )
        reading = importlib.import_module("vz_beam.parsers.icechunk_repos.reading")
        choices = importlib.import_module("vz_beam.parsers.kerchunk.store_group").choices_of(
            self.group, (self.skip_variables, self.drop_variables), self.unsupported
        )
        group = reading.read_repository(source, choices, self.branch, self.tag, self.snapshot_id)
        assert isinstance(group, ManifestGroup)
        return group


PARSER = IcechunkParser()
