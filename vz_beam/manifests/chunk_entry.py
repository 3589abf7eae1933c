"""One chunk's place, and the texts that name chunks."""

from __future__ import annotations

import operator
import posixpath
import re
from collections.abc import ItemsView, Iterable, Mapping, Sequence, ValuesView
from typing import Any, NamedTuple

from vz_beam.errors import ManifestError, ManifestTypeError

_IS_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""A scheme, of two characters at least: one is a drive of Windows."""


_SEPARATORS = (".", "/")
"""Those that Zarr knows."""


class _Fields(NamedTuple):
    path: str
    offset: int
    length: int
    data: bytes | None = None


class ChunkEntry(_Fields):
    """One chunk's place: ``length`` bytes from ``offset`` of the file ``path``, or ``data`` itself.

    A field is an attribute, and as in VirtualiZarr, where an entry is a dict, also an item: ``entry["path"]``. An entry
    equals the dict of its fields. Only to iterate over it gives values, as a tuple does.
    """

    __slots__ = ()

    def __getitem__(self, field: Any) -> Any:
        if isinstance(field, str):
            return self.to_dict()[field]
        return super().__getitem__(field)

    def __contains__(self, field: object) -> bool:
        return field in self.to_dict() or super().__contains__(field)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == dict(other) if isinstance(other, Mapping) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = _Fields.__hash__

    def keys(self) -> list[str]:
        """The fields that are set."""
        return list(self.to_dict())

    def values(self) -> ValuesView[Any]:
        """What the fields hold that are set."""
        return self.to_dict().values()

    def items(self) -> ItemsView[str, Any]:
        """Fields that are set, and what they hold."""
        return self.to_dict().items()

    def get(self, field: str, default: Any = None) -> Any:
        """What a field holds, or ``default`` where it is not set."""
        return self.to_dict().get(field, default)

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
            "path": path_as_url(path, fs_root) if inlined_data is None else path,
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
        ManifestError: a key of something else than whole numbers, or no text; a separator that Zarr does not know.
    """
    if not isinstance(key, str):
        raise ManifestTypeError(f"chunk keys are texts such as '0.1', not of type {type(key)} ({key!r})")
    if separator not in _SEPARATORS:
        raise ManifestError(f"chunk key separator must be one of {_SEPARATORS}: {separator!r}")
    if key == "c":
        return ()
    parts = key.split(separator)
    if not all(part.isdecimal() for part in parts):
        raise ManifestError(f"Invalid format for chunk key: {key!r} is not whole numbers joined by {separator!r}")
    return tuple(map(int, parts))


def entry_fields(key: str, entry: Mapping[str, Any] | ChunkEntry) -> tuple[str, int, int, bytes | None]:
    """Path, offset, length and inlined bytes of the entry of a chunk.

    Raises:
        ManifestError: a field that lacks or cannot be.
    """
    fields = entry.to_dict() if isinstance(entry, ChunkEntry) else entry
    if not isinstance(fields, Mapping) or fields.keys() - {"data"} != {"path", "offset", "length"}:
        raise ManifestError(
            f"Each chunk entry must be of the form dict(path=<str>, offset=<int>, length=<int>), with data=<bytes> "
            f"where it is inlined, but that of chunk {key!r} is {fields!r}"
        )
    where = f" of chunk {key!r}"
    data, path = fields.get("data"), fields["path"]
    if data is None and not isinstance(path, str):
        raise ManifestTypeError(f"path must be a str, not a {type(path).__name__}{where}")
    offset, length = _whole(fields["offset"], "offset", where), _whole(fields["length"], "length", where)
    return path, offset, length, None if data is None else bytes(data)


def _whole(number: Any, name: str, where: str = "") -> int:
    try:
        value = operator.index(number)
    except TypeError:
        raise ManifestTypeError(
            f"chunk entry byte {name} must be of type int, but got type {type(number)}: {number!r}{where}"
        ) from None
    if value < 0:
        raise ManifestError(f"chunk entry byte {name} must be a positive integer, but got {name}={value}{where}")
    return value


def path_as_url(path: str, root: str | None = None) -> str:
    """The URL of a file that is named by a URL, or by a path, which must be absolute unless there is a ``root``.

    >>> path_as_url("/a b/f.nc"), path_as_url("f.nc", "s3://bucket/"), path_as_url("s3://bucket/f.nc")
    ('file:///a b/f.nc', 's3://bucket/f.nc', 's3://bucket/f.nc')
    >>> path_as_url("../f.nc", "/a/b")
    'file:///a/f.nc'

    Raises:
        ManifestError: a relative path without a root.
    """
    if not isinstance(path, str):
        raise ManifestTypeError(f"path must be a str, not a {type(path).__name__}")
    if not path or "://" in path or _IS_URL.match(path):
        return path
    if path.startswith("/"):
        return f"file://{path}"
    if root is None:
        raise ManifestError(
            f"paths in the manifest must be absolute posix paths or URIs, but got {path}, and fs_root was not specified"
            ", the folder that it starts from"
        )
    if not isinstance(root, str):
        raise ManifestTypeError(f"fs_root must be a str, not a {type(root).__name__}")
    if not root.startswith("/") and not _IS_URL.match(root):
        raise ManifestError(f"fs_root must be an absolute path to a filesystem directory, or a URL, but got {root!r}")
    folder = root.removeprefix("file://")
    if folder.startswith("/"):  # keys of objects are not normalized: their dots and slashes are like other characters
        return f"file://{posixpath.normpath('/' + f'{folder}/{path}'.lstrip('/'))}"
    return f"{root.rstrip('/')}/{path.removeprefix('./')}"


def shape_of_keys(texts: Sequence[str], keys: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The smallest grid that holds the keys, chunks.

    Raises:
        ManifestError: no key, or keys of other numbers of dimensions.
    """
    if not keys:
        raise ManifestError("need a chunk grid shape if no chunks given: neither entries nor shape are there")
    for text, key in zip(texts, keys, strict=True):
        if len(key) != len(keys[0]):
            raise ManifestError(
                f"Inconsistent number of dimensions between chunk key {text} and {texts[0]}: "
                f"{len(key)} vs {len(keys[0])}"
            )
    return tuple(max(column) + 1 for column in zip(*keys, strict=True))


def given_grid_shape(shape: Any) -> tuple[int, ...]:
    """A shape that a caller gave, one number or several, chunks.

    Raises:
        ManifestError: negative lengths; ManifestTypeError: no integers.
    """
    try:
        lengths = tuple(map(operator.index, shape if isinstance(shape, Iterable) else (shape,)))
    except TypeError:
        raise ManifestTypeError(f"the shape of a chunk grid is a tuple of integers, not {shape!r}") from None
    if any(length < 0 for length in lengths):
        raise ManifestError(f"the shape of a chunk grid cannot have negative dimensions: {lengths}")
    return lengths
