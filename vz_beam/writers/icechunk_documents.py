"""The arrays and groups of an Icechunk store as ``zarr.json`` documents: what to create, before anything is written.

Source: https://icechunk.io/en/stable/spec/, which keeps these documents as they are and takes no JSON but strict one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from numcodecs.zstd import Zstd

from vz_beam.combine.fragment import Fragment
from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.combine.schema import join_path
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata, Attributes, Codec
from vz_beam.manifests.zarr_v3 import group_v3, to_v3

Document = dict[str, Any]
"""A ``zarr.json`` document."""

PLAIN_CHUNK_BYTES = 512
"""Icechunk keeps chunks up to this size beside their references, where compressing them saves no request."""
ZSTD_LEVEL = 3
"""The library's own default, and fast enough not to be seen beside the write."""


@dataclass(frozen=True, slots=True)
class NewArray:
    """An array to be created.

    Args:
        metadata: of the array.
        document: the same for the store.
        chunks: encoded chunks to be stored, by C-order number.
        references: of its other chunks.
    """

    metadata: ArrayMetadata
    document: Document
    chunks: Mapping[int, bytes] = field(default_factory=dict)
    references: Fragment = field(default_factory=Fragment.empty)


@dataclass(frozen=True, slots=True)
class NewNodes:
    """All that is to be created, by path: groups, those above others first, and arrays."""

    groups: Mapping[str, Document]
    arrays: Mapping[str, NewArray]


def new_nodes(layout: Layout, fragments: Mapping[str, Fragment], group: str = "") -> NewNodes:
    """What a store of ``layout`` consists of, placed below ``group``.

    Raises:
        UnsupportedError: arrays that Zarr v3 cannot express, attributes that JSON cannot; names all of them.
    """
    problems: list[str] = []
    groups: dict[str, Document] = {}
    for path, attributes in sorted(layout.groups.items()):
        where = join_path(group, path).rstrip("/")
        groups[where] = group_v3(attributes)
        problems += unwritable_attributes(groups[where]["attributes"], f"group {where or '/'!r}", "dataset")
    arrays: dict[str, NewArray] = {}
    for path, array in layout.arrays.items():
        where = join_path(group, path)
        for parent in parents_of(where):
            groups.setdefault(parent, group_v3({}))
        metadata, chunks = _compressed(array)
        try:
            document = array_document(metadata, where)
        except UnsupportedError as error:
            problems.append(str(error))
            continue
        arrays[where] = NewArray(metadata, document, chunks, fragments.get(path, Fragment.empty()))
    if problems:
        raise UnsupportedError("\n".join(problems))
    return NewNodes(dict(sorted(groups.items())), arrays)


def parents_of(path: str) -> list[str]:
    """The groups above a node, outermost first; the root is ``""``.

    >>> parents_of("a/b/v"), parents_of("")
    (['', 'a', 'a/b'], [])
    """
    if not path:
        return []
    return ["" if str(parent) == "." else str(parent) for parent in reversed(PurePosixPath(path).parents)]


def array_document(metadata: ArrayMetadata, path: str) -> Document:
    """The document of the array at ``path``.

    The attribute ``missing_value`` is left out where it is NaN: such values are missing anyway, and JSON has no NaN.

    Raises:
        UnsupportedError: what Zarr v3 cannot express, or attributes that JSON cannot.
    """
    attributes = {
        name: value for name, value in metadata.attributes.items() if name != "missing_value" or not _is_nan(value)
    }
    try:
        document = to_v3(replace(metadata, attributes=attributes))
    except UnsupportedError as error:
        raise UnsupportedError(
            f"array {path!r} cannot be said in Zarr v3: {error}. Way out: drop the variable (drop_variables=[{path!r}])"
        ) from error
    if problems := unwritable_attributes(document["attributes"], f"array {path!r}", f"dataset[{path!r}]"):
        raise UnsupportedError("\n".join(problems))
    return document


def unwritable_attributes(attributes: Attributes, owner: str, where: str) -> list[str]:
    """A text for each attribute that strict JSON cannot say, such as NaN."""
    return [
        f"{owner}: attribute {name!r} holds {bad!r}, which an Icechunk store cannot hold, since JSON cannot. "
        f"Way out: del {where}.attrs[{name!r}], or make it a text"
        for name, value in attributes.items()
        for bad in _unsayable(value)
    ]


def _unsayable(value: Any) -> Iterator[Any]:
    """The first part of an attribute value that JSON has no word for."""
    parts = value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, Mapping) else None
    if parts is not None:
        yield from (bad for bad in list(parts) for bad in list(_unsayable(bad))[:1])
    elif not (
        value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    ):
        yield value


def _is_nan(value: Any) -> bool:
    values = value if isinstance(value, (list, tuple)) else getattr(value, "tolist", lambda: value)()
    values = values if isinstance(values, (list, tuple)) else [values]
    return bool(values) and all(isinstance(one, float) and math.isnan(one) for one in values)


def _compressed(array: ArrayLayout) -> tuple[ArrayMetadata, Mapping[int, bytes]]:
    """A loaded array with its chunks compressed, where they are large enough."""
    metadata, chunks = array.metadata, array.chunks
    if not array.is_loaded or metadata.codecs or max(map(len, chunks.values()), default=0) <= PLAIN_CHUNK_BYTES:
        return metadata, chunks
    codec = Codec("zstd", {"level": ZSTD_LEVEL, "checksum": False})
    encoder = Zstd(level=ZSTD_LEVEL)
    return replace(metadata, codecs=(codec,)), {number: bytes(encoder.encode(data)) for number, data in chunks.items()}
