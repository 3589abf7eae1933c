"""One chunk's place, and the texts that name chunks."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vz_beam.errors import ManifestError, ManifestTypeError


class _Fields(NamedTuple):
    path: str
    offset: int
    length: int
    data: bytes | None = None


class ChunkEntry(_Fields):
    """One chunk's place: ``length`` bytes from ``offset`` of the file ``path``, or ``data`` itself.

    A field is an attribute, and as in VirtualiZarr also an item: ``entry["path"]``.
    """

    __slots__ = ()

    def __getitem__(self, field: Any) -> Any:
        if isinstance(field, str):
            return self._asdict()[field]
        return super().__getitem__(field)

    def keys(self) -> list[str]:
        """The fields that are set."""
        return list(self._fields if self.data is not None else self._fields[:3])

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, by name."""
        fields: dict[str, Any] = {"path": self.path, "offset": self.offset, "length": self.length}
        return fields if self.data is None else {**fields, "data": self.data}

    @staticmethod
    def with_validation(
        *, path: str, offset: int, length: int, inlined_data: bytes | None = None, fs_root: str | None = None
    ) -> dict[str, Any]:
        """A checked entry for the dict that makes a manifest: ``path``, ``offset``, ``length``, and perhaps ``data``.

        Args:
            path: a URL, or a path, which becomes a ``file://`` URL. (Unlike VirtualiZarr's, it is not percent-encoded:
                ``file://`` URLs are taken literally here, as fsspec does.)
            offset: bytes.
            length: bytes.
            inlined_data: the chunk itself.
            fs_root: folder or URL that a relative path starts from.

        Raises:
            ManifestError: a relative path without ``fs_root``, a negative offset or length; also a TypeError where one
                is no integer.
        """
        entry = {
            "path": _as_url(path, fs_root) if inlined_data is None else path,
            "offset": _whole(offset, "offset"),
            "length": _whole(length, "length"),
        }
        return entry if inlined_data is None else {**entry, "data": inlined_data}


def chunk_key(index: Iterable[int]) -> str:
    """The key of a chunk: its indexes joined by dots, ``"c"`` for a scalar's.

    >>> chunk_key((0, 12)), chunk_key(())
    ('0.12', 'c')
    """
    return ".".join(map(str, index)) or "c"


def chunk_index(key: str, separator: str = ".") -> tuple[int, ...]:
    """The indexes in a chunk's key.

    Raises:
        ManifestError: a key of something else than whole numbers.
    """
    if key == "c":
        return ()
    parts = key.split(separator)
    if not all(part.isdecimal() for part in parts):
        raise ManifestError(f"chunk key {key!r} is not whole numbers joined by {separator!r}")
    return tuple(map(int, parts))


def entry_fields(key: str, entry: Mapping[str, Any] | ChunkEntry) -> tuple[str, int, int, bytes | None]:
    """Path, offset, length and inlined bytes of the entry of a chunk.

    Raises:
        ManifestError: a field that lacks or cannot be.
    """
    fields = entry.to_dict() if isinstance(entry, ChunkEntry) else entry
    if not {"path", "offset", "length"} <= fields.keys():
        raise ManifestError(f"chunk {key!r} has the fields {sorted(fields)}, and needs path, offset and length")
    where = f" of chunk {key!r}"
    data = fields.get("data")
    offset, length = _whole(fields["offset"], "offset", where), _whole(fields["length"], "length", where)
    return fields["path"], offset, length, None if data is None else bytes(data)


def _whole(number: Any, name: str, where: str = "") -> int:
    try:
        value = operator.index(number)
    except TypeError:
        raise ManifestTypeError(f"{name}{where} is {number!r}, and must be an integer") from None
    if value < 0:
        raise ManifestError(f"{name}{where} is {value}: it may not be negative")
    return value


def _as_url(path: str, root: str | None) -> str:
    if not isinstance(path, str):
        raise ManifestTypeError(f"path must be a str, not a {type(path).__name__}")
    if not path or "://" in path:
        return path
    if path.startswith("/"):
        return f"file://{path}"
    if root is None:
        raise ManifestError(f"path {path!r} is relative: name the folder that it starts from (fs_root)")
    return _as_url(f"{root.rstrip('/')}/{path.removeprefix('./')}", None)
