"""The keys of a Zarr store and where their bytes are: files in a folder, or members of a zip file."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import FolderSource
from vz_beam.storage.sibling_urls import member_url
from vz_beam.storage.source_file import SourceFile

DOCUMENTS = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")
_TOGETHER = 16
"""Documents, and indexes of shards, that are fetched side by side."""
_LOCAL_HEAD_BYTES = 30
_LOCAL_MAGIC = b"PK\x03\x04"
_MOST_MEMBERS = 2**24


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a key are."""

    url: str
    start: int
    nbytes: int


class Keys(Protocol):
    """The keys of a store."""

    url: str

    def names(self) -> Sequence[str]:
        """All keys."""
        ...

    def is_deflated(self, names: Sequence[str]) -> bool:
        """Whether the bytes of some keys are deflated.

        Raises:
            UnsupportedError: some are and others not, or they are compressed in another way.
        """
        ...

    def places(self, names: Sequence[str]) -> list[Place]:
        """Where the bytes of some keys are."""
        ...

    def read(self, places: Sequence[Place]) -> list[bytes]:
        """The bytes at some places."""
        ...


class FolderKeys:
    """Those of a folder: each key is a file."""

    def __init__(self, source: FolderSource) -> None:
        self.url = source.url
        self._source = source
        self._sizes = source.sizes()

    def names(self) -> Sequence[str]:
        """All keys."""
        return list(self._sizes)

    def is_deflated(self, names: Sequence[str]) -> bool:
        """False: files are as they are."""
        return False

    def places(self, names: Sequence[str]) -> list[Place]:
        """Where the bytes of some keys are."""
        return [Place(member_url(self.url, name), 0, self._sizes[name]) for name in names]

    def read(self, places: Sequence[Place]) -> list[bytes]:
        """The bytes at some places, several files at a time."""

        def one(place: Place) -> bytes:
            file = self._source.other(place.url)
            try:
                return file.read(place.start, place.start + place.nbytes)
            finally:
                file.close()

        if len(places) < 2:
            return [one(place) for place in places]
        with ThreadPoolExecutor(_TOGETHER) as pool:
            return list(pool.map(one, places))


class ZipKeys:
    """Those of a zip file: each key is a member. A store may be in a folder of it.

    Raises:
        FormatError: no zip file, a damaged one, or one without a store.
    """

    def __init__(self, source: ByteSource) -> None:
        self.url = source.url
        self._source = BlockCache(source)
        try:
            with zipfile.ZipFile(SourceFile(self._source)) as file:
                members = [member for member in file.infolist() if not member.is_dir()]
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError) as error:
            raise FormatError(
                f"{self.url} is no zip file that can be read ({error}). Way out: fetch it again, or leave it out"
            ) from error
        if len(members) > _MOST_MEMBERS:
            raise FormatError(f"{self.url} has {len(members):,} members. Way out: leave it out")
        root = _root_of([member.filename for member in members])
        if root is None:
            raise FormatError(f"{self.url} is a zip file without a Zarr store. Way out: leave it out")
        self._members = {member.filename[len(root) :]: member for member in members if member.filename.startswith(root)}

    def names(self) -> Sequence[str]:
        """All keys."""
        return list(self._members)

    def is_deflated(self, names: Sequence[str]) -> bool:
        """Whether the members of some keys are deflated.

        Raises:
            UnsupportedError: some are and others not, or they are compressed in another way.
        """
        kinds = {self._members[name].compress_type: name for name in names}
        odd = [name for kind, name in kinds.items() if kind not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
        if odd or len(kinds) > 1:
            what = "some members are deflated, others not"
            if odd:
                what = f"the member {odd[0]!r} is compressed in another way"
            raise UnsupportedError(f"of the zip file, {what}, and one codec decodes all. Way out: zip -0")
        return zipfile.ZIP_DEFLATED in kinds

    def places(self, names: Sequence[str]) -> list[Place]:
        """Where the bytes of some keys are: behind the member's own header, which has a length of its own.

        Raises:
            FormatError: a member that is not where the directory says.
        """
        members = [self._members[name] for name in names]
        heads = self._source.read_many([(m.header_offset, m.header_offset + _LOCAL_HEAD_BYTES) for m in members])
        found = []
        for name, member, head in zip(names, members, heads, strict=True):
            if head[:4] != _LOCAL_MAGIC:
                raise FormatError(f"the member {name!r} is not at byte {member.header_offset:,}")
            start = member.header_offset + _LOCAL_HEAD_BYTES + sum(struct.unpack("<HH", head[26:30]))
            if start + member.compress_size > self._source.size():
                raise FormatError(f"the member {name!r} ends behind the end of the file")
            found.append(Place(self.url, start, member.compress_size))
        return found

    def read(self, places: Sequence[Place]) -> list[bytes]:
        """The bytes at some places."""
        return self._source.read_many([(place.start, place.start + place.nbytes) for place in places])

    def document(self, name: str) -> bytes:
        """The bytes of a member, also where it is compressed."""
        with zipfile.ZipFile(SourceFile(self._source)) as file:
            return file.read(self._members[name])


def _root_of(names: Sequence[str]) -> str | None:
    """The folder that the store is in, with a slash at its end; ``""`` where it is in none."""
    marks = [name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in DOCUMENTS]
    if not marks:
        return None
    shortest = min(marks, key=lambda folder: (folder.count("/") if folder else -1, folder))
    return f"{shortest}/" if shortest else ""
