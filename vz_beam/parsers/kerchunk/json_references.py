"""References as JSON has them, key by key, as the manifest of each array.

Source: https://fsspec.github.io/kerchunk/spec.html, versions 0 and 1; how entries are read,
fsspec's ReferenceFileSystem.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.chunk_manifest import INLINED, MISSING, ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.kerchunk.chunk_numbers import OUTSIDE, chunk_numbers
from vz_beam.parsers.kerchunk.documents import (
    DOCUMENTS,
    ArrayDocument,
    Documents,
    is_document,
    parsed_document,
    sorted_documents,
)
from vz_beam.parsers.kerchunk.generators import generated
from vz_beam.parsers.kerchunk.json_text import json_value
from vz_beam.parsers.kerchunk.locations import Locations, located
from vz_beam.parsers.kerchunk.store_group import Choices, check_sparse, manifest_group
from vz_beam.parsers.kerchunk.templates import Templates
from vz_beam.storage.byte_source import ByteSource

_BASE64 = "base64:"
_PLAIN_LENGTH = 3  # [url, offset, length]


def read_json(source: ByteSource, root: str | None, choices: Choices) -> ManifestGroup:
    """The group of manifests in a file of references; see ``KerchunkJSONParser``."""
    value = json_value(source.read(0, source.size()), source.url)
    try:
        references, templates = _references(value)
        documents = sorted_documents(_documents(references, source))
    except FormatError as error:
        raise FormatError(
            f"{source.url} holds no Kerchunk references that can be read: {error}. "
            "Way out: leave the file out, or name another parser (parser=...)"
        ) from None
    owned = _OwnedReferences(references, documents, templates, Locations(root), source)
    return manifest_group(source.url, documents, owned.manifest, choices, owned.unowned())


class _OwnedReferences:
    """The references of a file by the array that they belong to."""

    def __init__(
        self,
        references: Mapping[str, Any],
        documents: Documents,
        templates: Templates,
        locations: Locations,
        source: ByteSource,
    ) -> None:
        self._keys = list(references)
        self._values = list(references.values())
        self._templates = templates
        self._locations = locations
        self._source = source
        self._arrays = list(documents.arrays)
        self._places, self._orphans = _owners(self._keys, self._arrays)

    def unowned(self) -> dict[str, str]:
        """Reasons by path of references below no array."""
        return {path: f"{key!r} is a reference, and no array is there" for path, key in self._orphans.items()}

    def manifest(self, document: ArrayDocument, metadata: ArrayMetadata) -> ChunkManifest:
        """The references of one array."""
        grid = metadata.chunk_grid
        before, separator = document.key_encoding()
        places = self._places.get(document.path, range(0))
        keys, values = _taken(self._keys, places), _taken(self._values, places)
        numbers = chunk_numbers(keys, grid.grid_shape, separator, f"{document.path}/{before}")
        if not len(numbers) or not (numbers != OUTSIDE).any():
            return ChunkManifest.empty(grid.grid_shape)
        check_sparse(grid.size, len(numbers))
        if (numbers == OUTSIDE).any():
            inside = np.flatnonzero(numbers != OUTSIDE).tolist()
            numbers = numbers[inside]
            keys, values = [keys[place] for place in inside], [values[place] for place in inside]
        ids = np.full(grid.size, MISSING, np.int32)
        offsets, lengths = np.zeros(grid.size, np.uint64), np.zeros(grid.size, np.uint64)
        names: dict[str, int] = {}
        inlined: dict[int, bytes] = {}
        whole = []
        for kind, rows in _kinds(keys, values):
            chosen = values if rows is None else [values[row] for row in rows]
            at = numbers if rows is None else numbers[rows]
            if kind is str:
                for number, key, text in zip(
                    at.tolist(), (keys[row] for row in rows or range(len(keys))), chosen, strict=True
                ):
                    inlined[number] = _inline(key, text)
                ids[at] = INLINED
                continue
            urls = list(map(itemgetter(0), chosen))
            ids[at] = _numbered(urls, names)
            if kind == _PLAIN_LENGTH:
                offsets[at], lengths[at] = (_integers(list(map(itemgetter(place), chosen))) for place in (1, 2))
            else:
                whole.append(at)
        texts = [self._templates.expanded(name) if self._templates and "{{" in name else name for name in names]
        unknown = np.concatenate(whole) if whole else None
        return located((ids, offsets, lengths), texts, inlined, self._locations, self._source, unknown, grid.grid_shape)


def _references(value: Any) -> tuple[Mapping[str, Any], Templates]:
    """Entries by key, those of generators included, and the templates of the file."""
    if not isinstance(value, dict):
        raise FormatError(f"it is a JSON {type(value).__name__}, not an object")
    version = value.get("version")
    if version is None and "refs" not in value:
        return value, Templates({})
    if version not in (None, 1) or isinstance(version, bool):
        raise FormatError(f"version {version!r} of the references is not known, only 0 and 1")
    references = value.get("refs", {})
    if not isinstance(references, dict):
        raise FormatError(f"refs is a JSON {type(references).__name__}, not an object")
    templates = Templates(value.get("templates") or {})
    if value.get("gen"):
        references = {**references, **dict(generated(value["gen"], templates))}
    return references, templates


def _documents(references: Mapping[str, Any], source: ByteSource) -> dict[str, Any]:
    found = {}
    for key in [key for key in references if key.endswith(DOCUMENTS)]:
        if is_document(key):
            value = references[key]
            if isinstance(value, list):
                raise UnsupportedError(
                    f"{source.url}: {key!r} lies in another file, {value[:1]}: metadata has to be in the references. "
                    "Way out: make the references with their metadata inlined"
                )
            found[key] = parsed_document(key, value)
    return found


def _owners(keys: Sequence[str], arrays: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The places of each array's keys, and the first key of each path that has references and no array."""
    heads = [key[: key.rfind("/")] if "/" in key else "" for key in keys]
    numbered: dict[str, int] = {}
    which = _numbered(heads, numbered)
    known = {path: number for number, path in enumerate(arrays)}
    owner_of_head = np.full(len(numbered) + 1, -1, np.int64)
    for head, number in numbered.items():
        path = head
        while path and path not in known:
            path = path.rpartition("/")[0]
        owner_of_head[number] = known.get(path, -1)
    owners = owner_of_head[which] if len(which) else np.empty(0, np.int64)
    orphans: dict[str, str] = {}
    for place in np.flatnonzero(owners == -1).tolist():
        if not is_document(keys[place]) and heads[place] not in orphans:
            orphans[heads[place] or keys[place]] = keys[place]
    # Documents of arrays lie among their chunks.
    documents = [place for place, key in enumerate(keys) if key.endswith(DOCUMENTS) and is_document(key)]
    owners[documents] = -1
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(len(arrays) + 1))
    places = {path: order[starts[number] : starts[number + 1]] for path, number in known.items()}
    return places, orphans


