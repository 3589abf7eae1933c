"""The files of an Icechunk repository: their header, and which snapshot a branch or tag names.

Source: https://icechunk.io/en/latest/reference/spec/, versions 1 and 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vz_beam.errors import FormatError, InputError, SourceNotFoundError
from vz_beam.parsers.icechunk_repos.flatbuffer import FlatBuffer
from vz_beam.storage.byte_source import ByteSource

MAGIC = "ICE🧊CHUNK".encode()
REPO = "repo"
"""The file that a repository of version 2 starts from."""
MAIN = "refs/branch.main/ref.json"
"""That of version 1."""
_HEADER_BYTES = 39
_VERSION, _KIND, _COMPRESSION = 36, 37, 38
KINDS = {"snapshot": 1, "manifest": 2, "repository": 6}
MOST_BYTES = 2**32
"""What a file may have, decompressed: 15,000,000 references need 2 GiB, and readers take no more."""
_PIECE_BYTES = 2**22
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8)
_ID = re.compile("[0-9A-HJKMNP-TV-Z]{20}")


def payload(data: bytes, kind: Literal["snapshot", "manifest", "repository"], name: str) -> FlatBuffer:
    """The buffer in a file.

    Args:
        data: all bytes of the file.
        kind: what the file should be.
        name: of the file, for errors.

    Raises:
        FormatError: another file, a version that is not known, damaged bytes.
    """
    if len(data) < _HEADER_BYTES or not data.startswith(MAGIC):
        raise FormatError(f"{name} is no file of Icechunk: it has {len(data):,} bytes, which begin {data[:12]!r}")
    version, found, compression = data[_VERSION], data[_KIND], data[_COMPRESSION]
    if version not in (1, 2) or compression not in (0, 1):
        raise FormatError(
            f"{name} has version {version} of Icechunk's format and compression {compression}; 1 and 2 are read, and "
            "compressions 0 and 1. Way out: a newer vz_beam"
        )
    if found != KINDS[kind]:
        raise FormatError(f"{name} is a file of kind {found}, and should be a {kind} ({KINDS[kind]})")
    body = data[_HEADER_BYTES:]
    if compression:
        try:
            with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
                body = _up_to(stream, MOST_BYTES + 1)
        except (OSError, pa.ArrowException) as error:
            raise FormatError(f"{name} is damaged: {error}") from error
    if not 8 <= len(body) <= MOST_BYTES:
        raise FormatError(f"{name} has {len(body):,} bytes when decompressed; 8 to {MOST_BYTES:,} are read")
    return FlatBuffer(body)


def _up_to(stream: pa.NativeFile, nbytes: int) -> bytes:
    """At most so many bytes, in pieces: Arrow takes the memory that is asked for before it reads."""
    pieces: list[bytes] = []
    while nbytes > 0 and (piece := stream.read(min(nbytes, _PIECE_BYTES))):
        pieces.append(piece)
        nbytes -= len(piece)
    return b"".join(pieces)


def id_texts(ids: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Ids as the names of files have them, in the base 32 of Crockford; ``ids`` is uint8[n, bytes of an id]."""
    ndigits = -(-ids.shape[1] * 8 // 5)
    bits = np.unpackbits(np.pad(ids, ((0, 0), (0, 1))), axis=1)[:, : 5 * ndigits].reshape(len(ids), ndigits, 5)
    digits = bits @ np.array([16, 8, 4, 2, 1], np.uint8)
    return np.ascontiguousarray(_ALPHABET[digits]).view(f"S{ndigits}")[:, 0]


def snapshot_of(
    source: ByteSource, open_file: Callable[[str], bytes], branch: str | None, tag: str | None, snapshot_id: str | None
) -> str:
    """The name of the snapshot that is asked for: at most one of the three is given, and the branch ``main`` is else.

    Args:
        source: the document of the folder, ``repo`` or that of the branch ``main``.
        open_file: gives the bytes of a file in the folder.
        branch: name of a branch.
        tag: name of a tag.
        snapshot_id: name of a snapshot.

    Raises:
        InputError: a branch or tag that is not there, with those that are where the repository lists them.
        FormatError: a damaged document.
    """
    if snapshot_id is not None:
        if not _ID.fullmatch(snapshot_id):
            raise InputError(f"snapshot_id={snapshot_id!r}: an id has 20 digits, such as 1CECHNKREP0F1RSTCMT0")
        return snapshot_id
    kind, name = ("tag", tag) if tag is not None else ("branch", branch or "main")
    assert name is not None
    head = source.read(0, source.size())
    if head.startswith(MAGIC):
        return _of_repository(payload(head, "repository", REPO), kind, name)
    path = f"refs/{kind}.{name}/ref.json"
    if path == MAIN:
        text = head
    else:
        try:
            if kind == "tag" and _is_there(open_file, f"{path}.deleted"):
                raise InputError(f"the tag {name!r} was deleted. Way out: another tag, branch, or snapshot_id")
            text = open_file(path)
        except SourceNotFoundError:
            raise InputError(f"there is no {kind} {name!r} in {source.url} (no file {path})") from None
    try:
        found = json.loads(text)["snapshot"]
    except (ValueError, TypeError, LookupError):
        raise FormatError(f"{path} should be JSON with a snapshot, and begins {text[:40]!r}") from None
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise FormatError(f"{path} names the snapshot {found!r}, which is no id")
    return found


def _is_there(open_file: Callable[[str], bytes], path: str) -> bool:
    try:
        open_file(path)
    except SourceNotFoundError:
        return False
    return True


def _of_repository(buffer: FlatBuffer, kind: str, name: str) -> str:
    refs = buffer.tables(buffer.root, 1 if kind == "tag" else 2)
    names = [buffer.text(refs[row : row + 1], 0) for row in range(len(refs))]
    if name not in names:
        known = ", ".join(repr(each) for each in names[:20]) or "none"
        raise InputError(f"there is no {kind} {name!r}; there are: {known}")
    row = names.index(name)
    number = int(buffer.field_numbers(refs[row : row + 1], 1, "<u4")[0])
    snapshots = buffer.tables(buffer.root, 4)
    if number >= len(snapshots):
        raise FormatError(f"the {kind} {name!r} is snapshot {number}, and there are {len(snapshots)}")
    place = buffer.fields(snapshots[number : number + 1], 0)
    return str(id_texts(buffer.rows(place, 12))[0].decode())