def _numbered(texts: list[Any], numbers: dict[str, int]) -> NDArray[np.int32]:
    """int32[len(texts)], the place of each in ``numbers``, which grows in order of first use."""
    if set(map(type, texts)) - {str}:
        odd = next(text for text in texts if type(text) is not str)
        raise FormatError(f"a reference points at {odd!r}, which is no URL")
    for text in dict.fromkeys(texts):
        numbers.setdefault(text, len(numbers))
    return np.fromiter(map(numbers.__getitem__, texts), np.int32, len(texts))


def _taken(items: list[Any], places: Any) -> list[Any]:
    if len(places) and int(places[-1]) - int(places[0]) + 1 == len(places):  # ascending, so a slice
        return items[int(places[0]) : int(places[-1]) + 1]
    return [items[place] for place in (places.tolist() if len(places) else ())]


def _kinds(keys: Sequence[str], values: Sequence[Any]) -> Iterator[tuple[Any, list[int] | None]]:
    """The kinds of entries with their rows, ``None`` where all are of one: ``str``, or the length of a list."""
    if set(map(type, values)) == {list} and set(map(len, values)) == {_PLAIN_LENGTH}:
        yield _PLAIN_LENGTH, None
        return
    rows: dict[Any, list[int]] = {}
    for row, value in enumerate(values):
        kind = len(value) if type(value) is list else type(value)
        if kind not in (str, 1, _PLAIN_LENGTH):
            raise FormatError(
                f"{keys[row]!r} is {str(value)[:80]!r}: neither text, nor [url], nor [url, offset, length]"
            )
        rows.setdefault(kind, []).append(row)
    yield from rows.items()


def _integers(numbers: list[Any]) -> NDArray[np.uint64]:
    if set(map(type, numbers)) - {int}:
        odd = next(number for number in numbers if type(number) is not int)
        raise FormatError(f"an offset or length is {odd!r}, and should be a whole number of bytes")
    try:
        found = np.fromiter(numbers, np.int64, len(numbers))
    except OverflowError:
        raise FormatError(f"an offset or length is {max(numbers)}, which no file has") from None
    if found.min() < 0:
        raise FormatError(f"an offset or length is {int(found.min())}: it may not be negative")
    return found.astype(np.uint64)


def _inline(key: str, text: str) -> bytes:
    try:
        if text.startswith(_BASE64):
            return base64.b64decode(text[len(_BASE64) :], validate=True)
        return text.encode()
    except (ValueError, binascii.Error) as error:
        raise FormatError(f"{key!r} holds a text that is no bytes: {error}") from None
